"""Busy against connected workers: the plot and the figure that several pages show."""

from __future__ import annotations

from otel_parsl.cli import words
from otel_parsl_dashboards.elements import capacity, used_of_all
from otel_parsl_dashboards.elements.levels import steps, total_s
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Plot, View
from otel_parsl_dashboards.shell.environment import share_words


def busy_card(view: View) -> Card:
    """Return the share of connected workers' time that they were busy."""
    snapshot, span = view.snapshot, view.span
    connected = capacity.workers(snapshot.nodes, snapshot.until)
    explained = (
        "The time that tries ran on workers, as a share of the time that workers were connected."
    )
    if not len(connected.start):
        return Card("Workers busy", words.UNKNOWN, "no manager has reported", explained)
    busy = used_of_all.busy(snapshot.tries, snapshot.nodes, snapshot.until)
    return Card(
        "Workers busy",
        share_words(total_s(busy, span), total_s(connected, span)),
        f"at most {steps(connected, span).values.max():,.0f} connected",
        explained,
    )


BUSY_WORKERS = Plot(
    key="workers",
    title="Busy and connected workers",
    help="Tries between running and running_ended, while their node had managers in their block,"
    " against the workers of the managers that took tasks, by each manager's latest report."
    " Where no manager reports, all tries that ran.",
    draw=lambda view: used_of_all.busy_workers(
        view.snapshot.tries, view.snapshot.nodes, span=view.span, until=view.snapshot.until
    ),
    summarise=lambda view: used_of_all.summarise_workers(
        view.snapshot.tries, view.snapshot.nodes, span=view.span, until=view.snapshot.until
    ),
    legend=lambda _view: [("busy", used_of_all.WORKERS), ("connected", used_of_all.ALL)],
    needs=("tries", "nodes"),
    height=200,
    is_timed=True,
    follows_window=True,
)
