"""
The collector's own counters, as a Prometheus text page.

The names are the OpenTelemetry Collector's, without ``_total``, as its default page has them, so
that dashboards made for it fit; what it has no name for begins with ``otel_parsl_collector_``.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil

from otel_parsl_collector.signals import SIGNALS


class Name(NamedTuple):
    """One metric."""

    kind: str
    """``counter`` or ``gauge``."""
    help: str


_ITEMS = {
    "otelcol_receiver_accepted": "taken by a receiver",
    "otelcol_receiver_refused": "not taken by a receiver",
    "otelcol_exporter_sent": "delivered by an exporter",
    "otelcol_exporter_send_failed": "refused for good by an exporter's destination",
    "otelcol_exporter_enqueue_failed": "dropped from an exporter's queue, which was full or old",
}
NAMES: dict[str, Name] = {
    f"{stem}_{signal.items}": Name("counter", f"{signal.items.replace('_', ' ')} {meaning}")
    for stem, meaning in _ITEMS.items()
    for signal in SIGNALS.values()
} | {
    "otelcol_receiver_requests": Name("counter", "requests, by how they were answered"),
    "otelcol_exporter_queue_size": Name("gauge", "bytes in the spool that wait for an exporter"),
    "otelcol_exporter_queue_capacity": Name("gauge", "bytes that the spool may hold"),
    "otelcol_processor_incoming_items": Name("counter", "items that came to a processor"),
    "otelcol_processor_outgoing_items": Name("counter", "items that a processor let go on"),
    "otelcol_process_uptime": Name("counter", "seconds since the collector began"),
    "otelcol_process_cpu_seconds": Name("counter", "CPU seconds used, in user and system mode"),
    "otelcol_process_memory_rss": Name("gauge", "resident bytes"),
    "otel_parsl_collector_spool_corrupt_bytes": Name(
        "gauge", "bytes in the spool that are no telemetry, seen by an exporter"
    ),
}
"""All that the page shows."""

Labels = tuple[tuple[str, str], ...]


class Stats:
    """Counters and gauges; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._gauges: dict[str, dict[Labels, Callable[[], float]]] = defaultdict(dict)
        started = time.monotonic()
        process = psutil.Process()
        self.read("otelcol_process_uptime", lambda: time.monotonic() - started)
        self.read("otelcol_process_cpu_seconds", lambda: sum(process.cpu_times()[:2]))
        self.read("otelcol_process_memory_rss", lambda: process.memory_info().rss)

    def add(self, name: str, amount: float, **labels: str) -> None:
        """
        Count.

        Raises:
            KeyError: The name is not in ``NAMES``.
        """
        NAMES[name]
        with self._lock:
            self._counts[name][tuple(sorted(labels.items()))] += amount

    def read(self, name: str, value: Callable[[], float], **labels: str) -> None:
        """
        Have a value read whenever the page is asked for.

        Raises:
            KeyError: The name is not in ``NAMES``.
        """
        NAMES[name]
        with self._lock:
            self._gauges[name][tuple(sorted(labels.items()))] = value

    def page(self) -> str:
        """Return the page, in Prometheus' text format."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        with self._lock:
            values = {name: dict(counts) for name, counts in self._counts.items()}
            gauges = {name: dict(readers) for name, readers in self._gauges.items()}
        for name, readers in gauges.items():
            values[name] = {labels: read() for labels, read in readers.items()}
        for name in sorted(values):
            kind, meaning = NAMES[name]
            yield f"# HELP {name} {meaning}"
            yield f"# TYPE {name} {kind}"
            for labels, value in sorted(values[name].items()):
                yield f"{name}{_braces(labels)} {value:.15g}"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
