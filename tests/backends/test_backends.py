"""Each real backend starts and answers, so that a test that fails elsewhere is about our code."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from tests.support.backend_fixtures import missing_fails_or_skips
from tests.support.backends import BackendMissing, Forwarding, Jaeger, OtelCollector, Postgres
from tests.support.server_process import ServerFailed


def send_span(
    exporter: SpanExporter, *, name: str, service: str = "backend-test"
) -> tuple[str, str]:
    """Send one span with the stock SDK and return its trace id and span id."""
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("tests").start_as_current_span(name) as span:
        context = span.get_span_context()
    provider.shutdown()
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def grpc_exporter(server: Jaeger | OtelCollector) -> SpanExporter:
    """Return the stock exporter over OTLP/gRPC to a server on loopback."""
    return GrpcExporter(endpoint=server.otlp_grpc_endpoint, insecure=True)


def http_exporter(
    server: Jaeger | OtelCollector, headers: dict[str, str] | None = None
) -> HttpExporter:
    """Return the stock exporter over OTLP/HTTP to a server on loopback."""
    return HttpExporter(endpoint=f"{server.otlp_http_endpoint}/v1/traces", headers=headers)


def test_jaeger_gives_back_a_span_sent_over_grpc(jaeger: Jaeger) -> None:
    """A span sent by OTLP/gRPC is found by its trace id, and its service by name."""
    trace_id, span_id = send_span(grpc_exporter(jaeger), name="over grpc", service="grpc-test")

    spans = jaeger.spans(trace_id)

    assert {span_id: "over grpc"} == {key: span["operationName"] for key, span in spans.items()}
    assert "grpc-test" in jaeger.services()


def test_jaeger_gives_back_a_span_sent_over_http(jaeger: Jaeger) -> None:
    """A span sent by OTLP/HTTP is found by its trace id."""
    trace_id, span_id = send_span(http_exporter(jaeger), name="over http")

    trace = jaeger.trace(trace_id)

    assert trace_id == trace["traceID"]
    assert [span_id] == [span["spanID"] for span in trace["spans"]]


def test_jaeger_says_what_it_waited_for(jaeger: Jaeger) -> None:
    """A trace that never comes ends in an error that names it, after the time asked for."""
    trace_id = secrets.token_hex(16)

    with pytest.raises(TimeoutError, match=f"trace {trace_id} with 1 spans"):
        jaeger.trace(trace_id, timeout_s=0.1)


def test_jaeger_returns_on_the_same_ports(tmp_path: Path) -> None:
    """A Jaeger that was killed and started again is empty and answers where it did."""
    with missing_fails_or_skips():
        server = Jaeger(tmp_path)
    with server:
        before = (server.otlp_grpc_endpoint, server.query_url)
        send_span(grpc_exporter(server), name="lost")
        server.kill()
        server.start()

        assert before == (server.otlp_grpc_endpoint, server.query_url)
        assert server.services() == []
        trace_id, span_id = send_span(grpc_exporter(server), name="kept")
        assert [span_id] == list(server.spans(trace_id))


def test_two_jaegers_run_side_by_side(jaeger: Jaeger, tmp_path: Path) -> None:
    """A second Jaeger takes other ports and knows nothing of the first one's spans."""
    with Jaeger(tmp_path) as other:
        trace_id, _ = send_span(grpc_exporter(jaeger), name="first")
        jaeger.trace(trace_id)

        assert set(jaeger.ports).isdisjoint(other.ports)
        assert other.services() == []


@pytest.mark.parametrize("exporter", [grpc_exporter, http_exporter])
def test_otel_collector_writes_a_span_to_its_file(
    otel_collector: OtelCollector, exporter: Callable[[OtelCollector], SpanExporter]
) -> None:
    """A span sent by either transport stands in the file of OTLP JSON lines."""
    trace_id, span_id = send_span(exporter(otel_collector), name="to a file")

    spans = otel_collector.spans(trace_id)

    assert {span_id: "to a file"} == {key: span["name"] for key, span in spans.items()}


def test_otel_collector_refuses_a_client_without_its_token(tmp_path: Path) -> None:
    """With a token, a span that carries it is written and one without it is not."""
    with otel_collector_with(tmp_path, token="a-token") as server:
        send_span(http_exporter(server), name="refused")
        trace_id, _ = send_span(
            http_exporter(server, headers={"authorization": "Bearer a-token"}), name="let in"
        )
        server.spans(trace_id)

        names = [
            span["name"]
            for request in server.requests()
            for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        ]
        assert names == ["let in"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_otel_collector_forwards_after_a_kill(tmp_path: Path, protocol: str) -> None:
    """What a killed collector had queued on disk reaches its destination after a restart."""
    (tmp_path / "source").mkdir()
    (tmp_path / "destination").mkdir()
    with otel_collector_with(tmp_path / "destination") as destination:
        endpoint = {
            "grpc": destination.otlp_grpc_endpoint,
            "http/protobuf": destination.otlp_http_endpoint,
        }[protocol]
        destination.stop()
        forwarding = Forwarding(endpoint=endpoint, protocol=protocol, is_persistent=True)
        with OtelCollector(tmp_path / "source", forwarding=forwarding) as source:
            trace_id, span_id = send_span(grpc_exporter(source), name="forwarded")
            source.spans(trace_id)
            source.kill()
            destination.start()
            source.start()

            assert [span_id] == list(destination.spans(trace_id))


def test_postgres_answers(postgres_url: str) -> None:
    """The fresh database of a test is PostgreSQL and answers a query."""
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.connect() as connection:
        answer = connection.execute(sqlalchemy.text("SELECT 1")).scalar_one()
    engine.dispose()

    assert (engine.dialect.name, answer) == ("postgresql", 1)


def test_postgres_databases_are_empty_and_apart(postgres: Postgres) -> None:
    """A table made in one database is not in the next."""
    with postgres.database() as first, postgres.database() as second:
        engines = [sqlalchemy.create_engine(url) for url in (first, second)]
        with engines[0].begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE only_here (key INTEGER)"))

        tables = [sqlalchemy.inspect(engine).get_table_names() for engine in engines]
        for engine in engines:
            engine.dispose()

    assert tables == [["only_here"], []]


def test_postgres_keeps_its_rows_over_a_crash(tmp_path: Path) -> None:
    """What was committed before a crash is there when the server is started again."""
    with missing_fails_or_skips():
        server = Postgres(tmp_path)
    with server, server.database() as url:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE kept (key INTEGER)"))
            connection.execute(sqlalchemy.text("INSERT INTO kept VALUES (7)"))
        engine.dispose()
        server.kill()
        server.start()
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT key FROM kept")).scalars().all()
        engine.dispose()

    assert rows == [7]


@pytest.mark.parametrize("backend", [Jaeger, OtelCollector])
def test_missing_backend_names_its_command(
    backend: type[Jaeger] | type[OtelCollector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is provisioned, the error says what to type."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(BackendMissing, match=rf"provision\.py --only {backend.name}$"):
        backend(tmp_path)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_missing_backend_fails_in_ci_alone(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing backend fails its tests in CI and skips them for a person, with the command."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match=r"^type this$"), missing_fails_or_skips():
        raise BackendMissing("type this")


def test_taken_port_is_said(tmp_path: Path) -> None:
    """A server whose ports are taken when it comes back ends in an error with its own words."""
    with otel_collector_with(tmp_path) as server:
        server.stop()
        with (
            socket.create_server(("127.0.0.1", server.ports[0])),
            pytest.raises(ServerFailed, match="address already in use"),
        ):
            server.start()
        server.start()

        assert server.pid > 0


@contextmanager
def otel_collector_with(directory: Path, *, token: str | None = None) -> Iterator[OtelCollector]:
    """Run a collector of this test's own."""
    with missing_fails_or_skips():
        server = OtelCollector(directory, token=token)
    with server:
        yield server
