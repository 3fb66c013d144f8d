"""A small real workflow that shows what monitoring sees: ``otel-parsl demo``."""
