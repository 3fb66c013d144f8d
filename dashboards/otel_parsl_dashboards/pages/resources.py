"""What a run used of what it had: ``/workflow/RUN/resource_usage``."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data.lanes import natural
from otel_parsl_dashboards.elements import (
    asked_memory,
    capacity,
    task_resources,
    usage,
    used_of_all,
)
from otel_parsl_dashboards.elements.levels import Amounts, mean, steps, total_s
from otel_parsl_dashboards.pages.block_nodes import use_of_hosts
from otel_parsl_dashboards.pages.busy_workers import BUSY_WORKERS, busy_card
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.memory_asked import asked_tries, memory_facts
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.pages.task_filter import nodes as node_names
from otel_parsl_dashboards.pages.used import located, used
from otel_parsl_dashboards.shell.environment import number_words, share_words

_NEEDS = ("tries", "nodes", "samples")
_NOT_SAMPLED = "not sampled"


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    if not all(map(view.snapshot.has, _NEEDS)):
        return {
            "is_read": False,
            "cards": [],
            "apps": [],
            "hosts": [],
            "lacks": [],
            "memory": None,
            "has_samples": True,
            "has_managers": True,
            "chosen": _chosen(view),
        }

    def made() -> Facts:
        return {
            "is_read": True,
            "cards": _cards(view),
            "apps": _apps(view),
            "hosts": _hosts(view),
            "lacks": _lacks(view),
            "memory": memory_facts(view),
            "has_samples": len(view.snapshot.samples) > 0,
            "has_managers": len(view.snapshot.nodes) > 0,
        }

    found: Facts = view.snapshot.once(("resources", view.window), made)
    return found | {"chosen": _chosen(view)}


def _chosen(view: View) -> Facts:
    """Return of which app and which node the histograms are, and which there are."""
    app, node = view.query.get("app", ""), view.query.get("node", "")
    return {
        "app": app,
        "node": node,
        "apps": view.snapshot.apps,
        "nodes": node_names(view),
        "whole": view.address(app="", node=""),
        "kept": view.stretch,
    }


def _chosen_by_task(view: View) -> pd.DataFrame:
    """Return the figures of the tasks of the app, and on the node, that the address names."""
    app, node = view.query.get("app", ""), view.query.get("node", "")
    if not (app or node):
        return _by_task(view)

    def made() -> pd.DataFrame:
        found = _samples(view)
        for column, name in (("app", app), ("host", node)):
            if name:
                found = found[(found[column] == name).to_numpy()]
        return usage.by_task(found, "app")

    result: pd.DataFrame = view.snapshot.once(("by task", view.window, app, node), made)
    return result


def _used(view: View) -> pd.DataFrame:
    return used(view.snapshot)


def _used_within(view: View) -> pd.DataFrame:
    used = _used(view)
    if view.window is None:
        return used
    span = view.span
    used = used[(used["start"] < span.end) & (used["end"] > span.start)]
    return used.assign(
        start=np.maximum(used["start"].to_numpy(), span.start),
        end=np.minimum(used["end"].to_numpy(), span.end),
    )


def _samples(view: View) -> pd.DataFrame:
    """Return the samples within the window, with the app and host of their tries."""
    samples, window = located(view.snapshot), view.window
    if window is None:
        return samples
    time = samples["time"].to_numpy()
    return samples[(time >= window.start) & (time <= window.end)]


def _by_task(view: View) -> pd.DataFrame:
    found: pd.DataFrame = view.snapshot.once(
        ("by task", view.window), lambda: usage.by_task(_samples(view), "app")
    )
    return found


def _cards(view: View) -> list[Card]:
    span, until, nodes = view.span, view.snapshot.until, view.snapshot.nodes
    used = _used(view)
    cores, memory = usage.amounts(used, "cores"), usage.amounts(used, "memory_bytes")
    all_cores = capacity.of_hosts(nodes, until, "cpu_count")
    all_memory = capacity.of_hosts(nodes, until, "memory_bytes")
    has_cpu = bool(np.isfinite(cores.amount).any())
    has_memory = bool(np.isfinite(memory.amount).any())
    efficiency = usage.mean_cores(_used_within(view))
    most = float(steps(memory, span).values.max())
    most_memory = float(steps(all_memory, span).values.max())
    return [
        busy_card(view),
        Card(
            name="Cores used",
            value=_cores_words(view, cores, all_cores) if has_cpu else _NOT_SAMPLED,
            more=f"of at most {steps(all_cores, span).values.max():,.0f} cores"
            if len(all_cores.start)
            else "cores, on average",
            help="The CPU seconds of tries, in their code and in the kernel, as a share of the"
            " cores there were for as long as they were there. Only what lies between samples is"
            " known.",
        ),
        Card(
            name="Cores a try",
            value=words.UNKNOWN if efficiency is None else f"{efficiency:.3g}",
            more="on average, while tries ran",
            help="The CPU seconds of tries over the seconds that they ran, as far as they were"
            " sampled: 1 is a core kept busy, and much less is a try that waits.",
        ),
        Card(
            name="Most memory",
            value=words.size(most) if has_memory else _NOT_SAMPLED,
            more=f"of {words.size(most_memory)}" if most_memory else "of a size not known",
            help="The most resident memory of all tries at one moment, by their samples. Memory"
            " that processes share counts once for each of them.",
        ),
    ]


def _cores_words(view: View, cores: Amounts, everything: Amounts) -> str:
    if not len(everything.start):
        return f"{mean(cores, view.span):.3g}"
    return share_words(total_s(cores, view.span), total_s(everything, view.span))


def _apps(view: View) -> list[Facts]:
    """Return a row an app that has tasks: what they needed."""
    tasks = _tasks_that_ran(view, "app")
    needed = usage.by_name(_by_task(view), "app")
    cores = usage.efficiency(_used_within(view), "app")
    return [
        {
            "name": app,
            "colour": view.colours[app],
            "tasks": int(tasks.get(app, 0)),
            **_needed(needed, app, cores.get(app)),
        }
        for app in view.snapshot.apps
        if tasks.get(app, 0)
    ]


def _hosts(view: View) -> list[Facts]:
    """Return a row a node, naturally sorted: what it had, and what its tasks needed."""
    nodes = view.snapshot.nodes
    tasks = _tasks_that_ran(view, "host")
    needed = usage.by_name(usage.by_task(_samples(view), "host"), "host")
    cores = usage.efficiency(_used_within(view), "host")
    used = use_of_hosts(view)
    had = nodes.groupby(nodes["host"].astype(str))[["cpu_count", "memory_bytes"]].max()
    rows = []
    for host in sorted({*had.index, *tasks.index} - {""}, key=natural):
        is_managed = host in used.index
        rows.append(
            {
                "name": host,
                "cores": _known(had, host, "cpu_count"),
                "memory": words.size(_known(had, host, "memory_bytes")),
                "workers": number_words(int(used.at[host, "workers"]))
                if is_managed
                else words.UNKNOWN,
                "busy": share_words(used.at[host, "busy_s"], used.at[host, "connected_s"])
                if is_managed
                else words.UNKNOWN,
                "tasks": int(tasks.get(host, 0)),
                **_needed(needed, host, cores.get(host)),
            }
        )
    return rows


def _tasks_that_ran(view: View, by: str) -> pd.Series:
    """Return how many tasks ran of each app, or on each host."""
    ran = view.tries[["task_id", by]][view.tries["running"].notna().to_numpy()]
    return ran.groupby(by, observed=True)["task_id"].nunique()


def _known(rows: pd.DataFrame, name: str, column: str) -> float | None:
    value = rows[column].get(name)
    return None if value is None or np.isnan(value) else float(value)


def _needed(needed: pd.DataFrame, name: str, cores: float | None) -> Facts:
    """Return what tasks needed; of none that was sampled, nothing."""
    return {
        "sampled": int(_known(needed, name, "sampled") or 0),
        "cpu_mean_s": _known(needed, name, "cpu_mean_s"),
        "cpu_max_s": _known(needed, name, "cpu_max_s"),
        "used_cores": None if cores is None or np.isnan(cores) else float(cores),
        "memory_mean": words.size(_known(needed, name, "memory_mean")),
        "memory_max": words.size(_known(needed, name, "memory_max")),
    }


def _lacks(view: View) -> list[str]:
    """Return what there is nothing of, and how it is had."""
    snapshot = view.snapshot
    if not len(snapshot.tries) or not snapshot.tries["running"].notna().any():
        return []
    lacks = []
    if not len(snapshot.samples):
        lacks.append(
            "No task was sampled, so that CPU time and memory are not known. Samples are taken of"
            " tasks on executors with worker processes, such as HighThroughputExecutor; not of"
            " threads. They need resource_monitoring_enabled=True and a"
            " resource_monitoring_interval above 0 in the monitoring hub."
        )
    elif not snapshot.run.is_ours:
        lacks.append(
            "Parsl's own hub wrote this run: it counts CPU time from the start of a worker, so that"
            " the CPU time of a task holds that of the tasks which its worker had before. Cores"
            " used are right: they come from what was added between samples."
        )
    if not len(snapshot.nodes):
        lacks.append(
            "No manager has reported, so that connected workers, all cores and all memory are not"
            " known. Managers report where tasks run on HighThroughputExecutor; threads have none."
        )
    return lacks


def _histogram(column: str, title: str, explained: str) -> Plot:
    return Plot(
        key=column.replace("_", "-"),
        title=title,
        help=explained,
        draw=lambda view: task_resources.task_histogram(_chosen_by_task(view), column),
        summarise=lambda view: task_resources.summarise(_chosen_by_task(view), column),
        needs=_NEEDS,
        height=200,
        follows_window=True,
    )


_timed = partial(Plot, needs=_NEEDS, height=200, is_timed=True, follows_window=True)

PAGE = RunPage(
    path="resource_usage",
    tab="Resources",
    template="resources.html",
    tables={"apps": "apps", "hosts": "nodes", "memory.apps": "apps", "memory.near": "tries"},
    is_reported=True,
    facts=facts,
    is_slow=lambda _view: True,
    fragments=("cards", "apps", "hosts", "lacks", "window", "kept", "memory"),
    needs=_NEEDS,
    plots=(
        BUSY_WORKERS._replace(
            needs=_NEEDS, hint="drag over a stretch of time: the page shows that alone"
        ),
        _timed(
            key="cores",
            title="Used and all cores",
            help="The CPU seconds that tries spent from one sample to the next, over the time"
            " between them, summed over tries; against the cores of the hosts whose managers took"
            " tasks, a host once. Children of a try count with it.",
            draw=lambda view: used_of_all.used_cores(
                _used(view), view.snapshot.nodes, span=view.span, until=view.snapshot.until
            ),
            summarise=lambda view: used_of_all.summarise_cores(
                _used(view), view.snapshot.nodes, span=view.span, until=view.snapshot.until
            ),
            legend=lambda _view: [("used", used_of_all.CORES), ("all", used_of_all.ALL)],
        ),
        _timed(
            key="memory",
            title="Used and all memory",
            help="The resident memory of the tries that ran, each by its next sample, and after"
            " its last by that one; against the memory of the hosts whose managers took tasks, a"
            " host once. A GB is 1,000,000,000 bytes.",
            draw=lambda view: used_of_all.used_memory(
                _used(view), view.snapshot.nodes, span=view.span, until=view.snapshot.until
            ),
            summarise=lambda view: used_of_all.summarise_memory(
                _used(view), view.snapshot.nodes, span=view.span, until=view.snapshot.until
            ),
            legend=lambda _view: [("used", used_of_all.MEMORY), ("all", used_of_all.ALL)],
        ),
        _histogram(
            "cpu_user_s",
            "CPU user time of tasks",
            "The most CPU seconds in its own code that any sample of a task says. Tasks that were"
            " not sampled are left out.",
        ),
        _histogram(
            "memory_mean_bytes",
            "Mean memory of tasks",
            "The mean resident memory of a task's samples.",
        ),
        _histogram(
            "memory_max_bytes",
            "Most memory of tasks",
            "The most resident memory that any sample of a task says. A peak between two samples"
            " is not seen.",
        ),
        Plot(
            key="asked",
            title="Peak memory against what was asked for",
            help="The most resident memory of each try, as its worker measured it, as a share of"
            " the memory in its parsl_resource_specification. The broken line is all of it. A MB"
            " there is taken as 1,048,576 bytes.",
            draw=lambda view: asked_memory.asked_memory(asked_tries(view)),
            summarise=lambda view: asked_memory.summarise(asked_tries(view)),
            needs=_NEEDS,
            height=200,
            follows_window=True,
        ),
    ),
)
