"""
Copies of a figure: a model belongs to one page, so that each page needs models of its own.

HoloViews takes several times as long to make a figure as Bokeh to read it back.
"""

from __future__ import annotations

from typing import Any

from bokeh.document import Document


def packed(figure: Any) -> Any:
    """Return a figure as Bokeh writes it down; arrays stay as they are in memory."""
    document = Document()
    document.add_root(figure)
    contents = document.to_json()
    document.remove_root(figure)
    return contents


def unpacked(contents: Any) -> Any:
    """Return the figure that was packed, made of new models."""
    document = Document.from_json(contents)
    (figure,) = document.roots
    document.remove_root(figure)
    return figure
