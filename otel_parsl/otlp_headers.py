"""Which headers can be sent with a request, by gRPC or by HTTP; their values are secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HTTP_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_HTTP_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_GRPC_NAME = re.compile(r"[0-9A-Za-z_.-]+")
"""https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; sent in lower case."""
_GRPC_VALUE = re.compile(r"[\x20-\x7e]*")


def unfit_header(headers: Iterable[tuple[object, object]], protocol: str) -> str | None:
    """
    Return what is wrong with the first header that cannot be sent; None where all can.

    Args:
        headers: Names and values; no value is in what is returned.
        protocol: ``grpc`` or ``http/protobuf``.
    """
    is_grpc = protocol == "grpc"
    names, values = (_GRPC_NAME, _GRPC_VALUE) if is_grpc else (_HTTP_NAME, _HTTP_VALUE)
    for name, value in headers:
        if not isinstance(name, str) or not names.fullmatch(name):
            return f"{name!r} is no name of a header; expected one such as 'authorization'"
        if not isinstance(value, str):
            return f"the value of {name!r} is of type {type(value).__name__}; expected a text"
        is_binary = is_grpc and name.lower().endswith("-bin")
        if not is_binary and not values.fullmatch(value):
            return f"the value of {name!r} has a line's end or another character that none may have"
    return None
