"""How whole a run's telemetry is: ``/workflow/RUN/health``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sqlalchemy import Connection, text

from otel_parsl.cli import words
from otel_parsl.query.health import (
    AgentSaid,
    Pending,
    Received,
    count_pending,
    read_agent,
    read_trace_share,
    select_received,
)
from otel_parsl.query.runs import Run
from otel_parsl.schema import LATE_S
from otel_parsl_dashboards.data.clocks import Clock, clocks
from otel_parsl_dashboards.data.last_signs import LastSign, last_signs
from otel_parsl_dashboards.data.unmatched import unmatched
from otel_parsl_dashboards.pages.page import Facts, RunPage, View
from otel_parsl_dashboards.shell.environment import seconds_words, share_words, time_words

Row = TypeVar("Row")
_NEEDS = ("tries", "statuses", "edges", "nodes", "blocks", "samples")
_MOST = 200
"""Rows of a table of hosts, those whose clocks are worst, or of signs, those that are oldest."""
_SOURCES = {
    "submit": ("submit process", "states of tasks, blocks and executors"),
    "worker": ("workers", "beginnings and ends of tries, and samples"),
    "interchange": ("interchange", "reports of managers"),
}
_EXACT_S = 0.001
"""Clocks that are not further apart are as good as one."""


def facts(view: View) -> Facts:
    """Return what the page says."""
    if not all(map(view.snapshot.has, _NEEDS)):
        return {
            "is_read": False,
            "is_ours": view.snapshot.run.is_ours,
            "trouble": [],
            "unchecked": [],
            "received": None,
            "lost": [],
            "destinations": [],
            "clocks": [],
            "more_clocks": 0,
            "sampling": [],
            "signs": [],
            "more_signs": 0,
        }
    snapshot = view.snapshot
    run = snapshot.run
    with view.source.read() as connection:
        received = select_received(connection, run)
        pending = count_pending(connection, run)
        interval_s = _interval_s(connection, view)
    said = read_agent(run)
    strangers = unmatched(
        snapshot.tasks, snapshot.tries, snapshot.statuses, snapshot.edges, snapshot.samples
    )
    hosts = clocks(snapshot.tries)
    signs = _signs(view)
    return {
        "is_read": True,
        "is_ours": run.is_ours,
        "trouble": _trouble(received, pending, said, strangers, hosts),
        "unchecked": _unchecked(run, received, said),
        "received": None if received is None else _received(view, received),
        "lost": _lost(view, pending, said, strangers),
        "destinations": [] if said is None else said.destinations,
        "clocks": [_clock(each) for each in first_to_see(hosts, _nearness_s, _MOST)],
        "more_clocks": max(len(hosts) - _MOST, 0),
        "sampling": _sampling(view, interval_s),
        "signs": [_sign(view, each) for each in first_to_see(signs, lambda sign: sign.at, _MOST)],
        "more_signs": max(len(signs) - _MOST, 0),
    }


def first_to_see(rows: list[Row], rank: Callable[[Row], Any], most: int) -> list[Row]:
    """Return the rows of lowest rank where there are too many, in the order in which they stand."""
    if len(rows) <= most:
        return rows
    places = sorted(range(len(rows)), key=lambda place: rank(rows[place]))[:most]
    return [rows[place] for place in sorted(places)]


def _nearness_s(clock: Clock) -> tuple[bool, float]:
    """Return how near a clock is to the submit host's at least: one that moves is nowhere near."""
    return not clock.has_moved, -max(clock.least_s, -clock.most_s)


def _received(view: View, received: list[Received]) -> list[Facts]:
    by_source = {each.source: each for each in received}
    rows = []
    for source, (name, what) in _SOURCES.items():
        each = by_source.get(source, Received(source, 0, 0, 0, None))
        last = None
        if each.last_at is not None:
            last = view.snapshot.standing.local(each.last_at)
        rows.append(
            {
                "name": name,
                "what": what,
                "items": each.items,
                "repeated": each.repeated,
                "late": each.late,
                "last": time_words(last),
                "age": _age(view, last),
            }
        )
    return rows


def _lost(
    view: View, pending: Pending | None, said: AgentSaid | None, strangers: dict[str, int]
) -> list[Facts]:
    """Return what is missing, a row a kind, with its number or why that is not known."""
    unknown = (
        "not counted by Parsl's own hub"
        if not view.snapshot.run.is_ours
        else "the agent's file in the run's directory cannot be read from here"
    )
    rows: list[Facts] = [
        {
            "name": "set aside: no row can hold it",
            "count": None if said is None else said.refused,
            "why": unknown,
            "help": "Telemetry that the database would not take, kept in refused-store.otlp in the"
            " run's directory.",
        },
        {
            "name": "bytes of the spool that were damaged",
            "count": None if said is None else said.damaged_bytes,
            "why": unknown,
            "help": "A torn write or a damaged disk: readers skip it and go on behind it.",
        },
        {
            "name": "tries that a worker has begun and the submit side has not told of",
            "count": None if pending is None else pending.tries,
            "why": unknown,
            "help": "They wait, in the database, until the submit process tells of their task.",
        },
        {
            "name": "reports of managers of which a part is missing",
            "count": None if pending is None else pending.reports,
            "why": unknown,
            "help": "They wait, in the database, for the points that a collector on the way parted"
            " from them.",
        },
    ]
    rows += [
        {
            "name": name,
            "count": count,
            "why": "",
            "help": "Counted in the tables as they are now.",
        }
        for name, count in strangers.items()
    ]
    return rows


def _trouble(
    received: list[Received] | None,
    pending: Pending | None,
    said: AgentSaid | None,
    strangers: dict[str, int],
    hosts: list[Clock],
) -> list[str]:
    """Return what deserves a look, in words."""
    found = [f"{name.capitalize()}: {count:,}." for name, count in strangers.items() if count]
    if pending is not None and pending.tries:
        tries = words.counted(pending.tries, "try")
        found.append(f"{tries} began, and the submit side told nothing.")
    if pending is not None and pending.reports:
        found.append(
            f"A part is missing of {words.counted(pending.reports, 'report')} of managers."
        )
    if said is not None and said.refused:
        found.append(f"{words.counted(said.refused, 'item')} fit into no row and are set aside.")
    if said is not None and said.damaged_bytes:
        found.append(f"{words.counted(said.damaged_bytes, 'byte')} of the spool were damaged.")
    for each in said.destinations if said is not None else ():
        if each.dropped or each.refused:
            found.append(
                f"{each.endpoint} lacks {words.counted(each.dropped + each.refused, 'item')}."
            )
    late = sum(each.late for each in received or ())
    if late:
        found.append(f"{words.counted(late, 'item')} came more than {LATE_S} s late.")
    off = [each for each in hosts if each.is_off and _distance_s(each) > _EXACT_S]
    if off:
        found.append(
            f"The clock of {off[0].host} is {_clock_words(off[0])}"
            + (f"; so are {len(off) - 1:,} others off" if len(off) > 1 else "")
            + ": times between hosts are wrong by as much."
        )
    return found


def _unchecked(run: Run, received: list[Received] | None, said: AgentSaid | None) -> list[str]:
    """Return what nobody can tell of, so that it may be missing all the same, as sentences."""
    if not run.is_ours:
        return [
            "Parsl's own hub wrote this run: this database has no record of what was received,"
            " dropped, late or repeated. What can be told from its rows stands below."
        ]
    found = []
    if said is None:
        found.append(
            "What no row can hold, what of the spool was damaged and what destinations lack is not"
            " known: the agent's file in the run's directory cannot be read from here."
        )
    if received is None:
        found.append(
            "What came late or twice is not known: an earlier otel-parsl wrote this database."
        )
    return found


def _clock(clock: Clock) -> Facts:
    return {
        "host": clock.host,
        "tries": clock.tries,
        "least": _signed(clock.least_s),
        "most": _signed(clock.most_s),
        "said": _clock_words(clock),
        "is_off": clock.is_off and _distance_s(clock) > _EXACT_S,
    }


def _distance_s(clock: Clock) -> float:
    """Return how far a clock is off, at least."""
    return max(clock.least_s, -clock.most_s, 0.0)


def _clock_words(clock: Clock) -> str:
    if clock.has_moved:
        return f"no constant distance away: it was set, or drifts, by {_apart(clock)}"
    if clock.least_s > 0:
        return f"at least {seconds_words(clock.least_s)} ahead"
    if clock.most_s < 0:
        return f"at least {seconds_words(-clock.most_s)} behind"
    return "as the submit host's, as far as can be told"


def _apart(clock: Clock) -> str:
    return f"{seconds_words(clock.least_s - clock.most_s)} or more"


def _signed(seconds: float) -> str:
    if math.isinf(seconds):
        return "no bound"
    return f"{'-' if seconds < 0 else '+'}{seconds_words(abs(seconds))}"


def _sampling(view: View, interval_s: float | None) -> list[Facts]:
    snapshot = view.snapshot
    ran = snapshot.tries["running"].notna().to_numpy()
    tries = int(ran.sum())
    samples = snapshot.samples
    spread = int(samples["try_id"].max()) + 1 if len(samples) else 1
    sampled = len(pd.unique(samples["task_id"].to_numpy() * spread + samples["try_id"].to_numpy()))
    share = read_trace_share(snapshot.run)
    if not snapshot.run.is_ours:
        traces = "none: Parsl's own hub sends no spans"
    elif share is None:
        traces = "not known: the run's directory cannot be read from here"
    else:
        traces = f"{share_words(share, 1.0)} of the tasks"
    return [
        {
            "name": "rows of this database",
            "value": "all: nothing is sampled here",
            "help": "Sampling is for what is sent to backends; the tables have everything.",
        },
        {
            "name": "spans that are sent to backends",
            "value": traces,
            "help": "As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG asked for; a destination"
            " may keep more or less, by a rule of its own.",
        },
        {
            "name": "resource samples every",
            "value": seconds_words(interval_s) if interval_s else "no sample was taken",
            "help": "The hub's resource_monitoring_interval. A try has one more at its end.",
        },
        {
            "name": "tries with samples",
            "value": f"{sampled:,} of {tries:,} that ran ({share_words(sampled, tries)})",
            "help": "A try that ended before its first sample has none under Parsl's own hub.",
        },
    ]


def _interval_s(connection: Connection, view: View) -> float | None:
    samples = view.snapshot.samples
    if not len(samples):
        return None
    last = samples.iloc[-1]
    query = text(
        "SELECT max(resource_monitoring_interval) FROM resource"
        " WHERE run_id = :run_id AND task_id = :task_id AND try_id = :try_id"
    )
    which = {"task_id": int(last["task_id"]), "try_id": int(last["try_id"])}
    found = connection.execute(query, {"run_id": view.snapshot.run.run_id, **which}).scalar()
    return None if found is None else float(found)


def _signs(view: View) -> list[LastSign]:
    snapshot = view.snapshot
    signs = last_signs(
        snapshot.statuses, snapshot.tries, snapshot.samples, snapshot.nodes, snapshot.blocks
    )
    beat = snapshot.run.heartbeat_at
    if beat is not None:
        lag_s = snapshot.run.lag_s
        behind = "" if lag_s is None else f", the database at most {seconds_words(lag_s)} behind"
        signs.insert(0, LastSign("agent", f"heartbeat{behind}", snapshot.standing.local(beat)))
    return signs


def _sign(view: View, sign: LastSign) -> Facts:
    return {
        "source": sign.source,
        "name": sign.name,
        "at": time_words(sign.at),
        "age": _age(view, sign.at),
    }


def _age(view: View, at: np.datetime64 | None) -> str:
    """Return how long ago something was, or for a run that is over how long before its end."""
    if at is None or np.isnat(at):
        return words.UNKNOWN
    standing = view.snapshot.standing
    since_s = float((view.snapshot.until - at) / np.timedelta64(1, "us")) / 1e6
    if standing.is_running:
        return f"{seconds_words(max(since_s, 0.0))} ago"
    if since_s < 0:
        return f"{seconds_words(-since_s)} after its end"
    return f"{seconds_words(since_s)} before its end"


PAGE = RunPage(
    path="health",
    tab="Data health",
    template="health.html",
    tables={"destinations": "destinations", "clocks": "hosts", "signs": "sources"},
    is_reported=True,
    facts=facts,
    is_slow=lambda _view: True,
    fragments=("trouble", "received", "lost", "clocks", "sampling", "signs"),
    needs=_NEEDS,
)
