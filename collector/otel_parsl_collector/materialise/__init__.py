"""Part of the collector: materialise."""
