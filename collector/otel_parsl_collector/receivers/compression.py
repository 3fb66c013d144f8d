"""Decompress request bodies, within a limit that is kept while decompressing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from otel_parsl_collector.receivers.refusal import Malformed, TooLarge

_CHUNK_BYTES = 1 << 20
_MAX_MEMBERS = 64
"""A gzip file may be several, one after another; each costs a copy of what follows it."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompress(data: bytes, encoding: str, *, limit_bytes: int) -> bytes:
    """
    Return a body decompressed.

    Args:
        data: The body.
        encoding: The value of Content-Encoding; empty where there is none.
        limit_bytes: Of what it may decompress to.

    Raises:
        Malformed: The encoding is not known, or the body is not of it.
        TooLarge: It decompresses to more than the limit.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return data
    begin = _DECOMPRESSORS.get(name)
    if begin is None:
        known = ", ".join(sorted(_DECOMPRESSORS))
        raise Malformed(f"Content-Encoding {encoding[:40]!r} is not known; expected one of {known}")
    try:
        return _inflate(data, begin, limit_bytes)
    except _ERRORS as error:
        raise Malformed(f"the body is no {name}: {error}") from error


def is_compressed(message: bytes) -> str:
    """
    Return how a gRPC message is compressed, empty for not at all.

    gRPC hides the message's own flag, but no OTLP request can begin like this: gzip's first byte
    is an impossible protobuf tag, and zlib's would be a field 15.
    """
    if message.startswith(b"\x1f\x8b"):
        return "gzip"
    return "deflate" if _is_zlib(message) else ""


def _inflate(data: bytes, begin: Callable[[bytes], _Decompressor], limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = limit_bytes
    for _ in range(_MAX_MEMBERS):
        decompressor = begin(data)
        while not decompressor.eof:
            wanted = min(room + 1, _CHUNK_BYTES)
            part = decompressor.decompress(data, wanted)
            data = decompressor.unconsumed_tail
            if len(part) > room:
                raise TooLarge(f"decompressed it is larger than the {limit_bytes} bytes allowed")
            if len(part) < wanted and not data and not decompressor.eof:
                raise Malformed("the compressed body is cut short")
            room -= len(part)
            parts.append(part)
        data = decompressor.unused_data
        if not data:
            return b"".join(parts)
    raise Malformed(f"the compressed body has more than {_MAX_MEMBERS} members")


def _is_zlib(data: bytes) -> bool:
    return len(data) > 1 and data[0] == 0x78 and (data[0] << 8 | data[1]) % 31 == 0


def _gzip(_data: bytes) -> _Decompressor:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _deflate(data: bytes) -> _Decompressor:
    """HTTP's deflate is zlib's format, but some clients send the bare stream."""
    return zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS)


_DECOMPRESSORS: dict[str, Callable[[bytes], _Decompressor]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zlib": _deflate,
}
_ERRORS: tuple[type[Exception], ...] = (zlib.error,)

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore] # Python 3.14
except ImportError:
    pass
else:

    class _Zstd:
        """zstd's decompressor, which keeps by itself what it has not consumed."""

        unconsumed_tail = b""

        def __init__(self, _data: bytes) -> None:
            self._inner: Any = zstd.ZstdDecompressor()

        @property
        def eof(self) -> bool:
            return bool(self._inner.eof)

        @property
        def unused_data(self) -> bytes:
            return bytes(self._inner.unused_data)

        def decompress(self, data: bytes, max_length: int, /) -> bytes:
            return bytes(self._inner.decompress(data, max_length))

    _DECOMPRESSORS["zstd"] = _Zstd
    _ERRORS = (zlib.error, zstd.ZstdError)
