"""The page of where the time went says what the rows say, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.phases import IDLE, PHASES
from otel_parsl_dashboards.elements import spent_over_time
from otel_parsl_dashboards.elements.colours import OF_PHASE
from otel_parsl_dashboards.elements.span import Span
from otel_parsl_dashboards.elements.spent import ALL, spent
from otel_parsl_dashboards.elements.verdict import LABELS, verdict
from parsl.monitoring.message_type import MessageType
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support import parsl_messages as say
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.parsl_database import write_with_parsl
from tests.support.recorded_databases import first_run_id, rows, value
from tests.support.recorded_databases import microseconds as _us

Messages = list[tuple[MessageType, Any]]
_THREADS = "run-on-threads"
_BEGAN = np.datetime64("2026-01-15T12:00:00", "us")


_DEPENDED = """(
    SELECT max(d.task_time_returned) FROM task AS d
    JOIN json_each('[' || task.task_depends || ']') ON d.task_id = value
)"""
_PHASES_SQL = f"""
WITH marks AS (
    SELECT task_func_name AS app,
           {_us("coalesce(lag(task_try_time_returned) OVER of_task, task_time_invoked)")} AS since,
           {_us("task_try_time_launched")} AS launched,
           {_us("task_try_time_running")} AS running,
           {
    _us(
        "(SELECT timestamp FROM status AS s WHERE s.task_id = t.task_id"
        " AND s.try_id = t.try_id AND task_status_name = 'running_ended')"
    )
} AS ended,
           {_us("coalesce(task_try_time_returned, task_time_returned)")} AS returned,
           CASE WHEN task_joins <> '' THEN {_us("task_time_returned")} END AS joined,
           CASE WHEN try_id = 0 THEN {_us(_DEPENDED)} END AS depended
    FROM task JOIN "try" AS t USING (run_id, task_id)
    WINDOW of_task AS (PARTITION BY task_id ORDER BY try_id)
), ready AS (
    SELECT *, coalesce(launched, returned) AS gone, max(coalesce(depended, 0), since) AS ready
    FROM marks
)
SELECT app,
       sum(max(ready - since, 0) + coalesce(joined - returned, 0)) / 1e6,
       0.0,
       sum(max(gone - ready, 0)) / 1e6,
       total(max(running - launched, 0)) / 1e6,
       total(max(ended - running, 0)) / 1e6, total(max(returned - ended, 0)) / 1e6
FROM ready GROUP BY app
"""
_IDLE_SQL = f"""
SELECT (SELECT sum(workers * (coalesce(gone, {_us("time_completed")}) - came)) / 1e6
        FROM workflow, (SELECT min({_us("timestamp")}) AS came, max(worker_count) AS workers,
                               min(CASE WHEN NOT active THEN {_us("timestamp")} END) AS gone
                        FROM node GROUP BY uid))
       - (SELECT sum({_us("timestamp")} - {_us("task_try_time_running")}) / 1e6
          FROM "try" JOIN status USING (run_id, task_id, try_id)
          WHERE task_status_name = 'running_ended' AND block_id IS NOT NULL)
"""


@pytest.fixture(scope="module")
def page(demo: Dashboard, demo_database: Path, browser: Browser) -> Iterator[Tab]:
    """The page of the demo's run, reached by its tab."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with tab(browser) as opened:
        opened.open(demo.address)
        opened.open(f"{demo.root}/workflow/{run_id}/")
        opened.page.locator("nav .tabs").get_by_role("link", name="Time").click()
        opened.page.wait_for_url(f"**/workflow/{run_id}/time")
        opened.wait_drawn()
        yield opened


def test_each_phase_has_the_time_that_the_rows_say(page: Tab, demo_database: Path) -> None:
    """The cards and the sentence above them are sums over all tries, and over workers."""
    expected = _expected_s(demo_database)
    most = max(expected, key=lambda phase: expected[phase])
    share = 100 * expected[most] / sum(expected.values())

    cards = _cards(page)
    assert list(cards) == list(expected)
    assert all(cards[phase] in _said(seconds) for phase, seconds in expected.items()), expected
    assert page.text(".verdict") == (
        f"Most time went into {LABELS[most]}: {words.duration(expected[most])}"
        f" {'of workers' if most == IDLE else 'of tasks'}, {share:.3g} %."
    )
    assert page.text(".advice")


def test_rows_of_apps_sum_over_their_tries(page: Tab, demo_database: Path) -> None:
    """Each app has a row with its time in each phase, the one with the most first."""
    expected = sorted(rows(demo_database, _PHASES_SQL), key=lambda row: -sum(row[1:]))

    shown = page.cells("#spent")
    assert [cells[0] for cells in shown] == [app for app, *_ in expected]
    for cells, (_, *times) in zip(shown, expected, strict=True):
        assert all(
            text in _said(seconds, nothing=words.UNKNOWN)
            for text, seconds in zip(cells[1:-1], (*times, sum(times)), strict=True)
        ), (cells, times)


def test_plots_show_each_phase_in_its_colour(page: Tab, demo_database: Path) -> None:
    """Neither plot is empty, and both have the colours of phases that took long."""
    expected = _expected_s(demo_database)
    whole = sum(expected.values())

    assert len(page.colours("over-time")) > 1
    shown = page.colours("by-app")
    assert {OF_PHASE[phase] for phase in PHASES if expected[phase] > whole / 20} <= shown
    assert (page.errors, page.failed) == ([], [])


def test_time_that_is_brushed_is_what_all_figures_are_of(
    demo: Dashboard, demo_database: Path, shown: Tab
) -> None:
    """With a stretch of time in the address every figure is that of the stretch alone."""
    began, middle = rows(
        demo_database, "SELECT min(task_time_invoked), min(task_try_time_running) FROM task, try"
    )[0]
    ((waited_s, launching_s),) = rows(
        demo_database,
        f"""
        WITH firsts AS (
            SELECT {_us("task_time_invoked")} AS since,
                   min({_us("coalesce(task_try_time_launched, task_try_time_returned)")},
                       {_us("?1")}) AS gone,
                   min({_us(_DEPENDED)}, {_us("?1")}) AS depended
            FROM task JOIN "try" USING (run_id, task_id)
            WHERE try_id = 0 AND task_time_invoked < ?1
        )
        SELECT total(max(depended - since, 0)) / 1e6,
               total(gone - max(coalesce(depended, 0), since)) / 1e6
        FROM firsts
        """,
        middle,
    )
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    shown.open(demo.address)
    # The address has milliseconds.
    shown.open(
        f"{demo.root}/workflow/{run_id}/time?from={began[:23]}&until={middle}".replace(" ", "T")
    )
    shown.wait_drawn()

    cards = _cards(shown)
    assert cards["waiting"] in _said(waited_s)
    assert cards["launching"] in _said(launching_s)
    assert cards["running"] == "0 s"
    assert "between" in shown.text("#f-window")
    assert (shown.errors, shown.failed) == ([], [])


@pytest.fixture(scope="module")
def parsls(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Dashboard:
    """A server on what Parsl's own hub wrote of two runs: with every phase, and on threads."""
    runs = [*_run_with_every_phase(), *_run_on_threads()]
    (database,) = write_with_parsl(tmp_path_factory.mktemp("parsl"), [runs])
    return serve(database)


def test_databases_of_parsls_own_hub_have_their_phases(parsls: Dashboard, shown: Tab) -> None:
    """Staging by tasks, joining, retries, memoised tasks and open ones all have their phase."""
    _open(shown, parsls, say.RUN_ID, "time")

    assert _cards(shown) == {
        "waiting": "31 s",
        "staging": "13 s",
        "launching": "16.2 s",
        "queued": "38.5 s",
        "running": "25.5 s",
        "returning": "3 s",
        "idle": "2 min 2 s",
    }
    assert shown.text(".verdict") == (
        "Most time went into idle workers: 2 min 2 s of workers, 48.8 %."
    )
    assert shown.text(".advice").startswith("Workers had nothing to do for 79.9 % of the time")
    assert [cells[:-1] for cells in shown.cells("#spent")] == [
        ["double", "1 s", "8 s", "11 s", "32 s", "20 s", "1 s", "1 min 13 s"],
        ["gather", "30 s", "-", "2 s", "0.5 s", "0.5 s", "0.5 s", "33.5 s"],
        ["flaky", "-", "-", "2 s", "4 s", "5 s", "0.5 s", "11.5 s"],
        ["_http_stage_in", "-", "5 s", "1 s", "2 s", "-", "1 s", "9 s"],
        ["cached", "-", "-", "0.25 s", "-", "-", "-", "0.25 s"],
    ]
    assert OF_PHASE["staging"] in shown.colours("by-app")
    assert not shown.page.locator("#f-lacks p").all()
    assert (shown.errors, shown.failed) == ([], [])


def test_task_that_waited_for_files_shows_when_they_were_staged(
    parsls: Dashboard, shown: Tab
) -> None:
    """Staging by tasks is a phase of the try that waited for it, before Parsl launches it."""
    _open(shown, parsls, say.RUN_ID, "task/1")

    assert shown.cells("#tries")[0][2:8] == ["1 s", "8 s", "1 s", "2 s", "20 s", "1 s"]
    bars = [bar.get_attribute("title") for bar in shown.page.locator("#tries .timeline i").all()]
    assert bars == [
        "waiting: 1 s",
        "staging: 8 s",
        "launching: 1 s",
        "queued: 2 s",
        "running: 20 s",
        "returning: 1 s",
    ]


def test_run_on_threads_says_what_cannot_be_told(parsls: Dashboard, shown: Tab) -> None:
    """Where no worker said when it began a try, the page says how much it leaves out, and why."""
    _open(shown, parsls, _THREADS, "time")

    lacks = shown.text("#f-lacks")
    assert "Idle workers are not known: no manager has reported." in lacks
    assert "1 try of the run went to an executor and came back" in lacks
    assert "22 s between the two are left out here" in lacks
    assert _cards(shown) == dict.fromkeys(ALL, "0 s") | {"launching": "1 s", "idle": words.UNKNOWN}
    assert (shown.errors, shown.failed) == ([], [])


def test_page_is_whole_for_runs_of_every_shape(
    recorded_database: Path, serve: Serve, shown: Tab
) -> None:
    """Real runs with every shape, recorded by either hub, are shown without an error."""
    server = serve(recorded_database)
    _open(shown, server, first_run_id(recorded_database), "time")

    assert shown.text(".verdict").startswith("Most time went into ")
    assert len(shown.colours("over-time")) > 1
    assert len(shown.colours("by-app")) > 1
    assert (shown.errors, shown.failed) == ([], [])


_TIMES = st.one_of(st.none(), st.integers(0, 70))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 50), _TIMES, _TIMES, _TIMES, _TIMES),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=6),
)
@settings(deadline=None)
def test_areas_hold_the_time_that_is_said(
    given_tries: Sequence[tuple[int, int, int | None, int | None, int | None, int | None]],
    depends: Sequence[tuple[int, int]],
) -> None:
    """Whatever is known of tries, what lies under an area is the phase's time, to the second."""
    span = Span(_BEGAN, _at(60))
    found = _spent_of(given_tries, span, depends)

    drawn = spent_over_time.levels(found, span=span).frame
    lasted = np.diff(drawn["time"].to_numpy()).astype("timedelta64[us]").astype("int64") / 1e6
    for phase in PHASES:
        under = float((drawn[phase].to_numpy()[:-1] * lasted).sum())
        assert under == pytest.approx(found.total_s(phase, span))
        assert float(found.by_app_s(phase, span).sum()) == pytest.approx(under)
    assert found.total_s(IDLE, span) == pytest.approx(
        max(4 * 60 - _busy_s(given_tries, span), 0), abs=1e-6
    )


@pytest.mark.parametrize(
    ("given_tries", "said", "advice"),
    [
        # Ten tasks that one late worker took: queued for 40 s before any of them ran.
        (
            [(0, 0, 1, 41, 42, 42)] * 10,
            "Most time went into queued for a worker: 6 min 40 s of tasks",
            "Of it 100 % passed before the first task ran anywhere",
        ),
        # Thirty that four workers are busy with from the start.
        (
            [(0, 0, 0, 15 * (n // 4), 15 * (n // 4) + 15, None) for n in range(16)]
            + [(0, 0, 0, None, None, None)] * 14,
            "Most time went into queued for a worker: 20 min 0 s of tasks",
            "There were more tasks ready than workers",
        ),
        # Ready from the start on, and launched late.
        (
            [(0, 0, 30 + n, 30 + n, 31 + n, 31 + n) for n in range(20)],
            "Most time went into launching: 13 min 10 s of tasks",
            "Parsl launches one task after another, in the process of the program. Fewer and",
        ),
        # All at once, each for a millisecond: no worker has the next one soon enough.
        (
            [(0, 0, 0, n / 5, n / 5 + 0.001, n / 5 + 0.001) for n in range(200)],
            "Most time went into queued for a worker: 1 h 6 min of tasks",
            "Tasks ran for 1 ms on average. To keep the workers busy takes 4,000 such tasks a",
        ),
        (
            [(0, 0, 0, 0, 60, 60)] * 4,
            "Most time went into running: 4 min 0 s of tasks, 100 %.",
            "That is the work itself",
        ),
        (
            [(0, 0, 1, 2, 4, 4)],
            "Most time went into idle workers: 3 min 58 s of workers",
            "Workers had nothing to do for 99.2 % of the time that they were connected, and few",
        ),
    ],
)
def test_what_took_most_time_has_advice_of_its_own(
    given_tries: Sequence[Sequence[float | None]],
    said: str,
    advice: str,
) -> None:
    """The sentence names the longest phase, and what to do goes by what the workers did."""
    span = Span(_BEGAN, _at(60))

    found = verdict(_spent_of(given_tries, span), span)

    assert found.said.startswith(said)
    assert found.advice.startswith(advice)


def test_a_notebook_has_the_same_plots() -> None:
    """What a page shows is a HoloViews element that a function makes of frames."""
    span = Span(_BEGAN, _at(60))
    found = _spent_of([(0, 1, 2, 3, 9, 10)], span)

    hv.extension("bokeh", logo=False)
    drawn = spent_over_time.spent_over_time(spent_over_time.levels(found, span=span), span=span)

    assert isinstance(drawn, hv.Overlay)


def test_a_task_waits_for_what_it_depends_on_and_then_to_be_launched() -> None:
    """Waiting ends with the last dependency; what is then left is Parsl's own, or for ever."""
    span = Span(_BEGAN, _at(60))
    done_at_9_and_20 = [(0, 0, 0, 1, 8, 9), (0, 0, 0, 9, 19, 20)]
    never_done = [(0, 0, 0, 0, None, None)]
    waiting = [(1, 5, 23, 24, 25, 26), (1, 6, None, None, None, None)]
    depends = [(3, 0), (3, 1), (4, 0), (4, 2)]

    found = _spent_of([*done_at_9_and_20, *never_done, *waiting], span, depends)

    assert list(found.by_app_s("waiting", span)) == [0, (20 - 5) + (60 - 6)]
    assert list(found.by_app_s("launching", span)) == [0, 23 - 20]


def _spent_of(
    given_tries: Sequence[Sequence[float | None]],
    span: Span,
    depends: Sequence[tuple[int, int]] = (),
) -> Any:
    count = len(given_tries)
    columns = list(zip(*given_tries, strict=True))
    app = pd.Categorical([f"app{number}" for number in columns[0]])
    invoked, launched, running, ended, returned = (
        np.array([_at(each) for each in column], dtype=frames.TIME) for column in columns[1:]
    )
    ids = np.arange(count)

    def same(name: str) -> pd.Categorical:
        return pd.Categorical([name] * count)

    tasks = frames.frame(
        "tasks",
        {
            "task_id": ids,
            "app": app,
            "state": same("executed"),
            "parsl_state": same("exec_done"),
            "invoked": invoked,
            "returned": returned,
            "fail_count": np.zeros(count, "int64"),
            "fail_cost": np.zeros(count),
            "is_memoize": np.zeros(count, bool),
        },
    )
    tries = frames.frame(
        "tries",
        {
            "task_id": ids,
            "try_id": np.zeros(count, "int64"),
            "app": app,
            "executor": same("htex"),
            "block": same("0"),
            "host": same("node1"),
            "launched": launched,
            "running": running,
            "ended": np.where(np.isnat(ended), returned, ended),
            "returned": returned,
            "is_failed": np.zeros(count, bool),
            "lane": np.zeros(count, "int64"),
        },
    )
    nodes = frames.frame(
        "nodes",
        {
            "uid": pd.Categorical(["first"]),
            "host": pd.Categorical(["node1"]),
            "block": pd.Categorical(["0"]),
            "time": np.array([_BEGAN], dtype=frames.TIME),
            "cpu_count": [8.0],
            "memory_bytes": [1e9],
            "workers": [4.0],
            "is_active": [True],
        },
    )
    known = [(task, on) for task, on in depends if max(task, on) < count]
    edges = frames.frame(
        "edges",
        {
            "task_id": np.array([task for task, _ in known], "int64"),
            "on_task_id": np.array([on for _, on in known], "int64"),
            "kind": pd.Categorical(["depends"] * len(known), categories=["depends", "joins"]),
        },
    )
    return spent(tasks, tries, frames.empty("statuses"), edges, nodes, until=span.end)


def _busy_s(given_tries: Sequence[Sequence[float | None]], span: Span) -> float:
    busy = 0.0
    for _, _, _, running, ended, returned in given_tries:
        over = next((each for each in (ended, returned) if each is not None), 60)
        if running is not None:
            busy += max(min(over, 60) - running, 0)
    return busy


def _at(second: float | None) -> np.datetime64:
    if second is None:
        return np.datetime64("NaT", "us")
    return _BEGAN + np.timedelta64(round(second * 1e6), "us")


def _expected_s(database: Path) -> dict[str, float]:
    """Return the seconds of each phase, and of idle workers, by SQL."""
    columns = zip(*(times for _, *times in rows(database, _PHASES_SQL)), strict=True)
    return {**dict(zip(PHASES, map(sum, columns), strict=True)), IDLE: value(database, _IDLE_SQL)}


def _said(seconds: float, *, nothing: str = "0 s") -> set[str]:
    """Return how a sum may be said: another order of adding may round it the other way."""
    if not seconds:
        return {nothing}
    return {words.duration(seconds * (1 + error)) for error in (-1e-9, 1e-9)}


def _cards(shown: Tab) -> dict[str, str]:
    return {
        str(card.get_attribute("data-phase")): card.locator("strong").inner_text()
        for card in shown.page.locator("#f-cards .card").all()
    }


def _open(shown: Tab, server: Dashboard, run_id: str, path: str) -> None:
    shown.open(server.address)
    assert shown.open(f"{server.root}/workflow/{run_id}/{path}") == 200
    shown.wait_drawn()


def _run_with_every_phase() -> Messages:
    def manager(at_s: float, **changes: Any) -> tuple[MessageType, Any]:
        return MessageType.NODE_INFO, say.node_info(timestamp=say.at(at_s), **changes)

    return [
        (MessageType.WORKFLOW_INFO, say.run_started()),
        manager(2),
        *_task(0, "_http_stage_in", [(2, 4, 9, 10)]),
        *_task(1, "double", [(11, 13, 33, 34)], task_depends="0"),
        *_task(2, "gather", [(3, 3.5, 4, 34.5)], joining_s=4.5),
        *_task(3, "flaky", [(2, 5, 7, 7), (8, 9, 12, 12.5)]),
        (MessageType.TASK_INFO, _info(4, "cached", 3)),
        (
            MessageType.TASK_INFO,
            _info(
                4,
                "cached",
                3,
                task_status_name="memo_done",
                timestamp=say.at(3.25),
                task_time_returned=say.at(3.25),
                task_try_time_returned=say.at(3.25),
            ),
        ),
        (MessageType.TASK_INFO, _info(5, "double", 20)),
        (
            MessageType.TASK_INFO,
            _info(
                5,
                "double",
                20,
                task_status_name="launched",
                timestamp=say.at(30),
                task_try_time_launched=say.at(30),
            ),
        ),
        manager(40, active=False),
        (MessageType.WORKFLOW_INFO, say.run_ended()),
    ]


def _run_on_threads() -> Messages:
    run = {"run_id": _THREADS}
    return [
        (MessageType.WORKFLOW_INFO, say.run_started(**run)),
        *_task(9, "double", [(2, None, None, 24)], task_executor="threads", **run),
        (MessageType.WORKFLOW_INFO, say.run_ended(**run)),
    ]


def _info(task_id: int, app: str, invoked_s: float, **changes: Any) -> dict[str, Any]:
    said = {
        "task_id": task_id,
        "task_func_name": app,
        "task_time_invoked": say.at(invoked_s),
        "timestamp": say.at(invoked_s),
    }
    return say.task_info(**{**said, **changes})


def _task(
    task_id: int,
    app: str,
    tries: Sequence[tuple[float, float | None, float | None, float]],
    *,
    joining_s: float | None = None,
    **changes: Any,
) -> Messages:
    """Return what is said of a task called at 1 s, whose tries all fail but the last."""
    which = {"task_id": task_id, **{k: v for k, v in changes.items() if k == "run_id"}}
    messages: Messages = [(MessageType.TASK_INFO, _info(task_id, app, 1, **changes))]
    for try_id, (launched, running, ended, returned) in enumerate(tries):
        is_last = try_id == len(tries) - 1
        known: dict[str, Any] = {**changes, "try_id": try_id}

        def info(state: str, at_s: float, known: dict[str, Any] = known, **more: Any) -> Any:
            content = _info(
                task_id, app, 1, **known, **more, task_status_name=state, timestamp=say.at(at_s)
            )
            return MessageType.TASK_INFO, content

        if try_id:
            messages.append(info("pending", launched - 0.01))
        messages.append(info("launched", launched, task_try_time_launched=say.at(launched)))
        for at_s, is_end in ((running, False), (ended, True)):
            if at_s is not None:
                content = say.worker_task_info(
                    timestamp=say.at(at_s),
                    try_id=try_id,
                    first_msg=not is_end,
                    last_msg=is_end,
                    **which,
                )
                messages.append((MessageType.WORKER_TASK_INFO, content))
        known["task_try_time_launched"] = say.at(launched)
        if joining_s is not None:
            messages.append(info("joining", joining_s))
        done = {"task_try_time_returned": say.at(returned)}
        if is_last:
            done["task_time_returned"] = say.at(returned)
        messages.append(info("exec_done" if is_last else "fail_retryable", returned, **done))
    return messages
