"""The lines of tries that ran at once."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from otel_parsl_dashboards.elements.colours import APPS, OTHER, app_colours, app_legend
from otel_parsl_dashboards.elements.concurrency import concurrency
from otel_parsl_dashboards.elements.span import Span

hv.extension("bokeh", logo=False)  # elements have no options before

BEGAN = np.datetime64("2026-01-15T12:00:00", "us")


def _second(number: float) -> np.datetime64:
    return BEGAN + np.timedelta64(int(number * 1e6), "us")


@pytest.mark.parametrize("apps", [1, 12, 15])
def test_each_app_is_in_one_line(apps: int) -> None:
    """The lines of apps add up to that of all, and the legend names each line, in its colour."""
    # The app of the highest number has the most tries.
    of_try = [f"app_{number:02}" for number in range(apps) for _ in range(number + 1)]
    begun = [_second(number % 50) for number in range(len(of_try))]
    tries = pd.DataFrame(
        {
            "app": pd.Categorical(of_try),
            "running": np.array(begun),
            "ended": np.array(begun) + np.timedelta64(4, "s"),
        }
    )
    colours = app_colours({name: of_try.count(name) for name in of_try})

    drawn = concurrency(tries, colours, span=Span(BEGAN, _second(60)), until=_second(60))

    total = drawn.get(0).data
    lines = [
        (line["app"], line["colour"], line["time"], line["tries running"])
        for line in drawn.get(1).data
    ]
    assert [(name, colour) for name, colour, *_ in lines] == app_legend(colours)
    assert len({colour for _, colour, *_ in lines}) == min(apps, 13)
    named = [name for name, colour, *_ in lines if colour != OTHER]
    assert named == [f"app_{number:02}" for number in range(apps)][-len(APPS) :]
    for moment in np.arange(0.5, 60):
        at = _second(moment)
        running = [counts[np.searchsorted(times, at) - 1] for _, _, times, counts in lines]
        (of_all,) = total["tries running"][np.searchsorted(total["time"], at) - 1 :][:1]
        assert sum(running) == of_all
