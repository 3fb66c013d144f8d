"""The exporter that forwards to an OTLP/HTTP endpoint, in protobuf."""

from __future__ import annotations

from otel_parsl_collector.component import Component, ExporterContext
from otel_parsl_collector.exporters.otlp_grpc import ForwardExporter, OtlpSettings


def _create(settings: OtlpSettings, context: ExporterContext) -> ForwardExporter:
    return ForwardExporter(settings, context, "http/protobuf")


COMPONENT = Component(OtlpSettings, _create)
