"""A host as a URL has it."""

from __future__ import annotations


def url_host(host: str) -> str:
    """Return a name or address for a URL: of IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
