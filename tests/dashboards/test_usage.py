"""What tries used, summed by columns, is what a reader with pencil and paper finds."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements import usage

BEGAN = np.datetime64("2026-01-01T00:00:00", "us")
UNTIL = BEGAN + np.timedelta64(1000, "s")
APPS = ("double", "triple")
HOSTS = ("node1", "node2", "node10")


class Sample(NamedTuple):
    """When it was taken, and what it said; None for what it did not."""

    at_s: int
    cpu_s: int | None
    memory: int | None


class Try(NamedTuple):
    """A try with its samples."""

    task_id: int
    try_id: int
    host: str
    ended_s: int | None
    samples: list[Sample]

    @property
    def app(self) -> str:
        """The app of its task."""
        return APPS[self.task_id % len(APPS)]


@st.composite
def tries_with_samples(draw: st.DrawFn) -> list[Try]:
    """Give tries of some tasks, on any hosts, that began at 0 s."""
    found = []
    maybe = st.none() | st.integers(0, 50)
    for task_id in sorted(draw(st.sets(st.integers(0, 9), max_size=5))):
        for try_id in range(draw(st.integers(1, 4))):
            times = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
            samples = [Sample(at_s, draw(maybe), draw(maybe)) for at_s in times]
            host, ended = draw(st.sampled_from(HOSTS)), draw(st.none() | st.integers(60, 90))
            found.append(Try(task_id, try_id, host, ended, samples))
    return found


def _time(at_s: int | None) -> np.datetime64:
    return np.datetime64("NaT", "us") if at_s is None else BEGAN + np.timedelta64(at_s, "s")


def _tries_frame(tries: list[Try]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task_id": np.array([each.task_id for each in tries], "int64"),
            "try_id": np.array([each.try_id for each in tries], "int64"),
            "app": pd.Categorical([each.app for each in tries], categories=APPS),
            "host": pd.Categorical([each.host for each in tries], categories=HOSTS),
            "running": np.array([BEGAN for _ in tries], frames.TIME),
            "ended": np.array([_time(each.ended_s) for each in tries], frames.TIME),
        }
    )


def _samples_frame(tries: list[Try], random: np.random.Generator) -> pd.DataFrame:
    """Return the samples in any order, with one of a try that is not there."""
    rows = [(each.task_id, each.try_id, sample) for each in tries for sample in each.samples]
    rows.append((77, 0, Sample(5, 5, 5)))
    rows = [rows[place] for place in random.permutation(len(rows))]
    return pd.DataFrame(
        {
            "task_id": np.array([task_id for task_id, _, _ in rows], "int64"),
            "try_id": np.array([try_id for _, try_id, _ in rows], "int64"),
            "time": np.array([_time(sample.at_s) for _, _, sample in rows], frames.TIME),
            "cpu_user_s": np.array([sample.cpu_s for _, _, sample in rows], "float64"),
            "cpu_system_s": np.zeros(len(rows)),
            "memory_bytes": np.array([sample.memory for _, _, sample in rows], "float64"),
        }
    )


def _located(tries: list[Try]) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = _tries_frame(tries)
    return usage.located(_samples_frame(tries, np.random.default_rng(7)), frame), frame


@given(tries_with_samples())
def test_figures_of_tasks_are_those_of_their_samples(tries: list[Try]) -> None:
    """Most CPU seconds, mean and most memory by task and host, wherever a retry ran."""
    by_hand: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    for each in tries:
        by_hand[each.task_id, each.host] += each.samples
    expected = {}
    for key, samples in by_hand.items():
        memory = [sample.memory for sample in samples if sample.memory is not None]
        cpu = [sample.cpu_s for sample in samples if sample.cpu_s is not None]
        if samples:
            mean, most = (fmean(memory), max(memory)) if memory else (None, None)
            expected[key] = (max(cpu) if cpu else None, mean, most)

    found, _ = _located(tries)
    by_task = usage.by_task(found, "host")

    rows = by_task.astype({"host": str}).replace(np.nan, None).itertuples(index=False, name=None)
    assert {(task_id, host): tuple(said) for task_id, host, *said in rows} == {
        key: pytest.approx(said) for key, said in expected.items()
    }
    assert len(by_task) == len(expected)
    assert list(usage.by_task(found)["task_id"]) == sorted({task_id for task_id, _ in expected})


@given(tries_with_samples(), st.booleans())
def test_use_goes_from_sample_to_sample(tries: list[Try], counts_from_try: bool) -> None:
    """CPU between samples over the time between them; memory by the sample at its end."""
    expected = []
    for each in tries:
        before_s, before_cpu = 0, 0 if counts_from_try else None
        for sample in each.samples:
            used = None
            if sample.cpu_s is not None and before_cpu is not None:
                used = max(sample.cpu_s - before_cpu, 0) / (sample.at_s - before_s)
            expected.append((each.task_id, before_s, sample.at_s, used, sample.memory))
            before_s, before_cpu = sample.at_s, sample.cpu_s
        if each.samples and (each.ended_s is None or each.ended_s > before_s):
            last_used = expected[-1][3] if each.ended_s is None else None
            end_s = 1000 if each.ended_s is None else each.ended_s
            expected.append((each.task_id, before_s, end_s, last_used, each.samples[-1].memory))

    found, frame = _located(tries)
    used = usage.intervals(found, frame, until=UNTIL, counts_from_try=counts_from_try)

    def key(row: tuple[object, ...]) -> str:
        return repr([-1.0 if value is None else float(value) for value in row])  # type: ignore[arg-type]

    since = [(used[name] - BEGAN).dt.total_seconds() for name in ("start", "end")]
    rows = zip(used["task_id"], *since, used["cores"], used["memory_bytes"], strict=True)
    plain = [tuple(None if value != value else value for value in row) for row in rows]
    assert sorted(plain, key=key) == [pytest.approx(row) for row in sorted(expected, key=key)]

    cpu_s: dict[str, float] = defaultdict(float)
    lasted_s: dict[str, float] = defaultdict(float)
    for task_id, start_s, end_s, cores, _ in expected:
        if cores is not None:
            for name in (APPS[task_id % len(APPS)], str(task_id), "all"):
                cpu_s[name] += cores * (end_s - start_s)
                lasted_s[name] += end_s - start_s
    mean = {name: cpu_s[name] / lasted_s[name] for name in lasted_s}
    by_task = usage.cores_by_task(used)
    assert usage.efficiency(used, "app").to_dict() == pytest.approx(
        {app: mean[app] for app in APPS if app in mean}
    )
    assert dict(zip(map(str, by_task["task_id"]), by_task["cores"], strict=True)) == pytest.approx(
        {name: cores for name, cores in mean.items() if name.isdigit()}
    )
    assert usage.mean_cores(used) == (pytest.approx(mean["all"]) if mean else None)
