"""Tables of text that fit the width of the terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from otel_parsl.cli.paint import paint

_GAP = "  "
_NARROWEST = 12


class Column(NamedTuple):
    """How one column is drawn."""

    title: str
    is_right: bool = False
    may_shrink: bool = False
    """Whether it gives way where the terminal is too narrow."""
    leave_out: int = 0
    """Where that is not enough, columns are left out in this order, 1 first; 0 stays."""


class Cell(NamedTuple):
    """Text in a colour."""

    text: str
    colour: str | None = None


def terminal_width() -> int | None:
    """Return how many characters fit on a line; None where nobody looks at it, so that all do."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    indent: str = "",
    width: int | None = None,
) -> list[str]:
    """
    Return the lines of a table.

    Args:
        columns: What each column is.
        rows: A text, or a text with its colour, for each column.
        indent: Put before each line.
        width: How wide it may be; by default as wide as the terminal.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    limit = terminal_width() if width is None else width
    kept = list(range(len(columns)))
    widths = [
        max([width_of(column.title), *(width_of(row[index].text) for row in cells)])
        for index, column in enumerate(columns)
    ]
    if limit is not None:
        kept = _kept(columns, widths, limit - len(indent))
        widths = [widths[index] for index in kept]
        _shrink([columns[index] for index in kept], widths, limit - len(indent))
    shown = [columns[index] for index in kept]
    heading = [Cell(column.title, "dim") for column in shown]
    lines = [_line(shown, widths, heading, indent)]
    lines += [_line(shown, widths, [row[index] for index in kept], indent) for row in cells]
    if len(shown) < len(columns):
        missing = ", ".join(column.title for column in columns if column not in shown)
        lines.append(f"{indent}(no room for {missing})")
    return lines


def width_of(text: str) -> int:
    """Return how many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def cut(text: str, width: int) -> str:
    """Return a text that takes at most so many places, with ``…`` where something is missing."""
    if width_of(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        used += width_of(character)
        if used > width - 1:
            break
        kept += character
    return kept + "…"


def _kept(columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[int]:
    """Return the columns that stay, where each that may is as narrow as can be."""
    kept = list(range(len(columns)))
    for index in sorted(kept, key=lambda index: columns[index].leave_out):
        least = sum(
            min(widths[each], _NARROWEST) if columns[each].may_shrink else widths[each]
            for each in kept
        )
        if least + len(_GAP) * (len(kept) - 1) <= limit:
            break
        if columns[index].leave_out:
            kept.remove(index)
    return kept


def _shrink(columns: Sequence[Column], widths: list[int], limit: int) -> None:
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - limit
    while excess > 0:
        index = max(
            (index for index, column in enumerate(columns) if column.may_shrink),
            key=lambda index: widths[index],
            default=None,
        )
        if index is None or widths[index] <= _NARROWEST:
            return
        taken = min(excess, widths[index] - _NARROWEST)
        second = max(
            (
                widths[other]
                for other, column in enumerate(columns)
                if column.may_shrink and other != index
            ),
            default=_NARROWEST,
        )
        # The widest gives way first, down to the next widest; then they do so together.
        step = min(taken, max(widths[index] - second, 1))
        widths[index] -= step
        excess -= step


def _line(
    columns: Sequence[Column], widths: Sequence[int], row: Sequence[Cell], indent: str
) -> str:
    parts = []
    for column, width, cell in zip(columns, widths, row, strict=True):
        text = cut(cell.text, width)
        padding = " " * (width - width_of(text))
        painted = paint(text, cell.colour)
        parts.append(padding + painted if column.is_right else painted + padding)
    return (indent + _GAP.join(parts)).rstrip()
