"""
Find the address by which a worker reaches the submit host, as HTEX's managers do for theirs.

All addresses are tried at once, and the first that answers as it should is taken, since a packet to
a wrong one may get no answer at all.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable


class NotReached(OSError):
    """None of the addresses answered."""


def reach(
    hosts: Iterable[str],
    port: int,
    is_right: Callable[[str, socket.socket], bool],
    *,
    timeout_s: float,
) -> tuple[str, socket.socket]:
    """
    Return the first host that is reached and right, and the connection to it.

    Args:
        hosts: Names or addresses.
        port: The same on all.
        is_right: Asks who is there; may raise an OSError.
        timeout_s: For all of it but ``is_right``.

    Raises:
        NotReached: There is none.
    """
    deadline = time.monotonic() + timeout_s
    reasons: dict[str, str] = {}
    with selectors.DefaultSelector() as waiting:
        for host in hosts:
            reasons[host] = "no answer"
            _connect(host, port, waiting, reasons)
        try:
            while waiting.get_map() and (left_s := deadline - time.monotonic()) > 0:
                for key, _ in waiting.select(left_s):
                    sock, host = key.fileobj, key.data
                    assert isinstance(sock, socket.socket)
                    waiting.unregister(sock)
                    if _is_taken(host, sock, is_right, reasons):
                        return host, sock
                    sock.close()
        finally:
            for key in list(waiting.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    raise NotReached("; ".join(f"{host}: {reason}" for host, reason in reasons.items()))


def _connect(
    host: str, port: int, waiting: selectors.BaseSelector, reasons: dict[str, str]
) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        reasons[host] = str(error.strerror)
        return
    for family, kind, protocol, _, address in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # this machine has no IPv6
            reasons[host] = str(error.strerror)
            continue
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code in (0, errno.EINPROGRESS):
            waiting.register(sock, selectors.EVENT_WRITE, host)
        else:
            reasons[host] = os.strerror(code)
            sock.close()


def _is_taken(
    host: str,
    sock: socket.socket,
    is_right: Callable[[str, socket.socket], bool],
    reasons: dict[str, str],
) -> bool:
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        reasons[host] = os.strerror(code)
        return False
    try:
        if is_right(host, sock):
            return True
        reasons[host] = "somebody else answers there"
    except OSError as error:
        reasons[host] = str(error.strerror or error)
    return False
