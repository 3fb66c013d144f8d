"""Runs forwarded to a real OpenTelemetry Collector that has TLS, by a site's own authority."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.exporters.otlp_transport import (
    Answer,
    Unavailable,
    transport,
)

from otel_parsl import OTelMonitoringHub
from otel_parsl.cli.otlp_probe import probe
from otel_parsl.destination import Destination
from otel_parsl.errors import ConfigError
from otel_parsl.wire import TRACES
from tests.support.backend_fixtures import missing_fails_or_skips
from tests.support.certificates import Certificates, make_certificates
from tests.support.otel_collector import OtelCollector
from tests.support.programs import Program, query, run

TOKEN = "a-sites-token"
PROGRAM = """
import json, pathlib
with parsl.load(Config(executors=[ThreadPoolExecutor()],
                       monitoring=OTelMonitoringHub(forward_to={destinations!r}))):
    assert nothing().result() is None
"""
UNTIL_ANSWERED = """
    answered = []
    while len(answered) < 3:
        time.sleep(0.1)
        status = pathlib.Path("runinfo/000/otel-parsl/status.json")
        said = json.loads(status.read_text())["destinations"] if status.exists() else []
        answered = [destination for destination in said if destination["error"]]
    began = time.monotonic()
assert time.monotonic() - began < 10, "cleanup waited for a destination"
"""
PROTOCOLS = ("grpc", "http/protobuf")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The site's."""
    return make_certificates(tmp_path_factory.mktemp("site") / "certificates")


@contextmanager
def _collector(directory: Path, **settings: Any) -> Iterator[OtelCollector]:
    with missing_fails_or_skips():
        server = OtelCollector(directory, **settings)
    with server:
        yield server


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[OtelCollector]:
    """A collector that takes nothing without TLS and a token."""
    directory = tmp_path_factory.mktemp("guarded")
    with _collector(directory, token=TOKEN, certificates=certificates) as server:
        yield server


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[OtelCollector]:
    """A collector that takes nothing from clients without a certificate by the site."""
    directory, clients = tmp_path_factory.mktemp("asking"), certificates.authority
    with _collector(directory, certificates=certificates, clients=clients) as server:
        yield server


def _url(collector: OtelCollector, protocol: str) -> str:
    is_grpc = protocol == "grpc"
    url = collector.otlp_grpc_endpoint if is_grpc else collector.otlp_http_endpoint
    return url.replace("http:", "https:")


def _destination(
    collector: OtelCollector, protocol: str, certificate: Path, token: str = TOKEN
) -> dict[str, object]:
    return {
        "endpoint": _url(collector, protocol),
        "protocol": protocol,
        "headers": {"Authorization": f"Bearer {token}"},
        "certificate": str(certificate),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_run_reaches_an_endpoint_with_tls_and_a_token(
    tmp_path: Path, guarded: OtelCollector, certificates: Certificates, protocol: str
) -> None:
    """With the authority's certificates and the bearer token every span of a run arrives."""
    given = _destination(guarded, protocol, certificates.authority)
    program = run(tmp_path, PROGRAM.format(destinations=[given]))

    spans = guarded.spans(_trace_id(program), span_count=4)
    assert sorted(span["name"] for span in spans.values()) == ["nothing"] * 3 + ["program.py"]
    assert "127.0.0.1" not in program.output


def test_endpoint_that_is_not_trusted_is_said_and_leaves_the_run_alone(
    tmp_path: Path, guarded: OtelCollector, certificates: Certificates
) -> None:
    """A certificate by another authority: nothing is sent, the user is told, the run is stored."""
    other = make_certificates(tmp_path / "other").authority
    given = [_destination(guarded, protocol, other) for protocol in PROTOCOLS]
    given += [_destination(guarded, "grpc", certificates.authority, token="wrong")]
    program = Program(tmp_path / "program", PROGRAM.format(destinations=given) + UNTIL_ANSWERED)
    program.wait()
    status = json.loads((program.spool / "status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)  # or it goes on for a minute

    said = [line for line in program.output.splitlines() if "127.0.0.1" in line]
    assert [("completed", 1)] == query(
        program.database, "SELECT outcome, tasks_completed_count FROM otel_run JOIN workflow"
    )
    assert [0, 0, 0] == [destination["sent"] for destination in status["destinations"]]
    assert [
        ("not all is at", True, False),
        ("not all is at", True, False),
        ("has refused", False, True),
    ] == [
        (
            "not all is at" if "not all is at" in line else "has refused",
            "name the file of that authority's certificates as 'certificate'" in line,
            "UNAUTHENTICATED" in line,
        )
        for line in said
    ]


def _trace_id(program: Program) -> str:
    ((run_id,),) = query(program.database, "SELECT run_id FROM workflow")
    return str(run_id).replace("-", "")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificate_that_is_none_is_refused_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    """A file that is not there, or holds no certificate, is said before anything runs."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    hub = OTelMonitoringHub(endpoint="https://127.0.0.1:4317", certificate=str(path))
    with pytest.raises(ConfigError, match=r"ca\.pem': .*; expected a file of certificates in PEM"):
        hub.start(str(tmp_path), str(tmp_path), None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_run_shows_the_certificate_that_the_variables_name(
    tmp_path: Path, asking: OtelCollector, certificates: Certificates, protocol: str
) -> None:
    """OpenTelemetry's own variables let a run in where each client has to show who it is."""
    program = run(
        tmp_path,
        PROGRAM.format(destinations=[]),
        OTEL_EXPORTER_OTLP_ENDPOINT=_url(asking, protocol),
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(certificates.authority),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(certificates.certificate),
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(certificates.key),
    )

    spans = asking.spans(_trace_id(program), span_count=4)
    assert sorted(span["name"] for span in spans.values()) == ["nothing"] * 3 + ["program.py"]
    assert "127.0.0.1" not in program.output


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_certificate_and_key_may_be_in_one_file(
    asking: OtelCollector, certificates: Certificates, protocol: str
) -> None:
    """A file with both, as grid proxies are, is enough, for a run as for the doctor."""
    url, authority, both = _url(asking, protocol), certificates.authority, certificates.both

    destination = Destination(
        url, protocol, certificate=str(authority), client_certificate=str(both)
    )
    assert transport(destination)(TRACES, b"") == Answer()
    answers = probe(destination)
    assert [(answer.signal, answer.is_taken) for answer in answers] == [
        ("traces", True),
        ("metrics", True),
        ("logs", True),
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_endpoint_that_asks_who_one_is_is_said(
    asking: OtelCollector, certificates: Certificates, protocol: str
) -> None:
    """Without a certificate of one's own nothing is lost, and the word says what to name."""
    destination = Destination(
        _url(asking, protocol), protocol, certificate=str(certificates.authority)
    )
    with pytest.raises(Unavailable, match="'client_certificate' and 'client_key'"):
        transport(destination)(TRACES, b"")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_endpoint_without_tls_is_said(tmp_path: Path, protocol: str) -> None:
    """To https:// where nobody speaks TLS the word is what the endpoint should be."""
    with (
        _collector(tmp_path) as server,
        pytest.raises(Unavailable, match="its endpoint is one with http://"),
    ):
        transport(Destination(_url(server, protocol), protocol))(TRACES, b"")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_certificate_that_goes_away_is_waited_for(
    tmp_path: Path, asking: OtelCollector, certificates: Certificates, protocol: str
) -> None:
    """A certificate that cannot be read now keeps telemetry back until it can be."""
    trusted = tmp_path / "ca.pem"
    send = transport(
        Destination(
            _url(asking, protocol),
            protocol,
            certificate=str(trusted),
            client_certificate=str(certificates.both),
        )
    )
    with pytest.raises(Unavailable, match="No such file"):
        send(TRACES, b"")
    trusted.write_bytes(certificates.authority.read_bytes())
    assert send(TRACES, b"") == Answer()


def test_key_with_a_password_is_refused_at_the_start(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A key that nobody could be asked the password of is said before anything runs."""
    key = tmp_path / "locked.pem"
    locking = ["openssl", "pkey", "-in", str(certificates.key), "-aes128", "-out", str(key)]
    subprocess.run([*locking, "-passout", "pass:secret"], check=True)
    destination = {
        "endpoint": "https://127.0.0.1:4317",
        "client_certificate": str(certificates.certificate),
        "client_key": str(key),
    }
    hub = OTelMonitoringHub(forward_to=[destination])
    with pytest.raises(ConfigError, match="in PEM, the key without a password"):
        hub.start(str(tmp_path), str(tmp_path), None)
