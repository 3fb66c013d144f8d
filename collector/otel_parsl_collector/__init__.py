"""The collector of otel-parsl: OTLP in, Parsl's tables and any OTLP backend out."""
