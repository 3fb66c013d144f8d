"""Colours have the meanings that all pages give them."""

from __future__ import annotations

import colorsys
import re
from importlib.resources import files
from itertools import chain

import pytest
from otel_parsl_dashboards.elements import colours

_PALETTES = {
    "apps": (*colours.APPS, colours.OTHER, colours.PLAIN),
    "states": tuple(colours.OF_STATE.values()),
    "Parsl's states": tuple(colours.OF_PARSL_STATE.values()),
    "phases": tuple(colours.OF_PHASE.values()),
    "statuses of blocks": tuple(colours.OF_BLOCK_STATUS.values()),
}
_GREY = 20
"""Colours whose blue is no further above their red are seen as grey, or as warm."""
_NEAR = 30 / 360
"""Hues no further from that of links are seen as blue: from cyan to where violet begins."""


def _hue(colour: str) -> float:
    return colorsys.rgb_to_hsv(*colours.rgb(colour))[0]


def _links() -> set[str]:
    style = files("otel_parsl_dashboards").joinpath("shell/static/page.css").read_text()
    return set(re.findall(r"--link: (#\w{6})", style))


@pytest.mark.parametrize("palette", _PALETTES)
def test_no_palette_has_the_blue_of_links(palette: str) -> None:
    """What is blue can be clicked, in both themes: no colour of a plot or a swatch is."""
    assert len(_links()) == 2
    for colour in _PALETTES[palette]:
        red, _, blue = colours.rgb(colour)
        is_near = any(abs(_hue(colour) - _hue(link)) < _NEAR for link in _links())
        assert not (is_near and blue - red > _GREY), colour


def test_red_is_failure_alone() -> None:
    """Its red is that of failed tasks, tries and blocks, and of nothing else."""
    failed = colours.OF_STATE["failed"]
    named = [
        (name, colour)
        for of in (
            colours.OF_STATE,
            colours.OF_PARSL_STATE,
            colours.OF_PHASE,
            colours.OF_BLOCK_STATUS,
        )
        for name, colour in of.items()
    ]
    assert {name.lower() for name, colour in named if colour == failed} == {"failed"}
    assert failed not in _PALETTES["apps"]


@pytest.mark.parametrize("palette", [colours.APPS, colours.OF_STATE, colours.OF_PHASE])
def test_colours_beside_one_another_differ(palette: dict[str, str] | tuple[str, ...]) -> None:
    """No two of a palette are nearly the same."""
    shown = list(palette.values() if isinstance(palette, dict) else palette)
    parts = [colours.rgb(colour) for colour in shown]
    distances = [
        sum(abs(one - other) for one, other in zip(first, second, strict=True))
        for at, first in enumerate(parts)
        for second in chain(parts[:at])
    ]
    assert min(distances) >= 28
