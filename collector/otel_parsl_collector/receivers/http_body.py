"""Read the body of an HTTP/1.1 request: of a known length, or in chunks."""

from __future__ import annotations

from email.message import Message
from typing import BinaryIO

from otel_parsl_collector.receivers.refusal import Malformed, TooLarge

_LINE_BYTES = 4096
_TRAILERS = 100


class BodyReader:
    """
    The body that a request's headers announce.

    Args:
        headers: Of the request.
        limit_bytes: Of the body.

    Raises:
        Malformed: The headers announce no body that can be read.
        TooLarge: They announce one over the limit.
    """

    def __init__(self, headers: Message[str, str], *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        coding = headers.get("Transfer-Encoding")
        length = headers.get("Content-Length")
        if coding is not None and (length is not None or coding.strip().lower() != "chunked"):
            raise Malformed("Transfer-Encoding must be chunked, and without Content-Length")
        self._is_chunked = coding is not None
        if length is not None and not (length.isascii() and length.isdigit()):
            raise Malformed(f"Content-Length is {length[:40]!r}; expected a number")
        self._length = int(length or 0)
        if self._length > limit_bytes:
            raise self._too_large()

    def read(self, stream: BinaryIO) -> bytes:
        """
        Return the body.

        Raises:
            ConnectionError: The client has gone before its end.
            Malformed: The chunks are none.
            TooLarge: It is over the limit.
        """
        if self._is_chunked:
            return self._read_chunks(stream)
        return _exactly(stream, self._length)

    def _read_chunks(self, stream: BinaryIO) -> bytes:
        parts: list[bytes] = []
        room = self._limit_bytes
        while size := _chunk_size(_line(stream)):
            if size > room:
                raise self._too_large()
            room -= size
            parts.append(_exactly(stream, size))
            if _line(stream):
                raise Malformed("a chunk is longer than it says")
        for _ in range(_TRAILERS):
            if not _line(stream):
                return b"".join(parts)
        raise Malformed("too many trailers")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"it is larger than the {self._limit_bytes} bytes allowed")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionError("the client has gone in the middle of a request")
    return data


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_LINE_BYTES)
    if not line:
        raise ConnectionError("the client has gone in the middle of a request")
    if not line.endswith(b"\n"):
        raise Malformed("a line of the chunked body is too long")
    return line.rstrip(b"\r\n")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise Malformed(f"a chunk begins with {line[:40]!r}; expected its size")
    return int(digits, 16)
