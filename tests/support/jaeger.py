"""Run a real Jaeger v2 and read traces back from its query API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.backends import catalogue
from tests.support.otlp_server import OtlpServer
from tests.support.server_process import READ_TIMEOUT_S, wait_for


class Jaeger(OtlpServer):
    """
    Jaeger v2, all in one with a store in memory, which a restart empties.

    Args:
        directory: Where its configuration and its log go.
        settings: More `--set` arguments, as "extensions.jaeger_query.max_trace_size=100".

    Raises:
        BackendMissing: When it is not provisioned.
    """

    name = "jaeger"
    port_count = 4

    def __init__(self, directory: Path, *, settings: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._program = catalogue.require(catalogue.JAEGER)
        self._settings = tuple(settings)

    @property
    def query_url(self) -> str:
        """Where its query API answers."""
        return f"http://127.0.0.1:{self.ports[2]}"

    def trace(
        self, trace_id: str, *, span_count: int = 1, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, Any]:
        """
        Wait for a trace and return it as /api/traces has it: traceID, spans, processes, warnings.

        Args:
            trace_id: 32 hexadecimal digits.
            span_count: How many spans it must have at least; before, it is waited for.
            timeout_s: Seconds until it is given up.

        Raises:
            TimeoutError: When it has not as many spans in time.
        """

        def complete() -> dict[str, Any] | None:
            found = self._get(f"/api/traces/{trace_id}")
            traces = found["data"] if found else []
            return traces[0] if traces and len(traces[0]["spans"]) >= span_count else None

        what = f"trace {trace_id} with {span_count} spans in Jaeger ({self.log_file})"
        return wait_for(complete, what=what, timeout_s=timeout_s)

    def spans(
        self, trace_id: str, *, span_count: int = 1, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, dict[str, Any]]:
        """Return the spans of `trace` by their span ids."""
        found = self.trace(trace_id, span_count=span_count, timeout_s=timeout_s)
        return {span["spanID"]: span for span in found["spans"]}

    def services(self) -> list[str]:
        """Return the names of the services it has spans of, sorted."""
        found = self._get("/api/services")
        return sorted(found["data"] or []) if found else []

    def command(self) -> list[str]:
        """Return the command line, its configuration written: OTLP and the query API alone."""
        http, grpc = (f"127.0.0.1:{port}" for port in self.ports[2:])
        config = {
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
                "jaeger_query": {
                    "storage": {"traces": "memory"},
                    "http": {"endpoint": http},
                    "grpc": {"endpoint": grpc},
                    # Else it sends traces of itself to whoever has port 4317.
                    "enable_tracing": False,
                },
            },
            "receivers": {"otlp": self.otlp_receiver()},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}
                },
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        settings = [part for setting in self._settings for part in ("--set", setting)]
        return [str(self._program), "--config", self.written_config(config), *settings]

    def _get(self, path: str) -> Any:
        # No proxy of the environment stands between a test and its own machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.query_url}{path}", timeout=READ_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                if refusal.code == 404:
                    return None
                raise
