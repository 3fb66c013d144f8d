"""Part of the collector: connectors."""
