"""The stand-alone collector as a process: what it acknowledged arrives, whatever happens to it."""

from __future__ import annotations

import itertools
import json
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.signals import SIGNALS
from sqlalchemy import create_engine, select

from otel_parsl.schema import task
from otel_parsl.spool import frame
from otel_parsl.wire import LOGS, TRACES
from tests.support.collector import CollectorProcess, collector_config
from tests.support.http_wire import post
from tests.support.otlp_requests import logs_request, parsl_events, trace_request
from tests.support.otlp_sink import grpc_sink
from tests.support.postgres import Postgres
from tests.support.server_process import READ_TIMEOUT_S, free_ports, wait_for

PROTOBUF, JSON = "application/x-protobuf", "application/json"
RUN_ID = "6f1b9f5e-2a43-4d5a-9a53-0d0c4a4a3c11"


class Client:
    """Sends spans by gRPC, each once, and knows which were acknowledged."""

    def __init__(self, address: str) -> None:
        # A retry of gRPC's own would send a request twice.
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        self._export = {
            number: self._channel.unary_unary(f"/{signal.service}/Export")
            for number, signal in SIGNALS.items()
        }
        self.acknowledged: set[str] = set()
        self.tasks: set[int] = set()
        self.error: Any = None
        """Why the last one was not."""

    def send(self, name: str, *, padding: int = 0) -> bool:
        """Send a span; tell whether it was acknowledged."""
        request = trace_request(name)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        span.attributes.add(key="padding").value.string_value = "x" * padding
        try:
            self._export[TRACES](request.SerializeToString(), timeout=10)
        except grpc.RpcError as error:
            self.error = error
            return False
        self.acknowledged.add(name)
        return True

    def send_task(self, task_id: int) -> bool:
        """Send the events of a task; tell whether they were acknowledged."""
        try:
            self.send_events(parsl_events(RUN_ID, task_id))
        except grpc.RpcError:
            return False
        self.tasks.add(task_id)
        return True

    def send_events(self, body: bytes) -> None:
        """Send a request of logs."""
        self._export[LOGS](body, timeout=10)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


def url_text(url: str) -> tuple[int, str]:
    """Return the status and the text of a page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(url: str, name: str, **labels: str) -> float | None:
    """Return a value of the page of counters; None where it is not there."""
    named = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    wanted = f"{name}{{{named}}}" if named else name
    found = re.search(rf"^{re.escape(wanted)} (\S+)$", url_text(url)[1], re.MULTILINE)
    return float(found[1]) if found else None


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    """A collector that writes to a file."""
    with CollectorProcess(tmp_path) as process:
        yield process


def ended(process: CollectorProcess) -> int:
    """Stop a collector as an operator would and return its exit code."""
    popen = process._process
    assert popen is not None
    process.stop()
    return int(popen.returncode)


def test_all_ways_in_lead_to_rows_and_files(tmp_path: Path) -> None:
    """gRPC, HTTP and JSON, from the SDK and by hand, arrive in the database and in the file."""
    database = tmp_path / "monitoring.db"
    exporters = {
        "parsl_sql": {"url": f"sqlite:///{database}"},
        "file": {"path": str(tmp_path / "out.jsonl")},
    }
    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        provider = TracerProvider(shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"http://{collector.grpc}")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        with provider.get_tracer("test").start_as_current_span("sdk"):
            pass
        provider.shutdown()
        events = SIGNALS[LOGS].request.FromString(parsl_events(RUN_ID, 2, 3))
        ways = [
            ("/v1/logs", parsl_events(RUN_ID, 0, 1), PROTOBUF),
            ("/v1/logs", json.dumps(render(events)).encode(), JSON),
            ("/v1/traces", trace_request("http").SerializeToString(), PROTOBUF),
        ]
        for path, body, type_ in ways:
            assert post(collector.ports[1], path, body, {"Content-Type": type_}).status == 200
        client = Client(collector.grpc)
        client.send_events(parsl_events(RUN_ID, 4))
        client.send_events(parsl_events(RUN_ID, 4))
        client.close()
        collector.wait_for_spans({"sdk", "http"})
        wait_for(lambda: tasks_in(database) == [0, 1, 2, 3, 4] or None, what="five tasks")
        assert url_text(collector.health_url) == (
            200,
            '{"status": "Server available", "troubles": []}\n',
        )
        labels = {"receiver": "otlp", "transport": "grpc"}
        page = collector.metrics_url
        assert metric(page, "otelcol_receiver_accepted_spans", **labels) == 1
        assert metric(page, "otelcol_receiver_accepted_log_records", **labels) == 4
        assert metric(page, "otelcol_exporter_sent_spans", exporter="file") == 2
        assert metric(page, "otelcol_exporter_sent_log_records", exporter="parsl_sql") == 10
        assert metric(page, "otelcol_exporter_queue_size", exporter="file") == 0
        memory = metric(page, "otelcol_process_memory_rss")
        assert memory is not None
        assert 10e6 < memory < 200e6
        assert ended(collector) == 0


def tasks_in(database: Path) -> list[int]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT task.task_id FROM task JOIN workflow USING (run_id) ORDER BY 1"
        )
        return [task_id for (task_id,) in rows]


def test_the_end_delivers_what_has_been_taken(collector: CollectorProcess) -> None:
    """SIGTERM right after the last acknowledgement: all is delivered, the exit code is 0."""
    client = Client(collector.grpc)
    names = [f"span-{number}" for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(client.send, names))
    client.close()
    assert ended(collector) == 0
    assert sorted(collector.wait_for_spans(set(), timeout_s=0)) == sorted(names)


def test_killed_collectors_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """SIGKILL at three moments under load: what was acknowledged is in file and rows, once."""
    database = tmp_path / "monitoring.db"
    exporters = {
        "parsl_sql": {"url": f"sqlite:///{database}"},
        "file": {"path": str(tmp_path / "out.jsonl")},
    }
    acknowledged: set[str] = set()
    tasks: set[int] = set()
    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        for killed in range(3):
            client = Client(collector.grpc)
            numbers = itertools.count(killed * 100_000)
            is_over = threading.Event()
            with ThreadPoolExecutor(8) as pool:
                senders = [pool.submit(keep_sending, client, numbers, is_over) for _ in range(8)]
                wait_for_count(client.acknowledged, 50 + 60 * killed)
                collector.kill()
                is_over.set()
                for sender in senders:
                    sender.result()
            client.close()
            acknowledged |= client.acknowledged
            tasks |= client.tasks
            collector.start()
        names = collector.wait_for_spans(acknowledged)
        assert sorted(names) == sorted(set(names))
        wait_for(lambda: tasks <= set(tasks_in(database)) or None, what="all tasks")
        stored = tasks_in(database)
        assert stored == sorted(set(stored))
        assert ended(collector) == 0
    assert len(acknowledged) > 300
    assert len(tasks) > 250


_DIES_BEFORE_IT_ANSWERS = """
import os
import signal

told = {told!r}
fdatasync = os.fdatasync


def sync_and_die(fd):
    fdatasync(fd)
    if os.path.exists(told) and os.readlink(f"/proc/self/fd/{{fd}}").endswith(".spool"):
        os.kill(os.getpid(), signal.SIGKILL)


os.fdatasync = sync_and_die
"""


def test_what_is_sent_again_for_want_of_an_answer_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL after a request is on disk, before its reply: the client's second try adds no row."""
    told = tmp_path / "die"
    (tmp_path / "sitecustomize.py").write_text(_DIES_BEFORE_IT_ANSWERS.format(told=str(told)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    database = tmp_path / "monitoring.db"
    with CollectorProcess(
        tmp_path, exporters={"parsl_sql": {"url": f"sqlite:///{database}"}}
    ) as collector:
        client = Client(collector.grpc)
        assert client.send_task(0)
        told.touch()
        assert not client.send_task(1)
        collector.kill()
        told.unlink()
        collector.start()
        wait_for(lambda: tasks_in(database) == [0, 1] or None, what="the one not answered")
        once = states_in(database)
        assert client.send_task(1)
        assert client.send_task(2)
        wait_for(lambda: tasks_in(database) == [0, 1, 2] or None, what="three tasks")
        assert [states_in(database)[task_id] for task_id in (0, 1)] == [once[0], once[1]]
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            query = "SELECT sum(repeated) FROM otel_received"
            ((repeated,),) = connection.execute(query)
        assert repeated == len(once[1])
        client.close()
        assert ended(collector) == 0


def states_in(database: Path) -> dict[int, list[str]]:
    """Return the states of each task, a row each."""
    found: dict[int, list[str]] = {}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT task_id, task_status_name FROM status ORDER BY 1, rowid")
        for task_id, state in rows:
            found.setdefault(task_id, []).append(state)
    return found


def keep_sending(client: Client, numbers: Iterator[int], is_over: threading.Event) -> None:
    """Send spans and tasks until one is not acknowledged."""
    while not is_over.is_set():
        number = next(numbers)
        if not client.send(f"span-{number}") or not client.send_task(number):
            return


def wait_for_count(found: set[str], count: int) -> None:
    wait_for(lambda: len(found) > count or None, what=f"{count} acknowledged")


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """Where files can grow no further: UNAVAILABLE and 503 with a delay; freed, all is well."""
    with CollectorProcess(tmp_path) as collector:
        client = Client(collector.grpc)
        assert client.send("before")
        unlimited = resource.prlimit(collector.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
        sent = 0
        while client.send(f"span-{sent}", padding=5000):
            sent += 1
        metadata = dict(client.error.trailing_metadata())
        delay = error_details_pb2.RetryInfo.FromString(metadata["google.rpc.retryinfo-bin"])
        assert (client.error.code(), delay.retry_delay.seconds) == (grpc.StatusCode.UNAVAILABLE, 1)
        assert client.error.details() == "the spool cannot be written: File too large"
        body = trace_request("refused", *["x" * 1000] * 20).SerializeToString()
        answer = post(collector.ports[1], "/v1/traces", body, {"Content-Type": PROTOBUF})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, unlimited)
        assert client.send("after", padding=5000)
        client.close()
        written = collector.wait_for_spans(client.acknowledged)
        assert sorted(written) == sorted(client.acknowledged)
        assert sent > 3
        page = collector.metrics_url
        assert metric(page, "otel_parsl_collector_spool_corrupt_bytes", exporter="file") == 0


def test_a_corrupted_tail_is_said_and_skipped(tmp_path: Path) -> None:
    """Half a frame behind what was acknowledged: a clear word, and nothing acknowledged lost."""
    (port,) = free_ports(1)
    exporters = {"otlp": {"endpoint": f"http://127.0.0.1:{port}"}}
    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        client = Client(collector.grpc)
        assert client.send("before")
        collector.kill()
        client.close()
        segment = max((tmp_path / "spool").glob("traces-*.spool"))
        with open(segment, "ab") as file:
            file.write(segment.read_bytes()[:40])
        collector.start()
        client = Client(collector.grpc)
        assert client.send("after")
        client.close()
        with grpc_sink(port=port) as sink:
            expected = ["before", "after"]
            wait_for(lambda: sink.span_names() == expected or None, what="both spans")
        page = collector.metrics_url
        assert metric(page, "otel_parsl_collector_spool_corrupt_bytes", exporter="otlp") == 40
    assert f"{segment}: 40 bytes from " in collector.log_file.read_text()


def test_a_destination_that_is_away_holds_up_nobody(tmp_path: Path) -> None:
    """Away for the whole life of one collector, it gets all from the next; a file at once."""
    (port,) = free_ports(1)
    exporters = {
        "otlp": {"endpoint": f"http://127.0.0.1:{port}", "timeout": "1s"},
        "file": {"path": str(tmp_path / "out.jsonl")},
    }
    names = {f"span-{number}" for number in range(20)}
    service = {"shutdown_timeout": "200ms"}
    with CollectorProcess(tmp_path, exporters=exporters, service=service) as collector:
        client = Client(collector.grpc)
        assert all(client.send(name) for name in sorted(names))
        client.close()
        assert sorted(collector.wait_for_spans(names)) == sorted(names)
        assert url_text(collector.health_url)[0] == 200
        waiting = metric(collector.metrics_url, "otelcol_exporter_queue_size", exporter="otlp")
        assert waiting is not None
        assert waiting > 0
        assert ended(collector) == 0
        assert "otlp: " in collector.log_file.read_text()
        assert "bytes are not delivered; they stay in" in collector.log_file.read_text()
        with grpc_sink(port=port) as sink:
            collector.start()
            wait_for(lambda: set(sink.span_names()) == names or None, what="all spans")
            assert sorted(sink.span_names()) == sorted(names)
        assert sorted(collector.wait_for_spans(names)) == sorted(names)


def test_a_store_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """What comes is spooled, health says what is missing, and it is stored as soon as it can be."""
    database = tmp_path / "later" / "monitoring.db"
    exporters = {"parsl_sql": {"url": f"sqlite:///{database}"}}
    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        client = Client(collector.grpc)
        client.send_events(parsl_events(RUN_ID, 0))
        client.close()
        assert url_text(collector.health_url) == (
            503,
            '{"status": "Server not available", "troubles": ["exporter parsl_sql: the database'
            ' cannot be opened: unable to open database file"]}\n',
        )
        database.parent.mkdir()
        wait_for(lambda: database.exists() or None, what="the database")
        wait_for(lambda: url_text(collector.health_url)[0] == 200 or None, what="health")
        wait_for(lambda: tasks_in(database) == [0] or None, what="the task")


def test_what_a_locked_store_lags_behind_is_on_the_page_of_counters(tmp_path: Path) -> None:
    """While somebody holds a lock all that comes is seen to wait, and nothing once it is gone."""
    database = tmp_path / "monitoring.db"
    exporters = {"parsl_sql": {"url": f"sqlite:///{database}"}}
    with CollectorProcess(tmp_path, exporters=exporters) as collector:

        def waiting() -> float | None:
            return metric(
                collector.metrics_url, "otelcol_exporter_queue_size", exporter="parsl_sql"
            )

        client = Client(collector.grpc)
        assert client.send_task(0)
        wait_for(lambda: waiting() == 0 or None, what="the first task in the store")
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            found = [(client.send_task(task_id), waiting()) for task_id in range(1, 4)]
            other.execute("ROLLBACK")
        client.close()
        wait_for(lambda: waiting() == 0 or None, what="all tasks in the store")
        assert tasks_in(database) == [0, 1, 2, 3]
    sizes = (len(frame(LOGS, parsl_events(RUN_ID, task_id))) for task_id in range(1, 4))
    assert found == [(True, size) for size in itertools.accumulate(sizes)]


def test_a_database_server_that_is_killed_loses_nothing(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    """What is acknowledged while PostgreSQL is away is in its rows when it is back."""
    exporters = {"parsl_sql": {"url": postgres_url}}
    engine = create_engine(postgres_url)

    def tasks() -> list[int]:
        with engine.connect() as connection:
            return list(connection.scalars(select(task.c.task_id).order_by(task.c.task_id)))

    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        client = Client(collector.grpc)
        assert client.send_task(0)
        wait_for(lambda: tasks() == [0] or None, what="the first task")
        engine.dispose()
        postgres.kill()
        try:
            assert client.send_task(1)
            trouble = "parsl_sql: the database cannot be written: "
            wait_for(
                lambda: trouble in collector.log_file.read_text() or None, what="the store's error"
            )
            assert client.send_task(2)
        finally:
            postgres.start()
        wait_for(lambda: tasks() == [0, 1, 2] or None, what="all tasks")
        client.close()
        assert ended(collector) == 0
    engine.dispose()


def test_a_request_that_no_row_can_hold_is_set_aside(tmp_path: Path) -> None:
    """Anybody's telemetry may look like ours: it is kept in a file, and its neighbours stored."""
    database = tmp_path / "monitoring.db"
    exporters = {"parsl_sql": {"url": f"sqlite:///{database}"}}
    odd = SIGNALS[LOGS].request.FromString(parsl_events(RUN_ID, 1))
    for record in odd.resource_logs[0].scope_logs[0].log_records:
        for attribute in record.attributes:
            attribute.value.array_value.values.add().string_value = "odd"
    with CollectorProcess(tmp_path, exporters=exporters) as collector:
        client = Client(collector.grpc)
        for body in (parsl_events(RUN_ID, 0), odd.SerializeToString(), parsl_events(RUN_ID, 2)):
            client.send_events(body)
        client.send_events(logs_request("a stranger's").SerializeToString())
        client.close()
        wait_for(lambda: tasks_in(database) == [0, 2] or None, what="both tasks")
        failed = "otelcol_exporter_send_failed_log_records"
        wait_for(
            lambda: metric(collector.metrics_url, failed, exporter="parsl_sql") == 2 or None,
            what="the count of what was set aside",
        )
    refused = (tmp_path / "spool" / "exporter-parsl_sql" / "refused.otlp").read_bytes()
    records = odd.resource_logs[0].scope_logs[0].log_records
    assert [record.SerializeToString() in refused for record in records] == [True, True]


def started(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``otel-parsl collector`` that is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "otel_parsl.cli.main", "collector", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=READ_TIMEOUT_S,
        check=False,
    )


def test_a_spool_has_one_collector(tmp_path: Path, collector: CollectorProcess) -> None:
    """A second collector on the same spool ends at once, and says what to do."""
    file = tmp_path / "second.yaml"
    file.write_text(json.dumps(collector_config(tmp_path)))
    second = started(tmp_path, "--config", str(file))
    assert (second.returncode, second.stderr) == (
        3,
        f"otel-parsl collector: spool {tmp_path / 'spool'}: another collector uses it."
        " Stop that one, or set service.spool.directory to another\n",
    )


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("receivers.otlp.protocols.grpc.endpoint", 0),
        ("receivers.otlp.protocols.http.endpoint", 1),
        ("extensions.health_check.endpoint", 2),
        ("service.telemetry.metrics.address", 3),
    ],
)
def test_a_port_that_is_taken_is_said(
    tmp_path: Path, collector: CollectorProcess, setting: str, number: int
) -> None:
    """A port in use ends the start and says what to set; it is never shared."""
    taken = f"127.0.0.1:{collector.ports[number]}"
    (tmp_path / "second").mkdir()
    file = tmp_path / "second.yaml"
    file.write_text(json.dumps(collector_config(tmp_path / "second")))
    second = started(tmp_path, "--config", str(file), "--set", f"{setting}={taken}")
    assert second.returncode == 3
    assert f"otel-parsl collector: {taken} cannot be listened on: " in second.stderr
    assert second.stderr.endswith(
        f" Stop what listens there, or listen elsewhere: --set {setting}=HOST:PORT\n"
    )


def test_a_mistake_in_the_configuration_is_said(tmp_path: Path) -> None:
    """A mistake ends with code 2 and one sentence; a file that is not there with 3."""
    wrong = started(tmp_path, "--set", "exporters.parsl_sql.ulr=x")
    missing = started(tmp_path, "--config", "nowhere.yaml")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "otel-parsl: collector config: unknown setting 'exporters.parsl_sql.ulr'."
        " Did you mean 'exporters.parsl_sql.url'?\n",
    )
    assert (missing.returncode, missing.stderr) == (
        3,
        "otel-parsl collector: [Errno 2] No such file or directory: 'nowhere.yaml'\n",
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "collector config: exporters.parsl_sql.url: Could not parse SQLAlchemy URL"),
        ("oracel://x/y", "oracel://x/y: no such kind of database"),
    ],
)
def test_a_database_that_cannot_be_used_ends_the_start(
    tmp_path: Path, url: str, words: str
) -> None:
    """What waiting cannot mend is said at the start."""
    (http, grpc_) = free_ports(2)
    ended = started(
        tmp_path,
        *("--set", f"exporters.parsl_sql.url={url}"),
        *("--set", f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{http}"),
        *("--set", f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{grpc_}"),
        *("--set", "service.extensions=[]"),
        *("--set", "service.telemetry.metrics.level=none"),
    )
    assert ended.returncode in (2, 3)
    assert words in ended.stderr.splitlines()[-1]
