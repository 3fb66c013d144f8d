"""Part of the collector: exporters."""
