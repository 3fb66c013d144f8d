"""Who is let in: TLS, a bearer token, and addresses that others can reach."""

from __future__ import annotations

import http.client
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import status_pb2
from otel_parsl_collector.config import load_config
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.service import Service
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.wire import TRACES
from tests.support.collector import Running, collector_config, running, span_names
from tests.support.http_wire import post
from tests.support.otlp_requests import trace_request
from tests.support.server_process import wait_for

TOKEN = "a-secret-token"
TYPE = {"Content-Type": "application/x-protobuf"}


class Guarded(NamedTuple):
    """A collector with TLS and a token, and what a client needs."""

    at: Running
    certificate: Path
    out: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1; its key is beside it as key.pem."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt"],
            *["ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1", "-addext"],
            *[
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ],
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    return directory / "cert.pem"


def guarded_config(directory: Path, certificate: Path, host: str) -> dict[str, Any]:
    guard = {
        "endpoint": f"{host}:0",
        "tls": {"cert_file": str(certificate), "key_file": str(certificate.with_name("key.pem"))},
        "auth": {"authenticator": "bearertokenauth"},
    }
    token_file = directory / "token"
    token_file.write_text(f"{TOKEN}\n")
    return collector_config(
        directory,
        grpc=guard,
        http=guard,
        extensions={"bearertokenauth": {"filename": str(token_file)}},
    )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Guarded]:
    """It listens on every address, which its guard allows."""
    directory = tmp_path_factory.mktemp("guarded")
    with running(guarded_config(directory, certificate, "0.0.0.0")) as at:
        yield Guarded(at, certificate, directory / "out.jsonl")


def call(guarded: Guarded, name: str, *metadata: tuple[str, str]) -> grpc.StatusCode:
    credentials = grpc.ssl_channel_credentials(guarded.certificate.read_bytes())
    with grpc.secure_channel(guarded.at.grpc, credentials) as channel:
        export = channel.unary_unary(f"/{SIGNALS[TRACES].service}/Export")
        try:
            export(trace_request(name).SerializeToString(), timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def send(guarded: Guarded, name: str, **headers: str) -> http.client.HTTPResponse:
    context = ssl.create_default_context(cafile=str(guarded.certificate))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", guarded.at.http_port, timeout=30, context=context
    )
    body = trace_request(name).SerializeToString()
    connection.request("POST", "/v1/traces", body, {**TYPE, **headers})
    return connection.getresponse()


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_token_nothing_comes_in(guarded: Guarded, authorization: str | None) -> None:
    """No token, or a wrong one: UNAUTHENTICATED and HTTP 401, and no trace in what is written."""
    given = {} if authorization is None else {"Authorization": authorization}
    response = send(guarded, "unknown", **given)
    status = status_pb2.Status.FromString(response.read())
    assert (response.status, response.getheader("WWW-Authenticate"), status.code) == (
        401,
        "Bearer",
        16,
    )
    if authorization is None or authorization.isascii():
        metadata = [(name.lower(), value) for name, value in given.items()]
        assert call(guarded, "unknown", *metadata) == grpc.StatusCode.UNAUTHENTICATED
    assert "unknown" not in span_names(guarded.out)


def test_with_the_token_all_comes_in(guarded: Guarded) -> None:
    """With the token both transports take requests over TLS."""
    value = f"Bearer {TOKEN}"
    assert call(guarded, "by-grpc", ("authorization", value)) == grpc.StatusCode.OK
    assert send(guarded, "by-http", Authorization=value).status == 200

    def arrived() -> bool | None:
        return {"by-grpc", "by-http"} <= set(span_names(guarded.out)) or None

    wait_for(arrived, what="both spans")


def test_without_tls_nothing_comes_in(guarded: Guarded) -> None:
    """A client that speaks plain text to a port with TLS gets no answer of ours."""
    with pytest.raises((OSError, http.client.HTTPException)):
        post(guarded.at.http_port, "/v1/traces", b"", TYPE)


def test_an_exporter_of_ours_comes_in(tmp_path: Path, guarded: Guarded) -> None:
    """A collector forwards to a guarded one: its certificate trusted, its token shown."""
    token = {"bearertokenauth/out": {"token": TOKEN}}
    trust = {"ca_file": str(guarded.certificate)}
    shown = {"authenticator": "bearertokenauth/out"}
    exporters = {
        "otlp": {"endpoint": guarded.at.grpc, "tls": trust, "auth": shown},
        "otlphttp": {
            "endpoint": guarded.at.http.replace("http:", "https:"),
            "tls": trust,
            "auth": shown,
        },
    }
    config = collector_config(tmp_path, exporters=exporters, extensions=token)
    with running(config) as at:
        body = trace_request("forwarded").SerializeToString()
        assert post(at.http_port, "/v1/traces", body, TYPE).status == 200
        twice = ["forwarded", "forwarded"]
        wait_for(
            lambda: [n for n in span_names(guarded.out) if n == "forwarded"] == twice or None,
            what="the span by both exporters",
        )


def test_insecure_is_taken_at_its_word(tmp_path: Path) -> None:
    """With --insecure a collector listens on every address without a guard."""
    config = collector_config(tmp_path, grpc={"endpoint": ":0"}, http={"endpoint": "0.0.0.0:0"})
    with running(config, is_insecure=True) as at:
        assert post(at.http_port, "/v1/traces", b"", TYPE).status == 200


@pytest.mark.parametrize("missing", ["tls", "auth"])
def test_half_a_guard_is_none(tmp_path: Path, certificate: Path, missing: str) -> None:
    """Beyond loopback it takes TLS and a token, not one of them."""
    config = guarded_config(tmp_path, certificate, "0.0.0.0")
    del config["receivers"]["otlp"]["protocols"]["grpc"][missing]
    with pytest.raises(ConfigError, match="which other machines can reach; set tls and auth"):
        Service(load_config(str(config)), is_insecure=False)


def test_certificates_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """A certificate that is not there is said at the start, with its setting."""
    tls = {"cert_file": "/nowhere/cert.pem", "key_file": "/nowhere/key.pem"}
    config = collector_config(tmp_path, grpc={"tls": tls})
    with pytest.raises(ConfigError) as caught:
        Service(load_config(str(config)), is_insecure=False)
    assert str(caught.value).startswith(
        "collector config: receivers.otlp.protocols.grpc.tls cannot be used: [Errno 2] No such file"
    )
