"""What a collector refuses leaves no trace in the store, and keeps nothing out that it takes."""

from __future__ import annotations

import gzip
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.schema import metadata
from otel_parsl.wire import LOGS, varint
from tests.support.collector import Running, collector_config, running
from tests.support.http_wire import post
from tests.support.otlp_requests import parsl_events
from tests.support.server_process import wait_for

LIMIT_BYTES = 1 << 20
DEFAULT_LIMIT_BYTES = 64 << 20
GOOD, BAD = "0c5dba1a-0000-4000-8000-00000000000a", "0c5dba1a-0000-4000-8000-00000000000b"
TOKEN = {"authorization": "Bearer secret"}
EVENTS = parsl_events(BAD, *range(50))
"""Events of a run that would be stored, were the request whole, small enough and let in."""
_UNKNOWN = b"\x92\x03"


def _padded(size: int, events: bytes = EVENTS) -> bytes:
    """Return events with an unknown field behind them: a receiver that reads on would take them."""
    room = size - len(events) - len(_UNKNOWN)
    content = bytes(room - len(varint(room)))
    body = b"".join((events, _UNKNOWN, varint(len(content)), content))
    assert len(body) == size
    return body


Sends = Callable[[Running], object]


def _by_http(body: bytes, **headers: str) -> Sends:
    def send(at: Running) -> int:
        given = {"Content-Type": "application/x-protobuf", **TOKEN, **headers}
        named = {name.replace("_", "-"): value for name, value in given.items() if value}
        return post(at.http_port, "/v1/logs", body, named).status

    return send


def _by_grpc(body: bytes, **metadata_: str) -> Sends:
    def send(at: Running) -> object:
        options = [("grpc.max_send_message_length", -1)]
        given = [pair for pair in {**TOKEN, **metadata_}.items() if pair[1]]
        with grpc.insecure_channel(at.grpc, options=options) as channel:
            export = channel.unary_unary(f"/{SIGNALS[LOGS].service}/Export")
            try:
                export(body, timeout=30, metadata=given)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    return send


def _by_gzip(body: bytes) -> Sends:
    return _by_http(gzip.compress(body, 1), content_encoding="gzip")


REFUSED: dict[str, tuple[Sends, object]] = {
    "truncated": (_by_http(EVENTS[:-3]), 400),
    "truncated, gRPC": (_by_grpc(EVENTS[:-3]), grpc.StatusCode.INVALID_ARGUMENT),
    "malformed": (_by_http(EVENTS + b"\xff"), 400),
    "malformed, gRPC": (_by_grpc(EVENTS + b"\xff"), grpc.StatusCode.INVALID_ARGUMENT),
    "no JSON": (_by_http(EVENTS, Content_Type="application/json"), 400),
    "another type": (_by_http(EVENTS, Content_Type="text/plain"), 415),
    "oversized": (_by_http(_padded(LIMIT_BYTES + 1)), 413),
    "oversized, gRPC": (_by_grpc(_padded(LIMIT_BYTES + 1)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    "zip bomb": (_by_http(gzip.compress(_padded(LIMIT_BYTES + 1)), content_encoding="gzip"), 413),
    "not compressed": (_by_http(EVENTS, content_encoding="gzip"), 400),
    "half compressed": (_by_http(gzip.compress(EVENTS)[:-9], content_encoding="gzip"), 400),
    "otherwise compressed": (_by_http(zlib.compress(EVENTS), content_encoding="gzip"), 400),
    "unknown encoding": (_by_http(EVENTS, content_encoding="br"), 400),
    "no token": (_by_http(EVENTS, authorization=""), 401),
    "no token, gRPC": (_by_grpc(EVENTS, authorization=""), grpc.StatusCode.UNAUTHENTICATED),
    "wrong token": (_by_http(EVENTS, authorization="Bearer guess"), 401),
    "wrong token, gRPC": (
        _by_grpc(EVENTS, authorization="Bearer guess"),
        grpc.StatusCode.UNAUTHENTICATED,
    ),
}


@pytest.mark.parametrize("is_last", [False, True], ids=["before", "after"])
def test_refused_requests_leave_no_trace_in_the_store(tmp_path: Path, is_last: bool) -> None:
    """Whatever is refused has its status; the tables hold what was taken, and nothing else."""
    database = tmp_path / "monitoring.db"
    token = tmp_path / "token"
    token.write_text("secret\n")
    guard = {"auth": {"authenticator": "bearertokenauth"}}
    config = collector_config(
        tmp_path,
        exporters={"parsl_sql": {"url": f"sqlite:///{database}"}},
        grpc={"max_recv_msg_size_mib": LIMIT_BYTES >> 20, **guard},
        http={"max_request_body_size": LIMIT_BYTES, **guard},
        extensions={"bearertokenauth": {"filename": str(token)}},
    )
    with running(config) as at:
        if is_last:
            assert _by_http(parsl_events(GOOD, 1))(at) == 200
        statuses = {name: send(at) for name, (send, _) in REFUSED.items()}
        assert _by_http(parsl_events(GOOD, 2))(at) == 200
        # Whatever was taken before it is stored by then.
        wait_for(lambda: _has_task(database, 2) or None, what="the last request in the store")

    assert statuses == {name: status for name, (_, status) in REFUSED.items()}
    assert _run_ids(database) == {GOOD}
    with closing(sqlite3.connect(database)) as connection:
        tasks = connection.execute("SELECT task_id FROM task ORDER BY 1").fetchall()
    assert tasks == ([(1,), (2,)] if is_last else [(2,)])
    spool = [each for each in (tmp_path / "spool").rglob("*") if each.is_file()]
    assert BAD.encode() not in b"".join(each.read_bytes() for each in spool)


@pytest.mark.parametrize(
    ("by", "refused", "taken"),
    [
        (_by_grpc, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OK),
        (_by_http, 413, 200),
        (_by_gzip, 413, 200),
    ],
    ids=["grpc", "http", "gzip"],
)
def test_64_mib_are_taken_by_default_and_no_byte_more(
    tmp_path: Path, by: Callable[[bytes], Sends], refused: object, taken: object
) -> None:
    """Where no limit is set it is OTLP's own, before and after decompression, by both transports;
    of what is over it the store has nothing."""
    database = tmp_path / "monitoring.db"
    store = {"parsl_sql": {"url": f"sqlite:///{database}"}}
    with running(collector_config(tmp_path, exporters=store)) as at:
        assert by(_padded(DEFAULT_LIMIT_BYTES + 1))(at) == refused
        send = by(_padded(DEFAULT_LIMIT_BYTES, parsl_events(GOOD, 1)))
        # Where the disk is too slow at present the answer is to come again.
        wait_for(lambda: send(at) == taken or None, what="64 MiB on the disk")
        wait_for(lambda: _has_task(database, 1) or None, what="the request in the store")

    assert _run_ids(database) == {GOOD}


def _has_task(database: Path, task_id: int) -> bool:
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as connection:
        try:
            found = connection.execute("SELECT 1 FROM task WHERE task_id = ?", (task_id,))
            return found.fetchone() is not None
        except sqlite3.OperationalError:  # its tables are being made
            return False


def _run_ids(database: Path) -> set[str]:
    """Return the runs that any table knows of."""
    with closing(sqlite3.connect(database)) as connection:
        return {
            run_id
            for table in metadata.tables.values()
            if "run_id" in table.c
            for (run_id,) in connection.execute(f'SELECT DISTINCT run_id FROM "{table.name}"')
        }
