"""
The last points of metrics, as a page in Prometheus' text format.

Flow: exporters.prometheus -> **prometheus_page** -> HTTP
Names and labels are made as the OpenTelemetry specification says for Prometheus: a unit and
``_total`` are appended, ``job`` and ``instance`` are the service's name and instance.
The run is a label beside them, since one process may load several.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Metric,
    ResourceMetrics,
)

from otel_parsl import semconv

_PER_TRY = ("parsl.try.", "parsl.manager.")
"""One series a try, and reports of managers: more than Prometheus should keep."""
_UNITS = {
    "s": "seconds",
    "By": "bytes",
    "ms": "milliseconds",
    "ns": "nanoseconds",
    "Cel": "celsius",
}
_OF_RESOURCE = {
    semconv.SERVICE_NAME: "job",
    semconv.SERVICE_INSTANCE_ID: "instance",
    semconv.RUN_ID: "parsl_run_id",
}

Labels = tuple[tuple[str, str], ...]


class _Series(NamedTuple):
    """The last point of one set of labels."""

    time_ns: int
    seen_at: float
    samples: tuple[tuple[str, Labels, float], ...]
    """Each a suffix of the name, labels and a value."""


class _Family:
    """All series of a name."""

    def __init__(self, kind: str, meaning: str) -> None:
        self.kind = kind
        self.meaning = meaning
        self.series: dict[Labels, _Series] = {}


class PrometheusPage:
    """
    Keep the last point of each series; for any number of threads.

    Args:
        expiration_s: A series that has no new point for so long is shown no more.
    """

    def __init__(self, expiration_s: float) -> None:
        self._expiration_s = expiration_s
        self._lock = threading.Lock()
        self._families: dict[str, _Family] = {}

    def take(self, groups: Iterable[ResourceMetrics]) -> tuple[int, int]:
        """
        Take in metrics.

        Returns:
            How many points were taken, those that are left out by design among them, and how many
            cannot be shown: deltas, and kinds that Prometheus' text format lacks.
        """
        taken = refused = 0
        with self._lock:
            self._forget_old()
            for group in groups:
                of_resource = _resource_labels(group)
                for scope in group.scope_metrics:
                    for metric in scope.metrics:
                        points = _points(metric)
                        if metric.name.startswith(_PER_TRY) or self._keep(metric, of_resource):
                            taken += len(points)
                        else:
                            refused += len(points)
        return taken, refused

    def text(self) -> str:
        """Return the page."""
        with self._lock:
            self._forget_old()
            return "".join(f"{line}\n" for line in self._lines())

    def _keep(self, metric: Metric, of_resource: Labels) -> bool:
        """Keep a metric's points; tell whether they can be shown."""
        kind = _kind(metric)
        if kind is None:
            return False
        name = _name(metric, kind)
        family = self._families.setdefault(name, _Family(kind, metric.description))
        if family.kind != kind:
            return False
        for point in _points(metric):
            own = ((_label(pair.key), _text(pair.value)) for pair in point.attributes)
            labels = tuple(sorted(dict([*own, *of_resource]).items()))
            known = family.series.get(labels)
            if known is None or known.time_ns <= point.time_unix_nano:
                family.series[labels] = _Series(
                    point.time_unix_nano, time.monotonic(), tuple(_samples(kind, labels, point))
                )
        return True

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._expiration_s
        for name, family in list(self._families.items()):
            for labels in [key for key, found in family.series.items() if found.seen_at < oldest]:
                del family.series[labels]
            if not family.series:
                del self._families[name]

    def _lines(self) -> Iterator[str]:
        for name, family in sorted(self._families.items()):
            if family.meaning:
                yield f"# HELP {name} {_escaped(family.meaning)}"
            yield f"# TYPE {name} {family.kind}"
            for _, series in sorted(family.series.items()):
                for suffix, labels, value in series.samples:
                    yield f"{name}{suffix}{_braces(labels)} {_number(value)}"


def _kind(metric: Metric) -> str | None:
    which = metric.WhichOneof("data")
    if which == "gauge":
        return "gauge"
    if which not in ("sum", "histogram"):
        return None
    data: Any = getattr(metric, which)
    if data.aggregation_temporality != AGGREGATION_TEMPORALITY_CUMULATIVE:
        return None
    if which == "histogram":
        return "histogram"
    return "counter" if metric.sum.is_monotonic else "gauge"


def _points(metric: Metric) -> Any:
    which = metric.WhichOneof("data")
    return () if which is None else getattr(metric, which).data_points


def _samples(kind: str, labels: Labels, point: Any) -> Iterator[tuple[str, Labels, float]]:
    if kind != "histogram":
        which = point.WhichOneof("value")
        if which is not None:
            yield "", labels, getattr(point, which)
        return
    below = 0
    for bound, count in zip(point.explicit_bounds, point.bucket_counts, strict=False):
        below += count
        yield "_bucket", (*labels, ("le", _number(bound))), below
    yield "_bucket", (*labels, ("le", "+Inf")), point.count
    yield "_sum", labels, point.sum
    yield "_count", labels, point.count


def _name(metric: Metric, kind: str) -> str:
    name = _label(metric.name)
    unit = "ratio" if metric.unit == "1" and kind == "gauge" else _UNITS.get(metric.unit, "")
    if unit and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    return f"{name}_total" if kind == "counter" and not name.endswith("_total") else name


def _resource_labels(group: ResourceMetrics) -> Labels:
    said: Mapping[str, str] = {pair.key: _text(pair.value) for pair in group.resource.attributes}
    return tuple((label, said[key]) for key, label in _OF_RESOURCE.items() if key in said)


def _label(name: str) -> str:
    clean = re.sub(r"[^a-zA-Z0-9_]+", "_", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


def _text(value: Any) -> str:
    which = value.WhichOneof("value")
    if which == "bool_value":
        return str(value.bool_value).lower()
    return "" if which is None else str(getattr(value, which))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    shown = (f'{name}="{_escaped(value, quote=True)}"' for name, value in labels)
    return "{" + ",".join(shown) + "}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
