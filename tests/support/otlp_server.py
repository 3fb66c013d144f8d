"""What Jaeger v2 and the OpenTelemetry Collector have in common: both are collectors inside."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.support.server_process import ServerProcess


class OtlpServer(ServerProcess):
    """A server that takes OTLP on its ports 0 (gRPC) and 1 (HTTP)."""

    ready_line = "Everything is ready. Begin running and processing data."

    @property
    def otlp_grpc_endpoint(self) -> str:
        """Where it takes OTLP/gRPC, as OTEL_EXPORTER_OTLP_ENDPOINT has it."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def otlp_http_endpoint(self) -> str:
        """Where it takes OTLP/HTTP, without the path of a signal."""
        return f"http://127.0.0.1:{self.ports[1]}"

    def otlp_receiver(self, **both: object) -> dict[str, object]:
        """Return the receiver's configuration, `both` being settings of either transport."""
        grpc, http = (f"127.0.0.1:{port}" for port in self.ports[:2])
        return {
            "protocols": {"grpc": {"endpoint": grpc, **both}, "http": {"endpoint": http, **both}}
        }

    def written_config(self, config: Mapping[str, object]) -> str:
        """Write the configuration beside the log and return its path."""
        # JSON is YAML, and needs no library.
        file = self.directory / f"{self.name}.yaml"
        file.write_text(json.dumps(config, indent=2))
        return str(file)
