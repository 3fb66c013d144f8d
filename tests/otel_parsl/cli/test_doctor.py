"""``otel-parsl doctor``."""

from __future__ import annotations

import http.server
import importlib.metadata
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from otel_parsl_collector.store import filesystem

from otel_parsl.cli.database_check import check_database, check_journal
from otel_parsl.cli.endpoint_check import check_endpoints
from otel_parsl.cli.finding import Finding, Verdict
from otel_parsl.cli.installation_check import check_installation, check_visualize
from otel_parsl.cli.otlp_probe import SERVICES, Answer, probe
from otel_parsl.cli.own_script import make_ours
from otel_parsl.destination import Destination
from otel_parsl.schema import SCHEMA_VERSION
from tests.support.backends import Jaeger, OtelCollector
from tests.support.command_line import PROGRAM, otel_parsl, otel_parsl_by_path
from tests.support.stored_run import StoredRun

OTLP = "OTLP endpoint"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of OpenTelemetry's says anything that a test does not set."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its server was told, by the path."""

    def do_POST(self) -> None:
        """Take a request."""
        statuses: dict[str, int] = self.server.statuses  # type: ignore[attr-defined]
        seen: list[Any] = self.server.seen  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        seen.append((self.path, self.headers.get("Content-Type"), body, dict(self.headers)))
        status = statuses.get(self.path, 404)
        self.send_response(status)
        self.end_headers()
        if status >= 400:
            self.wfile.write(b"who are you?\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def _http_server(statuses: dict[str, int]) -> Iterator[tuple[str, list[Any]]]:
    """Run an HTTP server that answers paths with statuses; yield its URL and what it saw."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.statuses = statuses  # type: ignore[attr-defined]
        server.seen = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server.seen  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Takes exports of some signals, and refuses others."""

    def __init__(self, codes: dict[str, grpc.StatusCode]) -> None:
        self._codes = {f"/{SERVICES[name]}/Export": code for name, code in codes.items()}
        self.seen: list[tuple[str, bytes]] = []

    def service(self, details: Any) -> Any:
        """Return what handles a call, None for one that is not implemented."""
        if details.method not in self._codes:
            return None
        code = self._codes[details.method]

        def export(request: bytes, context: Any) -> bytes:
            self.seen.append((details.method, request))
            if code is not grpc.StatusCode.OK:
                context.abort(code, "who are you?")
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


@contextmanager
def _grpc_server(codes: dict[str, grpc.StatusCode]) -> Iterator[tuple[str, _Services]]:
    """Run a gRPC server that answers signals with codes; yield its URL and itself."""
    services = _Services(codes)
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers([services])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"http://127.0.0.1:{port}", services
        finally:
            server.stop(None).wait()


def test_http_endpoint_is_asked_by_empty_exports() -> None:
    """Each signal is asked for by a real request without content, of OTLP's type."""
    paths = {f"/base/v1/{signal}": 200 for signal in SERVICES}
    with _http_server(paths) as (url, seen):
        answers = probe(
            Destination(f"{url}/base/", "http/protobuf", (("Authorization", "Bearer x"),))
        )

    assert answers == [
        Answer(signal, is_taken=True, is_reached=True, said="HTTP 200 OK") for signal in SERVICES
    ]
    assert [each[:3] for each in seen] == [(path, "application/x-protobuf", b"") for path in paths]
    assert {each[3]["Authorization"] for each in seen} == {"Bearer x"}


def test_grpc_endpoint_is_asked_by_empty_exports() -> None:
    """Each signal's Export is called with an empty message."""
    ok = grpc.StatusCode.OK
    with _grpc_server(dict.fromkeys(SERVICES, ok)) as (url, services):
        answers = probe(Destination(url, "grpc"))

    assert answers == [
        Answer(signal, is_taken=True, is_reached=True, said="OK") for signal in SERVICES
    ]
    assert services.seen == [(f"/{service}/Export", b"") for service in SERVICES.values()]


def test_grpc_endpoint_of_traces_alone_is_well() -> None:
    """A backend as Jaeger, which implements no other signal, is well, and the rest is told."""
    with _grpc_server({"traces": grpc.StatusCode.OK}) as (url, _):
        findings = list(check_endpoints(url))

    assert findings == [
        Finding(
            f"{OTLP} {url}",
            Verdict.OK,
            "answers OTLP over grpc and takes traces;"
            " it does not take metrics, logs, which are not sent there then",
        )
    ]


def test_endpoint_without_traces_is_a_warning() -> None:
    """A backend of metrics alone does not get what people look for."""
    with _grpc_server({"metrics": grpc.StatusCode.OK}) as (url, _):
        findings = list(check_endpoints(url))

    assert findings == [
        Finding(
            f"{OTLP} {url}",
            Verdict.WARNING,
            "answers OTLP over grpc and takes metrics;"
            " it does not take traces, logs, which are not sent there then",
            "forward traces to another endpoint",
        )
    ]


def test_endpoint_of_the_other_protocol_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP endpoint that is asked by gRPC is bad, with the setting that mends it."""
    with _http_server({f"/v1/{signal}": 200 for signal in SERVICES}) as (url, _):
        (asked_wrongly,) = check_endpoints(url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        (asked_rightly,) = check_endpoints(url)

    assert asked_wrongly.verdict is Verdict.BAD
    assert asked_wrongly.found.startswith("does not answer OTLP over grpc (")
    assert asked_wrongly.found.endswith("), but over http/protobuf")
    assert asked_wrongly.advice == (
        "give protocol='http/protobuf', or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    )
    assert asked_rightly == Finding(
        f"{OTLP} {url}",
        Verdict.OK,
        "answers OTLP over http/protobuf and takes traces, metrics, logs",
    )


def test_endpoint_that_asks_who_one_is_is_told() -> None:
    """A refusal is told in the server's own words, with how to say who one is."""
    advice = (
        "where it asks who you are: give headers={'authorization': 'Bearer …'}, or set"
        " OTEL_EXPORTER_OTLP_HEADERS"
    )
    denied = grpc.StatusCode.UNAUTHENTICATED
    with _grpc_server(dict.fromkeys(SERVICES, denied)) as (url, _):
        findings = list(check_endpoints(url))

    assert findings == [
        Finding(
            f"{OTLP} {url}",
            Verdict.BAD,
            "refuses OTLP over grpc: UNAUTHENTICATED: who are you?",
            advice,
        )
    ]


def test_http_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP status and its body are told."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    with _http_server({f"/v1/{signal}": 401 for signal in SERVICES}) as (url, _):
        (finding,) = check_endpoints(url)

    assert finding.found == ("refuses OTLP over http/protobuf: HTTP 401 Unauthorized: who are you?")


def test_endpoint_that_is_not_there_is_bad() -> None:
    """Nobody at the port: both protocols' words, and what to do; the command's code is 1."""
    ran = otel_parsl("doctor", "--endpoint", "http://127.0.0.1:9", "--json")

    (finding,) = [each for each in ran.json["findings"] if each["subject"].startswith(OTLP)]
    assert ran.code == 1
    assert (finding["subject"], finding["verdict"]) == (f"{OTLP} http://127.0.0.1:9", "bad")
    assert finding["found"].startswith("does not answer OTLP over grpc: UNAVAILABLE: ")
    assert "\nnor over http/protobuf: [Errno 111] Connection refused" in finding["found"]
    assert finding["advice"] == (
        "start the backend, or mend host and port: gRPC is usually at 4317, HTTP at 4318"
    )


@pytest.mark.parametrize(
    ("endpoint", "variables", "expected"),
    [
        (
            None,
            {},
            Finding(
                OTLP,
                Verdict.NOTE,
                "none is named: runs go to their databases alone",
                "to send them to Jaeger too: OTelMonitoringHub(endpoint='http://HOST:4317')",
            ),
        ),
        (
            None,
            {"OTEL_SDK_DISABLED": "true"},
            Finding(OTLP, Verdict.NOTE, "OTEL_SDK_DISABLED is set, so nothing is forwarded"),
        ),
        (
            "http://127.0.0.1:9",
            {"OTEL_SDK_DISABLED": "true"},
            Finding(
                OTLP,
                Verdict.WARNING,
                "OTEL_SDK_DISABLED is set, so nothing is forwarded",
                "unset OTEL_SDK_DISABLED",
            ),
        ),
        (
            "localhost:4318",
            {},
            Finding(
                OTLP,
                Verdict.BAD,
                "endpoint: 'localhost:4318'; expected a URL such as http://127.0.0.1:4317",
                "mend the argument or variable",
            ),
        ),
    ],
)
def test_nothing_to_ask_is_told(
    endpoint: str | None,
    variables: dict[str, str],
    expected: Finding,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an endpoint, or with one that is no URL, that is told."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)

    assert list(check_endpoints(endpoint)) == [expected]


def test_variables_name_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the endpoint of OpenTelemetry's own variable is asked."""
    with _grpc_server(dict.fromkeys(SERVICES, grpc.StatusCode.OK)) as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        (finding,) = check_endpoints(None)

    assert (finding.subject, finding.verdict) == (f"{OTLP} {url}", Verdict.OK)


def test_real_jaeger_takes_traces_alone(jaeger: Jaeger) -> None:
    """Jaeger v2 answers on both its ports, and takes traces."""
    over_grpc = list(check_endpoints(jaeger.otlp_grpc_endpoint))
    answers = probe(Destination(jaeger.otlp_http_endpoint, "http/protobuf"))

    assert [finding.verdict for finding in over_grpc] == [Verdict.OK]
    assert over_grpc[0].found.startswith("answers OTLP over grpc and takes traces")
    assert (answers[0].signal, answers[0].is_taken) == ("traces", True)


def test_real_collector_takes_all_signals(otel_collector: OtelCollector) -> None:
    """The OpenTelemetry Collector takes an empty export of each signal over both protocols."""
    for endpoint, protocol in (
        (otel_collector.otlp_grpc_endpoint, "grpc"),
        (otel_collector.otlp_http_endpoint, "http/protobuf"),
    ):
        answers = probe(Destination(endpoint, protocol))
        assert [(answer.signal, answer.is_taken) for answer in answers] == [
            (signal, True) for signal in SERVICES
        ]


def test_installation_names_every_dependency() -> None:
    """Each package that ours needs is there with its version, and Parsl is said to be supported."""
    findings = {finding.subject: finding for finding in check_installation()}

    needed = [
        name.partition(">")[0]
        for name in importlib.metadata.requires("otel-parsl") or []
        if ";" not in name
    ]
    assert len(needed) >= 9
    for name in needed:
        assert findings[name].verdict is Verdict.OK
        assert findings[name].found.startswith(importlib.metadata.version(name))
    assert "supported from 2026.5.25 on" in findings["parsl"].found
    assert findings["OTelMonitoringHub"] == Finding(
        "OTelMonitoringHub", Verdict.OK, "finds in this Parsl what it holds on to"
    )


def test_missing_scripts_are_told(tmp_path: Path) -> None:
    """By its path, without an environment, the doctor says what HTEX would miss."""
    ran = otel_parsl_by_path("doctor", "--json", cwd=tmp_path)

    findings = {each["subject"]: each for each in ran.json["findings"]}
    assert ran.code == 0
    assert findings["PATH"] == {
        "subject": "PATH",
        "verdict": "warning",
        "found": "has no interchange.py and no process_worker_pool.py,"
        " which HighThroughputExecutor starts",
        "advice": f"before running a workflow: export PATH={PROGRAM.parent}:$PATH",
    }


@pytest.mark.parametrize(
    ("script", "verdict", "found"),
    [
        (
            "#!/usr/bin/python3\nfrom parsl.monitoring.visualization.app import cli_run\n",
            Verdict.NOTE,
            "{path} is Parsl's; otel-parsl visualize is ours",
        ),
        (
            "#!/usr/bin/python3\nfrom otel_parsl.cli.visualize import main\n",
            Verdict.OK,
            "{path} is ours",
        ),
        (
            "#!/bin/sh\necho hello\n",
            Verdict.WARNING,
            "{path} is neither Parsl's nor ours",
        ),
    ],
)
def test_owner_of_parsl_visualize_is_told(
    tmp_path: Path, script: str, verdict: Verdict, found: str
) -> None:
    """Whose parsl-visualize it is is read off the script."""
    path = tmp_path / "parsl-visualize"
    path.write_text(script)

    finding = check_visualize(str(path), beside=tmp_path)

    assert (finding.verdict, finding.found) == (verdict, found.format(path=path))


@pytest.mark.parametrize("folder", ["bin", "a folder with blanks " + "x" * 120])
def test_parsl_visualize_is_made_ours(tmp_path: Path, folder: str) -> None:
    """`doctor --fix` puts a script of ours in the place of Parsl's, whatever Python's path is."""
    beside = tmp_path / folder
    beside.mkdir()
    python = beside / "python"
    python.symlink_to(sys.executable)
    path = beside / "parsl-visualize"
    path.write_text("#!/usr/bin/python3\nfrom parsl.monitoring.visualization.app import cli_run\n")

    made = make_ours(beside, str(python), was="Parsl's")

    assert (made.verdict, made.found) == (Verdict.OK, f"{path} is ours now; it was Parsl's")
    assert check_visualize(str(path), beside=beside).found == f"{path} is ours"
    ran = subprocess.run(
        [str(path), "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "The same as: otel-parsl visualize" in " ".join(ran.stdout.split())


def test_fix_says_what_it_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor --fix` says whose parsl-visualize it replaced, and leaves a stranger's alone."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    path = tmp_path / "parsl-visualize"
    said = []
    for script in (
        "#!/usr/bin/python3\nfrom parsl.monitoring.visualization.app import cli_run\n",
        path,
        "#!/bin/sh\nexec mine\n",
        None,
    ):
        if isinstance(script, str):
            path.write_text(script)
        elif script is None:
            path.unlink()
        error = otel_parsl("doctor", "--fix", "--json").error
        said.append(error.splitlines()[0].split("parsl-visualize: ")[1])

    assert said == [
        f"{path} is ours now; it was Parsl's",
        f"{path} is ours",
        f"{path} is neither Parsl's nor ours",
        f"{path} is ours now",
    ]


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where the script cannot be put in its place, the doctor says why and what to use instead."""
    made = make_ours(tmp_path / "missing")

    assert made.verdict is Verdict.BAD
    assert made.found.endswith("parsl-visualize cannot be written: No such file or directory")
    assert made.advice == "use otel-parsl visualize, which is the same program"


def test_parsl_visualize_off_the_path_is_told(tmp_path: Path) -> None:
    """Where none is on the PATH, one beside our own program is named, or how to have one."""
    missing = check_visualize(None, beside=tmp_path)
    (tmp_path / "parsl-visualize").touch()
    elsewhere = check_visualize(None, beside=tmp_path)

    assert (missing.found, missing.advice) == (
        "not installed",
        "to have ours: otel-parsl doctor --fix",
    )
    assert (elsewhere.found, elsewhere.advice) == (
        f"not on the PATH; this environment has {tmp_path}/parsl-visualize",
        f"to have it there: export PATH={tmp_path}:$PATH",
    )


def test_database_of_ours_is_told(otel_database: Path) -> None:
    """A store of ours is told with its version, its runs and its journal."""
    owner, journal = check_database(str(otel_database))

    assert owner == Finding(
        "database", Verdict.OK, f"{otel_database} is one of ours, version {SCHEMA_VERSION}: 4 runs"
    )
    assert (journal.subject, journal.verdict) == ("journal", Verdict.OK)
    assert journal.found.endswith("where a write-ahead log is safe; it has a write-ahead log")


def test_database_of_parsls_hub_is_told(parsl_database: Path) -> None:
    """A database of Parsl's own hub is told as such; it can be continued."""
    owner, journal = check_database(str(parsl_database))

    assert owner == Finding(
        "database",
        Verdict.OK,
        f"{parsl_database} was written by Parsl's own hub: 4 runs",
        "OTelMonitoringHub can continue it: its tables are added by the next run",
    )
    assert journal.verdict is Verdict.NOTE
    assert journal.advice == (
        "none is needed: our hub turns a write-ahead log on when it next opens it"
    )


def test_database_of_neither_is_bad(tmp_path: Path) -> None:
    """A database of something else, a file that is none, and one that is not there, are bad where
    they were named; of a journal of ours nothing is said there."""
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE thing (id INTEGER)")

    junk = tmp_path / "junk.db"
    junk.write_bytes(b"no database" * 100)

    (bad,) = check_database(str(foreign))
    (no_sqlite,) = check_database(str(junk))
    missing = list(check_database(str(tmp_path / "no.db")))

    assert bad.verdict is no_sqlite.verdict is Verdict.BAD
    assert "not a monitoring database" in bad.found
    assert "not an SQLite database" in no_sqlite.found
    assert missing == [
        Finding(
            "database",
            Verdict.BAD,
            f"database {tmp_path}/no.db: no such file."
            " Parsl keeps it in runinfo/monitoring.db by default",
        )
    ]
    assert not (tmp_path / "no.db").exists()


def test_server_that_cannot_be_had_is_bad() -> None:
    """Where PostgreSQL refuses the connection, what to look at is said."""
    (finding,) = check_database("postgresql://127.0.0.1:9/name")

    assert finding.verdict is Verdict.BAD
    assert finding.found.startswith("database postgresql://127.0.0.1:9/name: cannot be read: ")
    assert finding.advice == (
        "start the server, or mend user, password, host, port and name of the URL"
    )


def test_bad_journal_is_told_of_a_database_that_cannot_be_read(
    otel_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write-ahead log where none may be is named also where the database cannot be used."""
    path = tmp_path / "newer.db"
    path.write_bytes(otel_database.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE otel_schema SET version = version + 1")
        connection.commit()
    monkeypatch.setattr(filesystem, "_number", lambda _: 0x6969)

    owner, journal = check_database(str(path))

    assert (owner.verdict, journal.verdict) == (Verdict.BAD, Verdict.BAD)
    assert journal.found.endswith("may not be safe; it has a write-ahead log")


def test_folder_without_a_database_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no run has been yet, the journal that one would get is told."""
    monkeypatch.chdir(tmp_path)

    missing, journal = check_database(None)

    assert missing.verdict is Verdict.NOTE
    assert journal.verdict is Verdict.OK
    assert journal.found.endswith("a write-ahead log is safe: a write-ahead log")
    assert list(tmp_path.iterdir()) == []


def test_journal_that_the_filesystem_allows_is_told(tmp_path: Path) -> None:
    """A store of ours on a local disk has a write-ahead log."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db"):
        pass

    finding = check_journal(tmp_path / "monitoring.db")

    assert (finding.verdict, finding.advice) == (Verdict.OK, "")
    assert finding.found.endswith("where a write-ahead log is safe; it has a write-ahead log")


def test_text_has_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finding is a line that begins with its verdict, and what to do stands below it."""
    monkeypatch.chdir(tmp_path)

    ran = otel_parsl("doctor")

    verdicts = {verdict.value for verdict in Verdict}
    assert {line.split()[0] for line in ran.lines if line[0] != " "} <= verdicts
    at = ran.lines.index("note    OTLP endpoint: none is named: runs go to their databases alone")
    assert ran.lines[at + 1] == (
        "        do: to send them to Jaeger too: OTelMonitoringHub(endpoint='http://HOST:4317')"
    )
