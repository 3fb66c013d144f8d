"""Part of the collector: extensions."""
