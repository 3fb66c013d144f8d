"""What pages say in numbers and which rows they list, against figures worked out by hand."""

from __future__ import annotations

import datetime
import uuid
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole
from otel_parsl_dashboards.pages import tasks, workflow, workflows
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.run_header import header_facts
from otel_parsl_dashboards.pages.task_filter import misread, read_asked

from tests.support.stored_run import RUN_ID, StoredRun


def _view(path: Path, run_id: str = RUN_ID, **query: str) -> View:
    source = Source(str(path))
    return View(read_whole(source, run_id), {}, query, None, source)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with tries of known lengths, one remembered result and one failure."""
    path = tmp_path_factory.mktemp("numbers") / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id, (run_s, app) in enumerate(
            [(3, "double"), (1, "double"), (10, "double"), (2, "double"), (4, "triple")]
        ):
            run.task(task_id, "pending", "launched", app=app, at_s=10 - task_id)
            run.execution(task_id, at_s=12, run_s=run_s, app=app)
            end = "failed" if task_id == 3 else "exec_done"
            run.task(task_id, end, at_s=30 + task_id, app=app, returned_ns=run.ns(30 + task_id))
        run.task(5, "pending", "memo_done", app="double", at_s=4)
        run.task(6, "pending", app="quadruple", at_s=3)
        run.ended("unfinished", at_s=60)
    return path


def test_summary_of_apps_is_of_what_ran(path: Path) -> None:
    """Mean, median and p95 are of tries: a remembered result, which took no time, is none."""
    shown = {row["name"]: row for row in workflow.facts(_view(path))["apps"]}

    double = shown["double"]
    assert (double["tasks"], double["failed"]) == (5, 1)
    assert (double["mean_s"], double["median_s"]) == (4.0, 2.5)
    assert double["p95_s"] == pytest.approx(3 + 0.85 * 7)
    assert (double["share"], shown["triple"]["share"]) == ("80.0 %", "20.0 %")
    assert (shown["quadruple"]["mean_s"], shown["quadruple"]["share"]) == (None, "0 %")


@pytest.mark.parametrize(
    ("sort", "order", "expected"),
    [
        ("", "", [3, 6, 0, 1, 2, 4, 5]),
        ("state", "desc", [5, 4, 2, 1, 0, 6, 3]),
        ("task", "desc", [6, 5, 4, 3, 2, 1, 0]),
        ("app", "asc", [0, 1, 2, 3, 5, 6, 4]),
        ("run", "", [2, 4, 0, 3, 1, 5, 6]),
        ("run", "asc", [1, 3, 0, 4, 2, 5, 6]),
        ("called", "asc", [6, 5, 0, 1, 2, 3, 4]),
        ("completed", "asc", [0, 1, 2, 3, 4, 5, 6]),
        ("tries", "", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_tasks_come_as_they_are_asked_for(
    sort: str, order: str, expected: list[int], path: Path
) -> None:
    """By every column both ways, what is not known last; by default what needs a look first."""
    listed = tasks.facts(_view(path, sort=sort, order=order))["listed"]
    found = [row["task_id"] for row in listed["rows"]]
    if sort == "state" and order == "desc":
        assert [found[0], found[-2:]] == [5, [6, 3]]
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "TRIPLE"}, [4]),
        ({"q": "no such text"}, []),
        ({"state": "failed"}, [3]),
        ({"state": "no such state"}, [3, 6, 0, 1, 2, 4, 5]),
        ({"app": "double", "sort": "run"}, [2, 0, 3, 1, 5]),
    ],
)
def test_tasks_are_those_that_fit(query: dict[str, str], expected: list[int], path: Path) -> None:
    """By a text too; what means nothing is left out, and said."""
    listed = tasks.facts(_view(path, **query))["listed"]
    assert [row["task_id"] for row in listed["rows"]] == expected
    said = misread(_view(path), read_asked(query))
    assert [text.partition(",")[0] for text in said] == (
        ["In the address state is 'no such state'"] if query.get("state") == "no such state" else []
    )


def test_time_left_is_told_with_its_band(tmp_path: Path) -> None:
    """Of a run that goes on: about how long, and between what nine in ten such runs would take."""
    path = tmp_path / "monitoring.db"
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=100)
    run = StoredRun(f"sqlite:///{path}", began=began)
    for task_id in range(60):
        run.task(task_id, "pending", "launched", at_s=0.5)
        if task_id < 40:
            at_s = 1 + 2.4 * task_id
            run.execution(task_id, at_s=at_s, run_s=2.0 + 0.4 * (task_id % 2))
            run.task(task_id, "exec_done", at_s=at_s + 2.5)
    run.heartbeat(at_s=99)
    run.write()

    cards = {card.name: card for card in workflow.facts(_view(path))["cards"]}

    assert cards["Time left"].value.startswith("about ")
    about = _seconds(cards["Time left"].value.removeprefix("about "))
    low, high = map(_seconds, cards["Time left"].more.split(" to "))
    # A worker that takes 2.2 s for each of twenty tasks, and 0.2 s between them.
    assert 40 < about < 60
    assert low < about < high
    assert 0.7 * about < low
    assert high < 1.3 * about


@pytest.mark.parametrize(
    ("tasks", "is_ended", "said"), [(5000, False, 1), (4999, False, 0), (5000, True, 0)]
)
def test_plots_that_lag_behind_a_large_run_say_so(
    tasks: int, is_ended: bool, said: int, tmp_path: Path
) -> None:
    """Of a run that goes on and is so large that drawing it has to wait; of no other."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}", began=datetime.datetime.now(datetime.timezone.utc)) as run:
        for task_id in range(tasks):
            run.task(task_id, "pending")
        run.heartbeat(at_s=1)
        if is_ended:
            run.ended(at_s=2)

    notices = header_facts(_view(path).snapshot)["notices"]

    assert len([each for each in notices if "up to 30 s older than the numbers" in each]) == said


@pytest.mark.parametrize(("held_s", "said"), [(2.5, 1), (1.5, 0)])
def test_plots_that_are_held_back_say_so(held_s: float, said: int, tmp_path: Path) -> None:
    """Of a run of any size, where its drawing has had to wait beyond what is taken for now."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}", began=datetime.datetime.now(datetime.timezone.utc)) as run:
        run.task(0, "pending")
        run.heartbeat(at_s=1)
    snapshot = _view(path).snapshot

    snapshot.held_s = held_s

    notices = header_facts(snapshot)["notices"]
    assert len([each for each in notices if "up to 30 s older than the numbers" in each]) == said


def _seconds(said: str) -> float:
    minutes, _, rest = said.rpartition(" min")
    number = float((rest or said).split()[0]) if (rest or said).strip() else 0.0
    return (float(minutes) * 60 if minutes else 0.0) + number


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Three runs: completed, unfinished and lost."""
    path = tmp_path_factory.mktemp("runs") / "monitoring.db"
    for number, (name, host, outcome, lasts_s, failed) in enumerate(
        [
            ("survey", "login1", None, 50.0, 0),
            ("fit stars", "login2", "unfinished", 90.0, 2),
            ("align", "login1", "lost", 70.0, 1),
        ]
    ):
        with StoredRun(
            f"sqlite:///{path}",
            run_id=str(uuid.UUID(int=number)),
            rundir=f"/home/me/runinfo/{number:03}",
            name=name,
            host=host,
            began=datetime.datetime(2026, 1, 15 - number, tzinfo=datetime.timezone.utc),
        ) as run:
            for task_id in range(3 - number):
                run.task(task_id, "pending", "launched", "exec_done")
            for task_id in range(3, 3 + failed):
                run.task(task_id, "pending", "launched", "failed")
            run.ended(outcome, at_s=lasts_s)
    return Library(Source(str(path)))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["survey", "fit stars", "align"]),
        ({"q": "STARS"}, ["fit stars"]),
        ({"q": "login1"}, ["survey", "align"]),
        ({"q": "runinfo/002"}, ["align"]),
        ({"state": "lost"}, ["align"]),
        ({"state": "completed", "q": "fit"}, []),
        ({"sort": "name"}, ["align", "fit stars", "survey"]),
        ({"sort": "name", "order": "desc"}, ["survey", "fit stars", "align"]),
        ({"sort": "duration"}, ["fit stars", "align", "survey"]),
        ({"sort": "failed"}, ["fit stars", "align", "survey"]),
        ({"sort": "completed", "order": "asc"}, ["align", "fit stars", "survey"]),
        ({"sort": "started", "order": "asc"}, ["align", "fit stars", "survey"]),
        ({"sort": "nothing", "order": "nothing"}, ["survey", "fit stars", "align"]),
    ],
)
def test_runs_are_filtered_and_sorted(
    runs: Library, query: dict[str, str], expected: list[str]
) -> None:
    """The list has the runs that fit, in the order asked for, the latest first by default."""
    shown: Any = workflows.facts(runs.runs(), query)
    assert [row["name"] for row in shown["rows"]] == expected
    states = {"survey": "completed", "fit stars": "unfinished", "align": "lost"}
    assert all(row["state"] == states[row["name"]] for row in shown["rows"])
