"""
The receiver of HTEX's monitoring channel: what its interchange reports of managers, and what
workers send while a try runs.

Stands in for ``parsl/monitoring/radios/zmq_router.py``, so that none of it passes through the
DataFlowKernel's process.
"""

from __future__ import annotations

import datetime
import io
import logging
import pickle
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from otel_parsl import __version__, semconv, wire
from otel_parsl.messages import manager_attributes, manager_metrics
from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.seldom import Seldom
from otel_parsl.spool import frame
from otel_parsl.wire import METRICS, Key
from otel_parsl_collector.receivers.relay import Relay

logger = logging.getLogger(__name__)

_PAUSE_S = 0.1
"""How often to look: waking for each message would take a busy workflow's cores."""
_SILENCE_S = 0.2
_MESSAGES_AT_ONCE = 2000
_NODE_INFO = 3
_MEMBERS = {"NODE_INFO": _NODE_INFO}
"""Of Parsl's MessageType, what an interchange sends."""


class Socket(NamedTuple):
    """Where an executor's interchange is to find this receiver."""

    label: str
    address: str
    port_range: tuple[int, int]
    cert_dir: str | None
    port: int | None
    """The port that an agent before this one was bound to; None for any of the range."""
    executor: str
    """The executor's label."""
    heartbeat_threshold_s: float
    """How long the interchange waits for a manager's heartbeat."""


class HtexReceiver:
    """
    Receive for one executor, in a thread of its own.

    Args:
        socket: Where to listen.
        resource: Returns the run's Resource attributes, or None while they are not known.
        spool: Takes framed requests.

    Raises:
        zmq.ZMQError: No port of the range is free.
    """

    def __init__(
        self,
        socket: Socket,
        *,
        resource: Callable[[], tuple[bytes, ...] | None],
        spool: Callable[[Iterable[bytes]], object],
    ) -> None:
        self._resource = resource
        self._executor = Key(semconv.EXECUTOR_LABEL).text(socket.executor)
        self._heartbeat_threshold_s = socket.heartbeat_threshold_s
        self._spool = spool
        self._scope = wire.scope(semconv.SCOPE, __version__)
        self._relay = Relay(socket.label)
        self._refused = Seldom(logger, logging.ERROR)
        self.malformed = 0
        self._waiting: list[Any] = []
        self._is_closing = threading.Event()
        self._context = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        if socket.cert_dir:
            self._authenticator = ThreadAuthenticator(self._context)
            self._authenticator.start()
            self._authenticator.configure_curve(domain="*", location=socket.cert_dir)
        try:
            self._socket = _bind(self._context, socket)
        except zmq.ZMQError:
            self._let_go()
            raise
        endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        self.port = int(endpoint.rpartition(":")[2])
        self._thread = threading.Thread(target=self._run, name=f"htex-{socket.label}", daemon=True)
        self._thread.start()

    @property
    def refused(self) -> int:
        """Frames of workers that could not be read."""
        return self._relay.refused

    def close(self) -> None:
        """Take what has arrived, until there is silence, and stop."""
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(_PAUSE_S)
            messages = self._receive()
            if messages:
                last = time.monotonic()
                self._take(messages)
            elif self._is_closing.is_set() and time.monotonic() - last > _SILENCE_S:
                break
        self._take([])
        self._socket.close(linger=0)
        self._let_go()

    def _let_go(self) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()

    def _receive(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while len(messages) < _MESSAGES_AT_ONCE:
                messages.append(self._socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return messages

    def _take(self, messages: list[bytes]) -> None:
        frames: list[bytes] = []
        reports = self._waiting
        for data in messages:
            try:
                tag, content = _load(data)
            except Exception as error:  # noqa: BLE001 - a border: anything may be sent to a port
                self._refuse(repr(error))
                continue
            if tag == MESSAGE_TAG and isinstance(content, bytes):
                frames.append(self._relay.sound(content))
            elif tag == _NODE_INFO and isinstance(content, dict):
                reports.append(content)
            else:
                self._refuse(f"it is tagged {tag!r}")
        self._waiting = []
        resource = self._resource()
        if resource is None:
            self._waiting = reports
        else:
            frames += self._manager_frames(reports, resource)
        if frames:
            self._spool(frames)

    def _manager_frames(self, reports: list[Any], resource: tuple[bytes, ...]) -> Iterable[bytes]:
        by_manager: dict[tuple[bytes, ...], list[Any]] = defaultdict(list)
        for report in reports:
            try:
                by_manager[tuple(manager_attributes(report))].append(report)
            except Exception as error:  # noqa: BLE001 - a border: a report may hold anything
                self._refuse(repr(error))
        for attributes, of_manager in by_manager.items():
            request = wire.request(
                wire.resource((*resource, *attributes, self._executor)),
                self._scope,
                self._metrics(of_manager),
                schema_url=semconv.SCHEMA_URL,
            )
            yield frame(METRICS, request)

    def _metrics(self, reports: list[Any]) -> list[bytes]:
        """Return the metrics of a manager's reports but those that hold what no report does."""
        try:
            return manager_metrics(reports, heartbeat_threshold_s=self._heartbeat_threshold_s)
        except Exception as error:  # noqa: BLE001 - a border: a report may hold anything
            if len(reports) == 1:
                self._refuse(repr(error))
                return []
        return [metric for report in reports for metric in self._metrics([report])]

    def _refuse(self, reason: str) -> None:
        self.malformed += 1
        self._refused.say("a message that is none of HTEX's was dropped: %s", reason)


def _bind(context: zmq.Context[Any], socket: Socket) -> Any:
    channel = context.socket(zmq.DEALER)
    channel.set_hwm(0)
    if socket.cert_dir:
        _encrypt(channel, Path(socket.cert_dir))
    # In any order, as Parsl's own: the first free one would soon be another run's when an agent
    # that is killed lets go of it.
    known = range(*socket.port_range)
    ports = [socket.port] if socket.port else random.sample(known, len(known))
    host = f"[{socket.address}]" if ":" in socket.address else socket.address
    for port in ports:
        try:
            channel.bind(f"tcp://{host}:{port}")
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                channel.close(linger=0)
                raise
        else:
            return channel
    channel.close(linger=0)
    among = socket.port or "{}-{}".format(*socket.port_range)
    raise zmq.ZMQError(zmq.EADDRINUSE, f"no free port ({among}) on {socket.address}")


def _encrypt(channel: Any, directory: Path) -> None:
    """Use the certificates that HTEX made (``parsl/curvezmq.py``)."""
    public, secret = zmq.auth.load_certificate(directory / "server.key_secret")
    channel.setsockopt(zmq.CURVE_PUBLICKEY, public)
    channel.setsockopt(zmq.CURVE_SECRETKEY, secret or b"")
    channel.setsockopt(zmq.CURVE_SERVER, 1)


class _Unpickler(pickle.Unpickler):
    """Unpickle what HTEX's interchange sends, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("datetime", "datetime"):
            return datetime.datetime
        if (module, name) == ("parsl.monitoring.message_type", "MessageType"):
            return int
        if (module, name) == ("builtins", "getattr"):
            return _member
        raise pickle.UnpicklingError(f"{module}.{name} has no business in a monitoring message")


def _member(_enum: object, name: str) -> int:
    """Stand in for ``getattr``, which Python 3.11.0 to 3.11.3 make an enum's member again with."""
    return _MEMBERS[name]


def _load(data: bytes) -> tuple[Any, Any]:
    tag, content = _Unpickler(io.BytesIO(data)).load()
    return tag, content
