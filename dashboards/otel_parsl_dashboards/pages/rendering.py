"""What a plot of a page shows, drawn once for all browsers that show it."""

from __future__ import annotations

from functools import partial

from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.figures.canvas import Canvas, Rendered
from otel_parsl_dashboards.pages.page import Plot, RunPage, View


def rendered(resident: Resident, page: RunPage, plot: Plot, view: View) -> Rendered:
    """
    Return what a plot shows, kept with the snapshot.

    Args:
        resident: The run, which keeps what the plot is drawn on.
        page: The page.
        plot: One of its plots.
        view: What it is drawn from.
    """
    canvas: Canvas = resident.once(
        (page.path, plot.key), lambda: Canvas(height=plot.height, is_timed=plot.is_timed)
    )
    return view.snapshot.once(
        ("drawn", page.path, plot.key, plot.asked(view)),
        lambda: canvas.render(
            partial(plot.draw, view),
            picture=plot.picture and partial(plot.picture, view),
            beside=(view.snapshot.version, plot.asked(view._replace(window=None))),
        ),
    )
