"""A worker's sender and the agent's receiver: who is let in, and which address is taken."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otel_parsl_collector.agent.direct_receiver import DirectReceiver
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.spool_space import SpoolSpace

from otel_parsl.direct import TIMEOUT_S, DirectSender, Receiver, Unreachable
from otel_parsl.spool import Frame, SpoolReader, frame
from otel_parsl.submit.reserved_port import listening_host
from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.http_wire import post
from tests.support.otlp_requests import logs_request, metrics_request, trace_request

TOKEN = "a token"
SPAN = trace_request("span").SerializeToString()
LOCAL = ("127.0.0.1", "::1")


def receiver_at(directory: Path, endpoint: Endpoint) -> DirectReceiver:
    space = SpoolSpace(directory, max_bytes=1 << 30)
    return DirectReceiver(directory, endpoint=endpoint, token=TOKEN, space=space)


@contextmanager
def receiving(directory: Path, address: str | None = "127.0.0.1") -> Iterator[DirectReceiver]:
    receiver = receiver_at(directory, Endpoint(listening_host(address), 0))
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


def spooled(directory: Path) -> list[bytes]:
    frames = SpoolReader(directory, "direct").read(1 << 30)
    return [found.payload for found in frames if isinstance(found, Frame)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer another"}, id="another"),
        pytest.param({"Authorization": TOKEN}, id="no-scheme"),
    ],
)
def test_who_has_not_the_token_is_refused_and_leaves_nothing(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    """A request without the run's token gets a 401, and nothing of it is kept."""
    with receiving(tmp_path) as receiver:
        headers |= {"Content-Type": "application/x-protobuf"}
        refused = post(receiver.port, "/v1/traces", SPAN, headers)
        headers["Authorization"] = f"Bearer {TOKEN}"
        taken = post(receiver.port, "/v1/traces", SPAN, headers)

    assert (401, "Bearer") == (refused.status, refused.headers["www-authenticate"])
    assert 200 == taken.status
    assert [SPAN] == spooled(tmp_path)


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        pytest.param("127.0.0.1", ("127.0.0.1",), id="IPv4"),
        pytest.param("::1", ("::1",), id="IPv6"),
        pytest.param("localhost", ("localhost",), id="localhost"),
        pytest.param(socket.gethostname(), LOCAL, id="a-name-that-may-mean-another-address"),
        pytest.param("198.51.100.7", ("127.0.0.1",), id="an-address-that-is-translated-IPv4"),
        pytest.param("2001:db8::7", ("::1",), id="an-address-that-is-translated-IPv6"),
        pytest.param("0.0.0.0", LOCAL, id="unspecified"),
        pytest.param(None, ("127.0.0.1",), id="any-IPv4"),
        pytest.param(None, ("::1",), id="any-IPv6"),
    ],
)
def test_workers_come_in_at_the_address_that_they_were_told(
    tmp_path: Path, address: str | None, hosts: tuple[str, ...]
) -> None:
    """Whatever hub_address is, the agent listens where workers then come."""
    with receiving(tmp_path, address) as receiver:
        DirectSender(Receiver(hosts, receiver.port, TOKEN)).send(frame(TRACES, SPAN))

    assert [SPAN] == spooled(tmp_path)


def test_given_address_of_this_host_is_the_only_one_listened_on(tmp_path: Path) -> None:
    """With hub_address=127.0.0.1 nobody comes in at another address of this host."""
    with receiving(tmp_path, "127.0.0.1") as receiver:
        sender = DirectSender(Receiver(("::1", "127.0.0.2"), receiver.port, TOKEN))
        with pytest.raises(Unreachable):
            sender.send(frame(TRACES, SPAN))


def test_right_address_is_found_and_no_other_server_learns_the_token(tmp_path: Path) -> None:
    """Of many addresses the agent's is taken: not a dead one, and not somebody else's server."""
    heard: list[str] = []

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_response(200)
            self.send_header("Content-Length", "64")
            self.end_headers()
            self.wfile.write(b"0" * 64)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with receiving(tmp_path, "::1") as receiver:
        stranger = http.server.ThreadingHTTPServer(("127.0.0.1", receiver.port), Stranger)
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        hosts = ("no-such-host.invalid", "198.51.100.7", "127.0.0.2", "127.0.0.1", "::1")
        sender = DirectSender(Receiver(hosts, receiver.port, TOKEN))
        began = time.monotonic()
        for _ in range(3):
            sender.send(frame(TRACES, SPAN))
        took_s = time.monotonic() - began
        stranger.shutdown()
        stranger.server_close()

    assert [SPAN] * 3 == spooled(tmp_path)
    assert 0 == sender.failures
    assert TOKEN not in "".join(heard)
    assert took_s < 3 * TIMEOUT_S


def test_agent_that_is_nowhere_is_not_sought_again_at_once(tmp_path: Path) -> None:
    """A worker that reaches nobody says why, by address, and pauses; once one is there it sends."""
    with receiving(tmp_path) as receiver:
        port = receiver.port
    sender = DirectSender(Receiver(("127.0.0.1", "::1"), port, TOKEN))
    with pytest.raises(Unreachable):
        sender.send(frame(TRACES, SPAN))

    refused = "Connection refused"
    assert f"port {port}: NotReached: 127.0.0.1: {refused}; ::1: {refused}" == sender.failure
    assert (1, False) == (sender.failures, sender.is_due())
    assert TOKEN not in repr(sender.receiver)

    again = receiver_at(tmp_path, Endpoint("127.0.0.1", port))
    again.start()
    sender.send(frame(TRACES, SPAN))
    again.stop()
    assert [SPAN] == spooled(tmp_path)


def test_many_samples_go_in_requests_of_a_size_that_is_taken(tmp_path: Path) -> None:
    """What has waited for long is sent in several requests, and nothing of it is missing."""
    log = logs_request("x" * 3_000_000).SerializeToString()
    metric = metrics_request(1.0).SerializeToString()
    sent = [(LOGS, log), (METRICS, metric), (LOGS, log), (TRACES, SPAN), (LOGS, log)]
    with receiving(tmp_path) as receiver:
        sender = DirectSender(Receiver(("127.0.0.1",), receiver.port, TOKEN))
        sender.send(b"".join(frame(*each) for each in sent))

    found = sorted(spooled(tmp_path))
    assert sorted([log, log, log, metric, SPAN]) == found
