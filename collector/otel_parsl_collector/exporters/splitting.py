"""
Split a request into ones that every receiver takes.

The points of one resource sample, or of one report of a manager, have one time and make one row:
so metrics are split by time, as long as that can be done.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.signals import SIGNALS

_LEVELS = {
    TRACES: ("resource_spans", "scope_spans", "spans"),
    METRICS: ("resource_metrics", "scope_metrics", "metrics", "data", "data_points"),
    LOGS: ("resource_logs", "scope_logs", "log_records"),
}


class Pieces(NamedTuple):
    """What a request was split into."""

    fitting: list[bytes]
    too_large: list[bytes]
    """Requests of one item each, which is over the limit by itself."""


def split(signal: int, payload: bytes, *, limit_bytes: int) -> Pieces:
    """
    Return a request as one or more within a limit, the same ones whenever it is asked.

    Args:
        signal: ``wire.TRACES``, ``METRICS`` or ``LOGS``.
        payload: The request; where it is within the limit it is returned as it is.
        limit_bytes: Of each piece.
    """
    pieces = Pieces([], [])
    if len(payload) <= limit_bytes:
        pieces.fitting.append(payload)
    else:
        _split(SIGNALS[signal].request.FromString(payload), _LEVELS[signal], limit_bytes, pieces)
    return pieces


def halves(signal: int, payload: bytes) -> tuple[bytes, bytes] | None:
    """
    Return a request as two, each with half of its items; None where it has but one.

    What cannot be decoded, or is of no signal, is one.
    """
    if signal not in SIGNALS:
        return None
    try:
        found = _halves(SIGNALS[signal].request.FromString(payload), _LEVELS[signal])
    except DecodeError:
        return None
    return None if found is None else (found[0].SerializeToString(), found[1].SerializeToString())


def _split(request: Any, levels: tuple[str, ...], limit_bytes: int, pieces: Pieces) -> None:
    if request.ByteSize() <= limit_bytes:
        pieces.fitting.append(request.SerializeToString())
        return
    halves = _halves(request, levels)
    if halves is None:
        pieces.too_large.append(request.SerializeToString())
        return
    for half in halves:
        _split(half, levels, limit_bytes, pieces)


def _halves(message: Any, levels: tuple[str, ...]) -> tuple[Any, Any] | None:
    """Return a message as two, each with half of its items; None where it has but one."""
    if not levels:
        return None
    name, *rest = levels
    if name == "data":
        return _halves_of_data(message, tuple(rest))
    if name == "metrics" and (found := _halves_by_time(message)) is not None:
        return found
    children = getattr(message, name)
    if not children:
        return None
    left, right = copy.deepcopy(message), copy.deepcopy(message)
    if len(children) > 1:
        middle = len(children) // 2
        del getattr(left, name)[middle:]
        del getattr(right, name)[:middle]
        return left, right
    inner = _halves(children[0], tuple(rest))
    if inner is None:
        return None
    getattr(left, name)[0].CopyFrom(inner[0])
    getattr(right, name)[0].CopyFrom(inner[1])
    return left, right


def _halves_by_time(scope: Any) -> tuple[Any, Any] | None:
    """Return a ScopeMetrics as two, with the earlier and the later points; None of one time."""
    times = sorted({point.time_unix_nano for metric in scope.metrics for point in _points(metric)})
    if len(times) < 2:
        return None
    middle_ns = times[len(times) // 2]
    left, right = copy.deepcopy(scope), copy.deepcopy(scope)
    for half, is_left in ((left, True), (right, False)):
        del half.metrics[:]
        for metric in scope.metrics:
            points = [
                each for each in _points(metric) if (each.time_unix_nano < middle_ns) is is_left
            ]
            # A metric without points is said once.
            if points or (is_left and not _points(metric)):
                kept = half.metrics.add()
                kept.CopyFrom(metric)
                if points:
                    data = _points(kept)
                    del data[:]
                    data.extend(points)
    return left, right


def _points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return () if kind is None else getattr(metric, kind).data_points


def _halves_of_data(metric: Any, levels: tuple[str, ...]) -> tuple[Any, Any] | None:
    kind = metric.WhichOneof("data")
    inner = None if kind is None else _halves(getattr(metric, kind), levels)
    if inner is None:
        return None
    left, right = copy.deepcopy(metric), copy.deepcopy(metric)
    getattr(left, kind).CopyFrom(inner[0])
    getattr(right, kind).CopyFrom(inner[1])
    return left, right
