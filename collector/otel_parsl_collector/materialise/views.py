"""
OTLP as far as facts need it: requests whose Resources, attributes and metrics stay bytes.

Most of what a request says it says again and again, and bytes can be looked up in what has been
read before; taking every attribute apart as a message of its own costs ten times as much.
"""

from __future__ import annotations

from otel_parsl_collector.partial_messages import (
    BYTES,
    FIXED64,
    INT32,
    MANY,
    STRING,
    Field,
    message_classes,
)

_ITEMS = ("Span", "LogRecord", "Metric")
_CLASSES = message_classes(
    "otel_parsl.views",
    {
        "Event": (
            Field(1, "time_unix_nano", FIXED64),
            Field(2, "name", STRING),
            Field(3, "attributes", BYTES, MANY),
        ),
        "Span": (
            Field(5, "name", STRING),
            Field(6, "kind", INT32),
            Field(7, "start_time_unix_nano", FIXED64),
            Field(8, "end_time_unix_nano", FIXED64),
            Field(9, "attributes", BYTES, MANY),
            Field(11, "events", "Event", MANY),
        ),
        "LogRecord": (
            Field(1, "time_unix_nano", FIXED64),
            Field(6, "attributes", BYTES, MANY),
            Field(12, "event_name", STRING),
        ),
        "Point": (Field(7, "attributes", BYTES, MANY),),
        "Gauge": (Field(1, "data_points", BYTES, MANY),),
        "Metric": (Field(1, "name", STRING), Field(5, "gauge", "Gauge")),
        "SpanScope": (Field(2, "items", "Span", MANY),),
        "LogRecordScope": (Field(2, "items", "LogRecord", MANY),),
        "MetricScope": (Field(2, "items", BYTES, MANY),),
        **{
            f"{item}Group": (
                Field(1, "resource", BYTES),
                Field(2, "scopes", f"{item}Scope", MANY),
            )
            for item in _ITEMS
        },
        **{f"{item}Request": (Field(1, "groups", f"{item}Group", MANY),) for item in _ITEMS},
    },
)

TracesView, LogsView, MetricsView = (_CLASSES[f"{item}Request"] for item in _ITEMS)
MetricView, PointView = _CLASSES["Metric"], _CLASSES["Point"]
