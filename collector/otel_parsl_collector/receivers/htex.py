"""
What HTEX's interchange reports of managers, and what workers relay by it, read with care.

Flow: hub -> spool (stream ``interchange``) -> **receivers.htex** -> spool (stream ``agent``)
Anybody on the host may send to the port that the messages came by.
"""

from __future__ import annotations

import datetime
import io
import logging
import pickle
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_parsl import __version__, semconv, wire
from otel_parsl.interchange_messages import Heard
from otel_parsl.messages import manager_attributes, manager_metrics
from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.seldom import Seldom
from otel_parsl.spool import frame
from otel_parsl.time_zone import zone_named
from otel_parsl.wire import METRICS, Key
from otel_parsl_collector.receivers.relay import Relay

logger = logging.getLogger(__name__)

_NODE_INFO = 3
_MEMBERS = {"NODE_INFO": _NODE_INFO}
"""Of Parsl's MessageType, what an interchange sends."""


class HtexMessages:
    """Makes telemetry of messages; for one thread."""

    def __init__(self) -> None:
        self._scope = wire.scope(semconv.SCOPE, __version__)
        self._relay = Relay()
        self._refused = Seldom(logger, logging.ERROR)
        self.malformed = 0
        """Messages, and reports of managers, that could not be read."""

    @property
    def refused(self) -> int:
        """Frames of workers that could not be read."""
        return self._relay.refused

    def frames(self, heard: Heard, run: tuple[bytes, ...]) -> list[bytes]:
        """
        Return framed requests.

        Args:
            heard: What an interchange has sent.
            run: The run's Resource attributes.
        """
        frames: list[bytes] = []
        reports: list[Any] = []
        for data in heard.messages:
            try:
                tag, content = _load(data)
                if tag == MESSAGE_TAG and isinstance(content, bytes):
                    frames.append(self._relay.sound(content, heard.executor))
                elif tag == _NODE_INFO and isinstance(content, dict):
                    reports.append(content)
                else:
                    self._refuse(f"it is tagged by {type(tag).__name__}")
            except Exception as error:  # noqa: BLE001 - a border: anything may be sent to a port
                self._refuse(type(error).__name__)
        return [*frames, *self._manager_frames(reports, heard, run)]

    def _manager_frames(
        self, reports: list[Any], heard: Heard, run: tuple[bytes, ...]
    ) -> Iterable[bytes]:
        by_manager: dict[tuple[bytes, ...], list[Any]] = defaultdict(list)
        for report in reports:
            try:
                by_manager[tuple(manager_attributes(report))].append(report)
            except Exception as error:  # noqa: BLE001 - a border: a report may hold anything
                self._refuse(type(error).__name__)
        executor = Key(semconv.EXECUTOR_LABEL).text(heard.executor)
        for attributes, of_manager in by_manager.items():
            request = wire.request(
                wire.resource((*run, *attributes, executor)),
                self._scope,
                self._metrics(of_manager, heard.heartbeat_threshold_s, _zone(run)),
                schema_url=semconv.SCHEMA_URL,
            )
            yield frame(METRICS, request)

    def _metrics(
        self, reports: list[Any], heartbeat_threshold_s: float, zone: datetime.tzinfo | None
    ) -> list[bytes]:
        """Return the metrics of a manager's reports but those that hold what no report does."""
        try:
            return manager_metrics(reports, heartbeat_threshold_s=heartbeat_threshold_s, zone=zone)
        except Exception as error:  # noqa: BLE001 - a border: a report may hold anything
            if len(reports) == 1:
                self._refuse(type(error).__name__)
                return []
        return [
            metric
            for report in reports
            for metric in self._metrics([report], heartbeat_threshold_s, zone)
        ]

    def _refuse(self, reason: str) -> None:
        self.malformed += 1
        self._refused.say("a message that is none of HTEX's was dropped: %s", reason)


@lru_cache(maxsize=1)
def _zone(run: tuple[bytes, ...]) -> datetime.tzinfo | None:
    """Return the zone of a run's submit host; what it left may be read in another one."""
    for pair in Resource.FromString(b"".join(b"\n" + attribute for attribute in run)).attributes:
        if pair.key == semconv.TIME_ZONE:
            return zone_named(pair.value.string_value)
    return None


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
