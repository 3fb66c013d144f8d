"""Speak HTTP/1.1 by hand, where a library would be too polite."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

TIMEOUT_S = 30.0


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


def post(
    port: int, path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST"
) -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


@contextmanager
def connected(port: int) -> Iterator[Wire]:
    """Open a connection to speak by hand."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as raw:
        yield Wire(raw)


class Wire:
    """
    A connection.

    Args:
        raw: Its socket.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._file = raw.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._raw.sendall(data)

    def receive(self) -> Answer:
        """Read one answer."""
        status = int(self._file.readline().split(b" ")[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return Answer(status, headers, self._file.read(int(headers.get("content-length", 0))))

    def is_closed(self) -> bool:
        """Tell whether the other side has ended the connection; waits for it."""
        return self._file.read(1) == b""
