"""Run a real OpenTelemetry Collector and read back the OTLP JSON lines that it writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.backends import catalogue
from tests.support.certificates import Certificates
from tests.support.otlp_server import OtlpServer
from tests.support.server_process import READ_TIMEOUT_S, wait_for


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """Where an OtelCollector sends all that it takes, beside its file."""

    endpoint: str
    """A URL, http:// or https://, without the path of a signal."""
    protocol: str = "grpc"
    """"grpc" or "http/protobuf"."""
    compression: str = "gzip"
    """"gzip", "zstd" or "none"."""
    token: str | None = None
    """Sent as a bearer token; over gRPC it needs https:// and a certificate."""
    certificate: Path | None = None
    """The authority to trust for https://."""
    is_persistent: bool = False
    """Whether its queue is on disk and survives a kill."""
    most_items: int | None = None
    """How many spans, points or records a request has at most: ``send_batch_max_size``."""


class OtelCollector(OtlpServer):
    """
    The OpenTelemetry Collector: takes traces, metrics and logs, writes them as OTLP JSON lines.

    Args:
        directory: Where its configuration, its log, its file and its queue go.
        token: The bearer token that clients must send; None takes all.
        certificates: It speaks TLS with these; None speaks without.
        clients: The authority of the certificates that clients must show; None asks for none.
        forwarding: Where it sends all that it takes, beside its file.

    Raises:
        BackendMissing: When it is not provisioned.
    """

    name = "otelcol"
    port_count = 3

    def __init__(
        self,
        directory: Path,
        *,
        token: str | None = None,
        certificates: Certificates | None = None,
        clients: Path | None = None,
        forwarding: Forwarding | None = None,
    ) -> None:
        super().__init__(directory)
        self._program = catalogue.require(catalogue.OTELCOL)
        self._token = token
        self._certificates = certificates
        self._clients = clients
        self._forwarding = forwarding
        self.file = directory / "otelcol.jsonl"
        """One OTLP request a line, of any signal; a restart appends."""

    @property
    def metrics_url(self) -> str:
        """Where its counters are."""
        return f"http://127.0.0.1:{self.ports[2]}/metrics"

    def requests(self) -> list[dict[str, Any]]:
        """Return what has come so far: each an OTLP request of one signal, in JSON's form."""
        text = self.file.read_text() if self.file.exists() else ""
        # The last line may be half written.
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def spans(
        self, trace_id: str, *, span_count: int = 1, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, dict[str, Any]]:
        """
        Wait for the spans of a trace and return them by their span ids.

        Args:
            trace_id: 32 hexadecimal digits.
            span_count: How many there must be at least; before, they are waited for.
            timeout_s: Seconds until it is given up.

        Raises:
            TimeoutError: When there are not as many in time.
        """

        def complete() -> dict[str, dict[str, Any]] | None:
            found = {
                span["spanId"]: span
                for request in self.requests()
                for resource in request.get("resourceSpans", ())
                for scope in resource.get("scopeSpans", ())
                for span in scope.get("spans", ())
                if span["traceId"] == trace_id
            }
            return found if len(found) >= span_count else None

        what = f"{span_count} spans of trace {trace_id} in {self.file}"
        return wait_for(complete, what=what, timeout_s=timeout_s)

    def command(self) -> list[str]:
        """Return the command line, its configuration written."""
        extensions: dict[str, object] = {}
        exporters: dict[str, object] = {
            "file": {"path": str(self.file), "append": True, "flush_interval": "50ms"}
        }
        guard: dict[str, object] = {}
        if self._token is not None:
            extensions["bearertokenauth/in"] = {"token": self._token}
            guard["auth"] = {"authenticator": "bearertokenauth/in"}
        if self._certificates is not None:
            guard["tls"] = {
                "cert_file": str(self._certificates.certificate),
                "key_file": str(self._certificates.key),
                **({} if self._clients is None else {"client_ca_file": str(self._clients)}),
            }
        if self._forwarding is not None:
            exporters.update(self._forwarding_exporter(self._forwarding, extensions))
        processors: dict[str, object] = {}
        if self._forwarding is not None and (most := self._forwarding.most_items):
            processors["batch"] = {"send_batch_size": most, "send_batch_max_size": most}
        pipeline = {
            "receivers": ["otlp"],
            "processors": sorted(processors),
            "exporters": sorted(exporters),
        }
        page = {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.ports[2]}}}
        config = {
            "extensions": extensions,
            "receivers": {"otlp": self.otlp_receiver(**guard)},
            "processors": processors,
            "exporters": exporters,
            "service": {
                "extensions": sorted(extensions),
                "pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline),
                "telemetry": {"metrics": {"level": "normal", "readers": [{"pull": page}]}},
            },
        }
        return [str(self._program), "--config", self.written_config(config)]

    def _forwarding_exporter(
        self, forwarding: Forwarding, extensions: dict[str, object]
    ) -> dict[str, object]:
        queue: dict[str, object] = {"enabled": True}
        exporter: dict[str, object] = {
            "endpoint": forwarding.endpoint,
            "compression": forwarding.compression,
            "sending_queue": queue,
            # No limit in time: a test may keep its destination away as long as it likes.
            "retry_on_failure": {
                "initial_interval": "100ms",
                "max_interval": "1s",
                "max_elapsed_time": "0s",
            },
        }
        if forwarding.endpoint.startswith("http://"):
            exporter["tls"] = {"insecure": True}
        elif forwarding.certificate is not None:
            exporter["tls"] = {"ca_file": str(forwarding.certificate)}
        if forwarding.token is not None:
            extensions["bearertokenauth/out"] = {"token": forwarding.token}
            exporter["auth"] = {"authenticator": "bearertokenauth/out"}
        if forwarding.is_persistent:
            storage = self.directory / "otelcol-queue"
            extensions["file_storage"] = {"directory": str(storage), "create_directory": True}
            queue["storage"] = "file_storage"
        return {"otlp_grpc" if forwarding.protocol == "grpc" else "otlp_http": exporter}
