"""``otel-parsl replay``: files of OTLP JSON lines give the rows that the stream itself gives."""

from __future__ import annotations

import gzip
import json
import sqlite3
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.cli.main import main
from otel_parsl.wire import LOGS
from tests.support.collector import collector_config, requests_in, running
from tests.support.delivery import deliver, in_order
from tests.support.http_wire import post
from tests.support.otel_collector import OtelCollector
from tests.support.otlp_requests import parsl_events
from tests.support.recorded_cases import CASES
from tests.support.recorded_stream import Request, joined
from tests.support.server_process import wait_for
from tests.support.store_rows import Rows, read_rows

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@cache
def stream() -> tuple[Request, ...]:
    """Return the requests of every recorded case."""
    return tuple(joined(*(make() for make in CASES.values())).requests)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of the stream, written without any file between."""
    path = tmp_path_factory.mktemp("expected") / "expected.db"
    return deliver(path, stream(), in_order(len(stream())))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """The stream as a file of JSON lines."""
    path = tmp_path / "stream.jsonl"
    with open(path, "w") as file:
        for signal, payload in stream():
            request = SIGNALS[signal].request.FromString(payload)
            file.write(json.dumps(render(request)) + "\n")
    return path


def replay(database: Path, *files: Path) -> int:
    return main(["replay", *map(str, files), "--to", f"sqlite:///{database}"])


def test_a_replay_gives_the_rows_of_the_stream(
    tmp_path: Path, lines: Path, expected: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every table has the rows that it would have without the file, and again it stays so."""
    database = tmp_path / "replayed.db"
    assert replay(database, lines) == 0
    count = len(stream())
    assert capsys.readouterr().out == (
        f"{count} requests with {items()} spans, points and records are in sqlite:///{database}\n"
    )
    assert read_rows(str(database)) == expected
    assert replay(database, lines) == 0
    assert read_rows(str(database)) == expected


def items() -> int:
    return sum(
        SIGNALS[signal].count(SIGNALS[signal].request.FromString(payload))
        for signal, payload in stream()
    )


def test_compressed_files_and_several_are_read(tmp_path: Path, lines: Path, expected: Rows) -> None:
    """gzip is known by its content, of several members too; files are read one after another."""
    written = lines.read_bytes().splitlines(keepends=True)
    half = len(written) // 2
    first, second = tmp_path / "first.json", tmp_path / "second.jsonl.gz"
    first.write_bytes(b"".join(written[half:]))
    members = (b"".join(written[: half // 2]), b"".join(written[half // 2 : half]))
    second.write_bytes(b"".join(map(gzip.compress, members)))
    database = tmp_path / "replayed.db"
    assert replay(database, first, second) == 0
    assert read_rows(str(database)) == expected


def test_a_collector_of_ours_and_its_file_give_the_same(tmp_path: Path, expected: Rows) -> None:
    """What our collector stores, and what its file replayed gives, are the rows of the stream."""
    database, out = tmp_path / "stored.db", tmp_path / "out.jsonl"
    exporters = {"parsl_sql": {"url": f"sqlite:///{database}"}, "file": {"path": str(out)}}
    with running(collector_config(tmp_path, exporters=exporters)) as at:
        for signal, payload in stream():
            path = f"/v1/{SIGNALS[signal].name}"
            assert post(at.http_port, path, payload, PROTOBUF).status == 200
    assert read_rows(str(database)) == expected
    replayed = tmp_path / "replayed.db"
    assert replay(replayed, out) == 0
    assert read_rows(str(replayed)) == expected


def test_a_stock_collectors_file_is_read(
    tmp_path: Path, otel_collector: OtelCollector, expected: Rows
) -> None:
    """What the OpenTelemetry Collector's file exporter writes of the stream gives its rows."""
    before = len(otel_collector.requests())
    for signal, payload in stream():
        path = f"/v1/{SIGNALS[signal].name}"
        assert post(otel_collector.ports[1], path, payload, PROTOBUF).status == 200
    total = before + len(stream())
    wait_for(lambda: len(otel_collector.requests()) >= total or None, what="all lines")
    database = tmp_path / "replayed.db"
    assert replay(database, otel_collector.file) == 0
    assert read_rows(str(database)) == expected


def test_lines_that_are_no_otlp_are_named_and_left_out(
    tmp_path: Path, lines: Path, expected: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broken lines are said with file and line, the others stored; the exit code tells."""
    sound = lines.read_bytes().splitlines()
    odd = [b'{"some": "json"}', b'{"resourceSpans": 1}', b"", b'{"resourceLogs": [{"resource"']
    lines.write_bytes(b"\n".join([*sound, *odd]))
    database = tmp_path / "replayed.db"
    assert replay(database, lines) == 1
    number = len(sound)
    assert capsys.readouterr().err.splitlines() == [
        f"otel-parsl replay: {lines}:{number + 1}: no OTLP request; expected an object with one of"
        " resourceSpans, resourceMetrics, resourceLogs",
        f"otel-parsl replay: {lines}:{number + 2}: resourceSpans: 1; expected a list",
        f"otel-parsl replay: {lines}:{number + 4}: no JSON: Expecting ':' delimiter: line 1 column"
        " 30 (char 29)",
        "otel-parsl replay: 3 lines left out as no OTLP;"
        " a file's last line may be one that its collector had not finished",
    ]
    assert read_rows(str(database)) == expected


def test_a_line_that_no_row_can_hold_is_named_and_left_out(
    tmp_path: Path, lines: Path, expected: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line like ours but with values of other types does not stop the others."""
    odd = SIGNALS[LOGS].request.FromString(parsl_events("a-run", 1))
    for record in odd.resource_logs[0].scope_logs[0].log_records:
        for attribute in record.attributes:
            attribute.value.array_value.values.add().string_value = "odd"
    sound = lines.read_bytes().splitlines()
    lines.write_bytes(b"\n".join([json.dumps(render(odd)).encode(), *sound]))
    database = tmp_path / "replayed.db"
    assert replay(database, lines) == 1
    assert f"otel-parsl replay: {lines}:1: no row can hold it: " in capsys.readouterr().err
    assert read_rows(str(database)) == expected


def _cut(compressed: bytes) -> bytes:
    return compressed[:-20]


def _followed_by_no_deflate(compressed: bytes) -> bytes:
    """Return it with a member whose first block is of a kind that there is not."""
    return compressed + compressed[:10] + b"\x07"


def _of_another_sum(compressed: bytes) -> bytes:
    return compressed[:-8] + bytes(8)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (_cut, "Compressed file ended before the end-of-stream marker was reached"),
        (_followed_by_no_deflate, "Error -3 while decompressing"),
        (_of_another_sum, "CRC check failed "),
    ],
)
def test_lines_before_damaged_gzip_are_stored(
    tmp_path: Path,
    lines: Path,
    damage: Callable[[bytes], bytes],
    error: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What can be unpacked is stored, the rest is one line left out, and other files are read."""
    sound = lines.read_bytes().splitlines(keepends=True)
    half = len(sound) // 2
    damaged, other = tmp_path / "damaged.gz", tmp_path / "other.jsonl"
    damaged.write_bytes(damage(gzip.compress(b"".join(sound[:half]))))
    other.write_bytes(b"".join(sound[half:]))
    assert replay(tmp_path / "replayed.db", damaged, other) == 1
    out, err = capsys.readouterr()
    stored = int(out.split()[0]) - (len(sound) - half)
    assert 0 < stored <= half
    named, in_all = err.splitlines()
    said = f"otel-parsl replay: {damaged}:{stored + 1}: gzip is cut or broken here, and what"
    assert named.startswith(f"{said} follows is left out: {error}")
    assert in_all.startswith("otel-parsl replay: 1 line left out as no OTLP; ")


@pytest.mark.parametrize(
    ("file", "url", "words"),
    [
        ("nowhere.jsonl", "sqlite:///x.db", "nowhere.jsonl: there is no such file"),
        ("/proc/self/mem", "sqlite:///{0}/x.db", "/proc/self/mem: it cannot be read: [Errno 5]"),
        ("stream.jsonl", "nonsense", "store: Could not parse SQLAlchemy URL"),
        ("stream.jsonl", "sqlite:////nowhere/x.db", "store: it cannot be opened: unable to open"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    tmp_path: Path,
    lines: Path,
    file: str,
    url: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file or a database that cannot be used: one sentence, and exit code 3."""
    code = main(["replay", str(tmp_path / file), "--to", url.format(tmp_path)])
    assert code == 3
    assert words in capsys.readouterr().err


def test_a_locked_database_is_waited_for(tmp_path: Path, lines: Path, expected: Rows) -> None:
    """While another writes to the database a replay waits, and then stores all."""
    database = tmp_path / "replayed.db"
    assert replay(database, lines) == 0
    lock = sqlite3.connect(database, check_same_thread=False)
    lock.execute("DELETE FROM status")
    timer = threading.Timer(1.0, lock.rollback)
    timer.start()
    assert replay(database, lines) == 0
    timer.join()
    lock.close()
    assert read_rows(str(database)) == expected


def test_progress_ends_at_the_whole(
    tmp_path: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way progress grows, and ends with all bytes and all requests."""
    from otel_parsl_collector import replay as module

    monkeypatch.setattr(module, "BATCH_BYTES", 10_000)
    seen: list[module.Progress] = []
    store = module.Replay([lines], f"sqlite:///{tmp_path / 'x.db'}")
    store.run(seen.append)
    store.close()
    assert len(seen) > 3
    assert seen == sorted(seen)
    size = lines.stat().st_size
    assert seen[-1] == (size, size, len(requests_in(lines)), items())
