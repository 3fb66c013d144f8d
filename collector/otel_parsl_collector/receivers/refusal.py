"""
Why a request is not taken, and the status that says so on each transport.

Two kinds, as in the OpenTelemetry Collector: what will be refused again, and ``Busy``, which may
pass. 500 is permanent for OTLP clients, so nothing that may pass is ever answered with it.

    Refusal
    ├── Malformed           it cannot be decoded
    ├── TooLarge            it is over the limit, before or after decompression
    ├── Unauthenticated     it lacks the token
    └── Busy                it may be sent again
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A request is not taken."""

    rpc_code: ClassVar[int]
    """Of google.rpc.Code."""
    http_status: ClassVar[int]


class Malformed(Refusal):
    """A request that cannot be decoded, now or ever."""

    rpc_code = 3
    http_status = 400


class TooLarge(Refusal):
    """A request over the size limit; without a retry delay this is permanent for clients."""

    rpc_code = 8
    http_status = 413


class Unauthenticated(Refusal):
    """A request without the token that is asked for."""

    rpc_code = 16
    http_status = 401


class Busy(Refusal):
    """
    A request that may be sent again.

    Args:
        reason: In words.
        retry_after_s: When to send it again.
    """

    rpc_code = 14
    http_status = 503

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
