"""Processors: each a module named as its type is in the configuration."""
