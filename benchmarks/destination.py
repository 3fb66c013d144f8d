"""An OTLP destination in a process of its own, which counts what it gets and keeps nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from typing import Any, NamedTuple

_SPAWN = multiprocessing.get_context("spawn")
_START_S = 60.0


class Destination(NamedTuple):
    """Where it is, and what it has got."""

    endpoint: str
    received: Any
    """Bytes of requests; read its ``value``."""


@contextlib.contextmanager
def counting_destination() -> Iterator[Destination]:
    """Run a destination."""
    received, started, port = _SPAWN.Value("q", 0), _SPAWN.Event(), _SPAWN.Value("i", 0)
    process = _SPAWN.Process(target=_serve, args=(port, started, received), daemon=True)
    process.start()
    try:
        if not started.wait(_START_S):
            raise SystemExit(f"the destination did not start within {_START_S:.0f} s")
        yield Destination(f"http://127.0.0.1:{port.value}", received)
    finally:
        process.terminate()
        process.join()


def _serve(port: Any, started: Any, received: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    class Handler:
        def service(self, _call: Any) -> Any:
            def export(body: bytes, _context: Any) -> bytes:
                with received.get_lock():
                    received.value += len(body)
                return b""

            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(
        ThreadPoolExecutor(2),
        handlers=[Handler()],
        options=[("grpc.max_receive_message_length", -1)],
    )
    port.value = server.add_insecure_port("127.0.0.1:0")
    server.start()
    started.set()
    server.wait_for_termination()
