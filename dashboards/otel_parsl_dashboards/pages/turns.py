"""Cut a long list into pages that are turned by links."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from otel_parsl_dashboards.pages.page import Facts


class Turned(NamedTuple):
    """One page of a list."""

    shown: slice
    """Which of the list it has."""
    facts: Facts
    """What ``turns.html`` says of it."""


def turn(total: int, page: int, per_page: int, address: Callable[[int], str]) -> Turned:
    """
    Return one page of a list.

    Args:
        total: How long the list is.
        page: Which page is wanted, from 1; beyond the last one it is the last.
        per_page: How many a page has.
        address: Returns where a page of the list is.
    """
    pages = max(-(-total // per_page), 1)
    page = min(page, pages)
    first = (page - 1) * per_page
    ways = (("First", 1), ("Previous", page - 1), ("Next", page + 1), ("Last", pages))
    return Turned(
        slice(first, first + per_page),
        {
            "total": total,
            "first": first + 1,
            "last": min(first + per_page, total),
            "page": page,
            "pages": pages,
            "turns": [
                (name, address(to) if 1 <= to <= pages and to != page else "") for name, to in ways
            ],
        },
    )
