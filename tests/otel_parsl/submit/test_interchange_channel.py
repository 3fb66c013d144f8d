"""What an interchange sends is taken whole and in order, at the end too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zmq
from parsl import curvezmq

from otel_parsl.interchange_messages import INTERCHANGE, Heard, content, frame
from otel_parsl.spool import payloads
from otel_parsl.submit.interchange_channel import InterchangeChannel
from tests.support.programs import until

PORTS = (52000, 56000)


@contextmanager
def _sender(port: int, cert_dir: Path | None) -> Iterator[zmq.Socket[bytes]]:
    context = curvezmq.ClientContext(cert_dir)
    sender = context.socket(zmq.DEALER)
    sender.connect(f"tcp://127.0.0.1:{port}")
    try:
        yield sender
    finally:
        sender.close(linger=5000)
        context.term()


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_all_that_was_sent_before_the_end_is_taken(tmp_path: Path, is_encrypted: bool) -> None:
    """More than is read at once, and the last just before it is closed, as HTEX does."""
    cert_dir = Path(curvezmq.create_certificates(tmp_path)) if is_encrypted else None
    taken: list[bytes] = []
    channel = InterchangeChannel(curvezmq.ServerContext(cert_dir), "127.0.0.1", PORTS, taken.extend)
    sent = [b"%d" % number for number in range(5000)]
    with _sender(channel.port, cert_dir) as sender:
        for message in sent:
            sender.send(message)
        until(lambda: taken)
    channel.close()
    channel.close()
    assert taken == sent


def test_what_is_on_its_way_at_the_end_is_waited_for() -> None:
    """A busy machine may take its time with what an interchange sent before it ended."""
    taken: list[bytes] = []
    channel = InterchangeChannel(curvezmq.ServerContext(None), "127.0.0.1", PORTS, taken.extend)
    may_go_on = threading.Event()
    may_go_on.set()
    with _slow_road(channel.port, may_go_on) as port:
        with _sender(port, None) as sender:
            sender.send(b"first")
            until(lambda: taken)
            may_go_on.clear()
            sender.send(b"last")
        threading.Timer(0.3, may_go_on.set).start()
        channel.close()
    assert taken == [b"first", b"last"]


@contextmanager
def _slow_road(port: int, may_go_on: threading.Event) -> Iterator[int]:
    """Give a port whose bytes go to another one, while they may."""

    def carry(here: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := here.recv(1 << 16):
                may_go_on.wait()
                there.sendall(data)
        may_go_on.wait()
        there.close()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=carry, args=(there, here), daemon=True).start()
            carry(here, there)

        serving = threading.Thread(target=serve)
        serving.start()
        yield server.getsockname()[1]
        serving.join()


def test_one_that_is_never_silent_is_left_in_the_end() -> None:
    """A program that ends without a cleanup is not kept by an interchange that goes on."""
    taken: list[bytes] = []
    channel = InterchangeChannel(curvezmq.ServerContext(None), "127.0.0.1", PORTS, taken.extend)
    is_over = threading.Event()
    with _sender(channel.port, None) as sender:

        def talk() -> None:
            while not is_over.wait(0.05):
                sender.send(b"more")

        talking = threading.Thread(target=talk)
        talking.start()
        until(lambda: taken)
        closing = threading.Thread(target=channel.close)
        closing.start()
        closing.join(timeout=30)
        was_closed = not closing.is_alive()
        is_over.set()
        talking.join()
        sender.setsockopt(zmq.LINGER, 0)
    assert was_closed


def test_no_free_port_is_an_error() -> None:
    """The range that Parsl gives may be taken."""
    first = InterchangeChannel(curvezmq.ServerContext(None), "127.0.0.1", PORTS, list)
    try:
        with pytest.raises(zmq.ZMQBindError):
            InterchangeChannel(
                curvezmq.ServerContext(None), "127.0.0.1", (first.port, first.port + 1), list
            )
    finally:
        first.close()


def test_frames_give_back_what_was_heard() -> None:
    """Messages hold any bytes, of any number, new lines among them."""
    heard = Heard("an executor\n", 120.0, [b"", b"\n\x00", b"[1]\n"])
    ((signal, payload),) = payloads(frame(heard))
    assert signal == INTERCHANGE
    assert content(payload) == heard
    with pytest.raises(ValueError, match="not enough values"):
        content(b'["htex", 120.0]\nabc')
