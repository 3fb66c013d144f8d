"""Run our stand-alone collector for a test: in this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from otel_parsl_collector.config import load_config
from otel_parsl_collector.service import Service

from tests.support.server_process import READ_TIMEOUT_S, ServerProcess, wait_for

SIGNALS = ("traces", "metrics", "logs")


def collector_config(
    directory: Path,
    *,
    exporters: Mapping[str, Any] | None = None,
    elsewhere: Mapping[str, str] | None = None,
    grpc: Mapping[str, Any] | None = None,
    http: Mapping[str, Any] | None = None,
    pages: Sequence[int] = (0, 0),
    extensions: Mapping[str, Any] | None = None,
    service: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Return a configuration on loopback that takes all three signals.

    Args:
        directory: Where its spool and its files go.
        exporters: By default one, that writes OTLP JSON lines to ``out.jsonl``.
        elsewhere: The exporter that takes some signals in place of these, by signal.
        grpc: Settings of the receiver; any free port by default.
        http: As for ``grpc``.
        pages: The ports of health and of the counters.
        extensions: Beside health_check.
        service: Settings of the service that differ.
    """
    found = exporters or {"file": {"path": str(directory / "out.jsonl")}}
    elsewhere = elsewhere or {}
    known = {
        "health_check": {"endpoint": f"127.0.0.1:{pages[0]}"},
        **(extensions or {}),
    }
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": "127.0.0.1:0", **(grpc or {})},
                    "http": {"endpoint": "127.0.0.1:0", **(http or {})},
                }
            }
        },
        "exporters": {**found, **dict.fromkeys(elsewhere.values())},
        "extensions": known,
        "service": {
            "extensions": list(known),
            "pipelines": {
                signal: {
                    "receivers": ["otlp"],
                    "exporters": [elsewhere[signal]] if signal in elsewhere else list(found),
                }
                for signal in SIGNALS
            },
            "telemetry": {"metrics": {"address": f"127.0.0.1:{pages[1]}"}},
            "spool": {"directory": str(directory / "spool"), **(service or {}).get("spool", {})},
            **{key: value for key, value in (service or {}).items() if key != "spool"},
        },
    }


class Running(NamedTuple):
    """A collector in this process."""

    service: Service
    grpc_port: int
    http_port: int

    @property
    def grpc(self) -> str:
        """Its address for gRPC."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http(self) -> str:
        """Its URL for HTTP, without a signal's path."""
        return f"http://127.0.0.1:{self.http_port}"


@contextlib.contextmanager
def running(config: Mapping[str, Any], *, is_insecure: bool = False) -> Iterator[Running]:
    """Run a collector in this process."""
    service = Service(load_config(json.dumps(config)), is_insecure=is_insecure)
    service.start()
    try:
        yield Running(service, *service.addresses()["otlp"])
    finally:
        service.stop()


class CollectorProcess(ServerProcess):
    """
    ``otel-parsl collector`` as a process.

    Args:
        directory: Where its configuration, log, spool and files go.
        arguments: More of ``collector_config``.
    """

    name = "otel-parsl-collector"
    ready_line = "ready: "
    port_count = 4

    def __init__(self, directory: Path, **arguments: Any) -> None:
        super().__init__(directory)
        self._arguments = arguments
        self.out = directory / "out.jsonl"

    @property
    def grpc(self) -> str:
        """Its address for gRPC."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def http(self) -> str:
        """Its URL for HTTP, without a signal's path."""
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def health_url(self) -> str:
        """Where it says whether all runs."""
        return f"http://127.0.0.1:{self.ports[2]}/"

    @property
    def metrics_url(self) -> str:
        """Where its counters are."""
        return f"http://127.0.0.1:{self.ports[3]}/metrics"

    def command(self) -> list[str]:
        """Return the command line, its configuration written."""
        grpc, http, *pages = self.ports
        config = collector_config(
            self.directory,
            **{
                "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
                "http": {"endpoint": f"127.0.0.1:{http}"},
                "pages": pages,
                **self._arguments,
            },
        )
        file = self.directory / "collector.yaml"
        file.write_text(json.dumps(config, indent=2))
        return [sys.executable, "-m", "otel_parsl.cli.main", "collector", "--config", str(file)]

    def wait_for_spans(self, names: set[str], *, timeout_s: float = READ_TIMEOUT_S) -> list[str]:
        """Wait until spans of all these names are in ``out``, and return the names as written."""

        def complete() -> list[str] | None:
            found = span_names(self.out)
            return found if names <= set(found) else None

        return wait_for(complete, what=f"{len(names)} spans in {self.out}", timeout_s=timeout_s)


def requests_in(path: Path) -> list[dict[str, Any]]:
    """Return the OTLP requests in a file of JSON lines; the last line may be half written."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def span_names(path: Path) -> list[str]:
    """Return the names of the spans in a file of JSON lines, in order."""
    return [
        span["name"]
        for request in requests_in(path)
        for group in request.get("resourceSpans", ())
        for scope in group.get("scopeSpans", ())
        for span in scope.get("spans", ())
    ]
