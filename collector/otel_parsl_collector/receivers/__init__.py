"""Part of the collector: receivers."""
