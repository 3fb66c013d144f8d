"""Part of the collector: store."""
