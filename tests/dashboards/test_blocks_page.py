"""The page of blocks and nodes says what the rows say of each, and of each against the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.data import block_lives
from otel_parsl_dashboards.data.node_comparison import compare
from otel_parsl_dashboards.elements.block_gantt import block_gantt, summarise
from otel_parsl_dashboards.elements.span import Span
from parsl.monitoring.message_type import MessageType
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support import parsl_messages as say
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.markup import RAN, SCRIPT
from tests.support.parsl_database import write_with_parsl
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import RUN_ID, StoredRun

REFUSED = f"sbatch: error: Batch job submission failed: Invalid account {SCRIPT}"
_BEGAN = np.datetime64("2026-01-15T12:00:00", "us")
_SECOND = np.timedelta64(1, "s")
_APPS = ("double", "triple")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six blocks on four nodes: refused, held, killed and lost ones among them."""
    path = tmp_path_factory.mktemp("blocks") / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        _say_blocks(run)
        _say_tasks(run)
        run.ended("lost", at_s=90.0)
    return path


def _say_blocks(run: StoredRun) -> None:
    for block, asked_s, begins_s, ends_s, end in (
        ("0", 0.5, 5.0, 80.0, "SCALED_IN"),
        ("1", 0.5, 10.0, 60.0, "TIMEOUT"),
        ("2", 0.6, 20.0, 50.0, "FAILED"),
    ):
        run.block(block, "PENDING", at_s=asked_s, job_id=f"471{block}")
        run.block(block, "RUNNING", at_s=begins_s, job_id=f"471{block}")
        more: dict[str, Any] = {"exit_code": 137} if end == "FAILED" else {}
        run.block(
            block,
            end,
            at_s=ends_s,
            job_id=f"471{block}",
            message=f"oom-kill event in StepId=471{block}.batch" if more else None,
            stdout_path=f"/scratch/me/{SCRIPT}/block-{block}.stdout",
            stderr_path=f"/scratch/me/block-{block}.stderr",
            **more,
        )
    run.block("10", "FAILED", at_s=30.0, submit_error=REFUSED)
    run.block("3", "PENDING", at_s=31.0, job_id="4713")
    run.block("3", "HELD", at_s=40.0, job_id="4713", message="JobHeldUser")
    run.block("0", "PENDING", at_s=2.0, executor=f"gpu {SCRIPT}", job_id="99")
    for number in range(4):
        for at_s in (6.0, 25.0):
            run.manager(
                f"m{number}",
                workers=2,
                tasks=1,
                at_s=at_s + number,
                host=f"node{number * 4}",
                block=str(number // 2),
            )
    run.manager("m1", workers=2, tasks=0, active=False, at_s=62.0, host="node4", block="0")


def _say_tasks(run: StoredRun) -> None:
    """Say that node8 takes twice as long as the others, and that a third fails on node12."""
    for task_id in range(48):
        number = task_id % 4
        at_s = 12.0 + task_id
        is_failed = number == 3 and task_id % 3 == 0
        app = _APPS[task_id % 8 // 4]
        run_s = (1.0 if app == "double" else 3.0) * (2.0 if number == 2 else 1.0) + task_id / 1000
        run.task(
            task_id,
            "pending",
            "launched",
            "failed" if is_failed else "exec_done",
            app=app,
            at_s=at_s,
            fail_history="ValueError('no')" if is_failed else "",
            returned_ns=run.ns(at_s + 8),
        )
        run.execution(
            task_id,
            at_s=at_s + 1,
            run_s=run_s,
            app=app,
            host=f"node{number * 4}",
            block=str(number // 2),
        )


@pytest.fixture(scope="module")
def server(database: Path, serve: Serve) -> Dashboard:
    """Its pages."""
    return serve(database)


@pytest.fixture(scope="module")
def page(server: Dashboard, browser: Browser) -> Iterator[Tab]:
    """The page of that run, reached by its tab."""
    with tab(browser) as opened:
        opened.open(server.address)
        opened.open(f"{server.root}/workflow/{RUN_ID}/")
        opened.page.get_by_role("link", name="Blocks and nodes").click()
        opened.page.wait_for_url(f"**/workflow/{RUN_ID}/blocks")
        _wait_read(opened)
        yield opened


def _wait_read(page: Tab) -> None:
    """Wait until everything is read and drawn, however busy the machine."""
    page.wait_drawn()
    page.page.wait_for_function(
        "() => !document.getElementById('main').innerText.includes('being read')", timeout=60_000
    )


def _blocks(page: Tab) -> list[list[str]]:
    """Return the rows of blocks, without those of their paths and words."""
    return [cells for cells in page.cells("#block-list") if len(cells) > 1]


def test_each_block_has_its_life(page: Tab, database: Path) -> None:
    """A block has its batch job, each status with its time, how long it waited, and exit code."""
    expected = {}
    for executor, block, job, exit_code in rows(
        database, "SELECT executor_label, block_id, job_id, exit_code FROM otel_block"
    ):
        seen = rows(
            database,
            "SELECT replace(lower(status), '_', ' '), substr(timestamp, 1, 19),"
            " unixepoch(timestamp) FROM block WHERE executor_label = ? AND block_id = ?"
            " ORDER BY timestamp",
            executor,
            block,
        )
        expected[executor, block] = (
            job or "-",
            " ".join(f"{status} {at}" for status, at, _ in seen),
            "-" if exit_code is None else str(exit_code),
        )

    found = _blocks(page)

    assert {(cells[0], cells[1]): (cells[2], cells[3], cells[8]) for cells in found} == expected
    assert [cells[:2] for cells in found] == [
        [f"gpu {SCRIPT}", "0"],
        *(["htex", block] for block in ("0", "1", "2", "3", "10")),
    ]
    (first,) = (cells for cells in found if cells[:2] == ["htex", "0"])
    assert first[4:8] == ["4.5 s", "1 min 15 s", "2", "24"]


def test_scheduler_is_quoted_and_paths_are_named(page: Tab) -> None:
    """Below a block stand the scheduler's own words and the paths of what its job printed."""
    said = page.page.locator("#block-list tr.more").all_inner_texts()

    assert [" ".join(text.split()) for text in said] == [
        f"stdout /scratch/me/{SCRIPT}/block-0.stdout stderr /scratch/me/block-0.stderr",
        f"stdout /scratch/me/{SCRIPT}/block-1.stdout stderr /scratch/me/block-1.stderr",
        "oom-kill event in StepId=4712.batch"
        f" stdout /scratch/me/{SCRIPT}/block-2.stdout stderr /scratch/me/block-2.stderr",
        "JobHeldUser",
        REFUSED,
    ]


def test_chart_has_a_bar_for_each_status(page: Tab, database: Path) -> None:
    """Each status is drawn in its colour, and the words above count blocks by their last one."""
    colours = page.colours("blocks")

    assert {"#a8a8a8", "#7b6fd0", "#e58ac8", "#cf222e", "#d9a441"} <= colours
    assert page.text("#f-summary-blocks") == (
        "6 blocks of 2 executors; last seen: 1 pending, 1 held, 1 scaled in, 1 timeout, 2 failed."
    )
    assert page.text(".card:first-child strong") == str(
        value(database, "SELECT count(*) FROM otel_block")
    )


def test_workers_are_stepped_over_time(page: Tab, database: Path) -> None:
    """The most workers connected at once are the sum over managers, not over their reports."""
    connected = value(
        database, "SELECT sum(most) FROM (SELECT max(worker_count) AS most FROM node GROUP BY uid)"
    )

    assert f" of {connected} connected;" in page.text("#f-summary-workers")
    assert len(page.colours("workers")) > 1


def test_each_node_is_compared_with_the_others(page: Tab, database: Path) -> None:
    """A node has its tasks, its failures, and a slowdown that can be worked out by hand."""
    ran = rows(
        database,
        "SELECT hostname, task_func_name, (ended_ns - running_ns) / 1e9, task_fail_history <> ''"
        " FROM try JOIN task USING (run_id, task_id) JOIN otel_try USING (run_id, task_id, try_id)",
    )
    expected = []
    for number in range(4):
        here = [each for each in ran if each[0] == f"node{number * 4}"]
        good = {app: [s for _, a, s, bad in here if a == app and not bad] for app in _APPS}
        others = {
            app: median(s for host, a, s, bad in ran if a == app and not bad and host != here[0][0])
            for app in _APPS
        }
        slowdown = sum(len(good[app]) * median(good[app]) / others[app] for app in _APPS) / sum(
            map(len, good.values())
        )
        failed = sum(bad for *_, bad in here)
        expected.append(
            [
                f"node{number * 4}",
                "12",
                str(failed),
                f"{100 * failed / 12:.1f} %" if failed else "0 %",
                f"{slowdown:.3g} by {12 - failed} tries",
            ]
        )

    found = [[cells[n] for n in (0, 3, 5, 6, 7)] for cells in page.cells("#node-list")]

    assert found == expected
    assert float(found[2][4].split()[0]) == pytest.approx(2, abs=0.1)
    assert page.text(".card:last-child").endswith("node8, of 4 nodes")


def test_nodes_and_blocks_lead_to_their_tasks(page: Tab, server: Dashboard, database: Path) -> None:
    """A click on a node or a block lists the tasks that ran there, by an address that says so."""
    page.page.locator("#node-list").get_by_role("link", name="node12", exact=True).click()
    page.page.wait_for_url("**/task/?node=node12")
    of_node = [cells[0] for cells in page.cells("#tasks")]
    page.open(f"{server.root}/workflow/{RUN_ID}/blocks")
    _wait_read(page)
    page.page.locator("#block-list").get_by_role("link", name="1", exact=True).click()
    page.page.wait_for_url("**/task/?block=htex%2F1")
    of_block = [cells[0] for cells in page.cells("#tasks")]
    page.open(f"{server.root}/workflow/{RUN_ID}/blocks")
    _wait_read(page)

    by_hand = "SELECT CAST(task_id AS TEXT) FROM try WHERE {} ORDER BY task_id"
    assert [(task_id,) for task_id in sorted(of_node, key=int)] == rows(
        database, by_hand.format("hostname = 'node12'")
    )
    assert [(task_id,) for task_id in sorted(of_block, key=int)] == rows(
        database, by_hand.format("block_id = '1'")
    )


def test_address_says_which_blocks_and_which_nodes_first(page: Tab, server: Dashboard) -> None:
    """Blocks of one status, and nodes by any column, are a click away and stand in the address."""
    page.open(f"{server.root}/workflow/{RUN_ID}/blocks")
    _wait_read(page)
    page.page.locator("#blocks").get_by_role("link", name="failed 2").click()
    page.page.wait_for_url("**status=FAILED*")
    failed = [cells[1] for cells in _blocks(page)]
    page.page.locator("#node-list").get_by_role("link", name="slowdown").click()
    page.page.wait_for_url("**by=slowdown*")

    assert failed == ["2", "10"]
    assert [cells[1] for cells in _blocks(page)] == failed
    assert page.cells("#node-list")[0][0] == "node8"
    page.open(
        f"{server.root}/workflow/{RUN_ID}/blocks"
        "?from=2026-01-15T12:00:52.25&until=2026-01-15T12:00:52.75"
    )
    assert [cells[1] for cells in _blocks(page)] == ["0", "0", "1", "3"]
    assert page.text("#f-window").startswith(
        "Blocks that were there, and what ran, between 2026-01-15 12:00:52.250"
        " and 2026-01-15 12:00:52.750."
    )


def test_lost_run_says_what_stood_open(page: Tab, server: Dashboard) -> None:
    """Of a run that died the page says how many blocks nobody has seen end."""
    page.open(f"{server.root}/workflow/{RUN_ID}/blocks")
    _wait_read(page)

    assert "This run is lost: 2 blocks stood open when it was heard of last" in page.text(
        "#f-lacks"
    )
    assert len(page.colours("blocks")) > 4


def test_nothing_goes_wrong_in_the_browser(page: Tab, server: Dashboard) -> None:
    """No script of an executor or a scheduler has run, and nobody but the server was asked."""
    assert page.page.evaluate(RAN) is None
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {server.root.removeprefix("http://")}


def test_no_node_is_slowest_where_all_are_as_fast(serve: Serve, shown: Tab, tmp_path: Path) -> None:
    """Nodes on which apps take the same have none among them that is slower, in words."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for task_id in range(6):
            run.task(task_id, "pending", "launched", "exec_done")
            run.execution(task_id, at_s=2, run_s=5, host=f"node{task_id % 2}")
        run.ended()
    dashboard = serve(tmp_path / "monitoring.db")
    shown.open(dashboard.address)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/blocks")
    _wait_read(shown)

    assert shown.text(".card:last-child") == "Slowest node ? none 2 nodes, equally fast"


def test_demos_run_has_the_page(demo: Dashboard, demo_database: Path, shown: Tab) -> None:
    """A real run has its block with its job, and one node that there is nothing to compare with."""
    run_id, job, host = rows(
        demo_database, "SELECT block.run_id, job_id, hostname FROM block, node"
    )[0]
    tasks = value(
        demo_database,
        "SELECT count(DISTINCT task_id) FROM try WHERE task_try_time_running IS NOT NULL"
        " AND hostname = ?",
        host,
    )
    shown.open(demo.address)
    assert shown.open(f"{demo.root}/workflow/{run_id}/blocks") == 200
    _wait_read(shown)

    (block,), (node,) = _blocks(shown), shown.cells("#node-list")
    assert block[:3] == ["workers", "0", job]
    assert (node[0], node[3], node[7]) == (host, str(tasks), words.UNKNOWN)
    assert all(len(shown.colours(plot)) > 1 for plot in ("blocks", "workers"))
    assert (shown.errors, shown.failed) == ([], [])


@pytest.fixture(scope="module")
def parsls(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Dashboard:
    """A server on what Parsl's own hub wrote of two runs: one with a block, one on threads."""
    messages: list[tuple[MessageType, Any]] = [
        (MessageType.WORKFLOW_INFO, say.run_started()),
        (MessageType.TASK_INFO, say.task_info()),
        *(
            (MessageType.BLOCK_INFO, [say.block_info(status=status, timestamp=say.at(at_s))])
            for status, at_s in (("PENDING", 0.5), ("RUNNING", 8.5), ("COMPLETED", 50.5))
        ),
        (MessageType.NODE_INFO, say.node_info(timestamp=say.at(9))),
        (MessageType.WORKER_TASK_INFO, say.worker_task_info(timestamp=say.at(10))),
        (MessageType.WORKFLOW_INFO, say.run_ended()),
        (MessageType.WORKFLOW_INFO, say.run_started(run_id="threads")),
        (
            MessageType.TASK_INFO,
            say.task_info(run_id="threads", task_id=1, task_executor="threads"),
        ),
        (
            MessageType.WORKER_TASK_INFO,
            say.worker_task_info(run_id="threads", task_id=1, block_id=None, hostname="login1"),
        ),
        (MessageType.WORKFLOW_INFO, say.run_ended(run_id="threads")),
        (MessageType.WORKFLOW_INFO, say.run_started(run_id="nothing")),
        (MessageType.WORKFLOW_INFO, say.run_ended(run_id="nothing")),
    ]
    (path,) = write_with_parsl(tmp_path_factory.mktemp("parsl"), [messages])
    return serve(path)


def test_parsls_own_databases_say_what_they_lack(parsls: Dashboard, shown: Tab) -> None:
    """What Parsl's own tables give of blocks is shown, and what they do not have is said."""
    shown.open(parsls.address)
    assert shown.open(f"{parsls.root}/workflow/{RUN_ID}/blocks") == 200
    _wait_read(shown)

    (block,) = shown.cells("#block-list")
    assert [block[n] for n in (0, 1, 2, 4, 5, 6, 7, 8)] == [
        "htex",
        "0",
        "4711",
        "8 s",
        "42 s",
        "1",
        "1",
        "-",
    ]
    assert "no exit code, no paths and nothing that the scheduler said" in shown.text("#f-lacks")
    assert len(shown.colours("blocks")) > 1
    assert (shown.errors, shown.failed) == ([], [])


@pytest.mark.parametrize(("run_id", "plots"), [("threads", ["workers"]), ("nothing", [])])
def test_run_without_blocks_says_so(
    parsls: Dashboard, shown: Tab, run_id: str, plots: list[str]
) -> None:
    """Threads have no blocks: the page says so, keeps its nodes, and has no empty plot."""
    shown.open(parsls.address)
    assert shown.open(f"{parsls.root}/workflow/{run_id}/blocks") == 200
    _wait_read(shown)

    assert "No block is known." in shown.text("#f-lacks")
    assert shown.text("#block-list .empty") == "No block is known."
    visible = [
        key for key in ("blocks", "workers") if shown.page.locator(f"#plot-{key}").is_visible()
    ]
    assert visible == plots
    assert all(len(shown.colours(plot)) > 1 for plot in plots)
    assert [cells[0] for cells in shown.cells("#node-list")] == (
        ["login1"] if plots else ["No node is known."]
    )
    assert (shown.errors, shown.failed) == ([], [])


def test_database_of_an_earlier_parsl_has_the_page(
    serve: Serve, shown: Tab, parsl_generation: Path
) -> None:
    """The tables of each Parsl since 1.1 have blocks and nodes."""
    run_id, job, ended = rows(
        parsl_generation, "SELECT run_id, job_id, substr(max(timestamp), 1, 19) FROM block"
    )[0]
    dashboard = serve(parsl_generation)
    shown.open(dashboard.address)
    assert shown.open(f"{dashboard.root}/workflow/{run_id}/blocks") == 200
    _wait_read(shown)

    (block,), (node,) = shown.cells("#block-list"), shown.cells("#node-list")
    assert block[:3] == ["htex", "0", job]
    assert f"cancelled {ended}" in block[3]
    assert (node[:2], node[3:7]) == (["node1", "2"], ["6", "7", "2", "28.6 %"])
    assert (shown.errors, shown.failed) == ([], [])


def _frame(of_blocks: list[list[tuple[str, int]]]) -> pd.DataFrame:
    said = [
        ("htex", str(block), status, _BEGAN + at_s * _SECOND)
        for block, statuses in enumerate(of_blocks)
        for status, at_s in statuses
    ]
    executor, block, status, time = zip(*said, strict=True)
    return pd.DataFrame(
        {
            "executor": pd.Categorical(executor),
            "block": pd.Categorical(block),
            "job": pd.Categorical([""] * len(said)),
            "status": pd.Categorical(status),
            "time": np.array(time, dtype="datetime64[us]"),
        }
    )


def test_thousands_of_blocks_are_drawn_as_a_picture() -> None:
    """Beyond 2,000 blocks each pixel has the mean colour of what it covers, and that is said."""
    span = Span(_BEGAN, _BEGAN + 100 * _SECOND)
    found = block_lives.stages(
        _frame([[("PENDING", 0), ("RUNNING", 50), ("COMPLETED", 100)]] * 3000), until=span.end
    )
    hv.extension("bokeh", logo=False)
    overlay = block_gantt(found, span=span)

    picture = overlay.RGB.I
    assert len(overlay.Rectangles.I) == 0
    assert picture.dimension_values("R", flat=False).shape == (260, 1200)
    pixels = np.dstack([picture.dimension_values(each, flat=False) for each in "RGBA"])
    assert pixels[100, [300, 900]].tolist() == [[0xA8, 0xA8, 0xA8, 255], [0x7B, 0x6F, 0xD0, 255]]
    assert "More than 2,000: each row stands for 12 blocks" in summarise(found, span=span)


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["PENDING", "RUNNING", "HELD"]), st.integers(0, 90)),
            min_size=1,
            max_size=5,
            unique_by=lambda each: each[1],
        ),
        min_size=1,
        max_size=6,
    )
)
def test_stages_of_a_block_cover_its_life_once(of_blocks: list[list[tuple[str, int]]]) -> None:
    """Whatever the order of its rows, the statuses of a block follow upon each other gaplessly."""
    until = _BEGAN + 100 * _SECOND
    found = block_lives.stages(_frame(of_blocks).sample(frac=1, random_state=1), until=until)

    for number, said in enumerate(of_blocks):
        mine = found[found["block"] == str(number)]
        assert mine["start"].iloc[0] == _BEGAN + min(at_s for _, at_s in said) * _SECOND
        assert mine["end"].iloc[-1] == until
        assert (mine["end"].to_numpy()[:-1] == mine["start"].to_numpy()[1:]).all()
        assert (mine["status"].to_numpy()[:-1] != mine["status"].to_numpy()[1:]).all()


def _tries(ran: list[tuple[str, str, float, bool]]) -> pd.DataFrame:
    """Return tries by host, app, run time and whether they failed."""
    hosts, apps, took, failed = zip(*ran, strict=True)
    return pd.DataFrame(
        {
            "task_id": np.arange(len(ran)),
            "host": pd.Categorical(hosts),
            "app": pd.Categorical(apps),
            "running": np.full(len(ran), _BEGAN),
            "ended": _BEGAN + (np.array(took) * 1e6).astype("timedelta64[us]"),
            "is_failed": failed,
        }
    )


def test_few_tries_say_nothing_of_a_node() -> None:
    """No node is called slow for two tries, nor for an app that it alone ran, nor for failures."""
    ran = [("a", "double", 1.0, False)] * 6 + [("b", "double", 9.0, False)] * 2
    ran += [("b", "alone", 5.0, False)] * 9 + [("c", "double", 2.0, False)] * 3
    ran += [("c", "double", 0.01, True)] * 5

    found = compare(_tries(ran))

    assert json.loads(found[["slowdown", "compared", "failed"]].to_json(orient="index")) == {
        "a": {"slowdown": 1 / 2, "compared": 6, "failed": 0},
        "b": {"slowdown": None, "compared": 0, "failed": 0},
        "c": {"slowdown": 2 / 1, "compared": 3, "failed": 5},
    }


@pytest.mark.parametrize(("of_slow", "of_quick"), [(50, 50), (50, 10), (10, 50), (3, 4)])
def test_node_that_takes_twice_as_long_has_a_slowdown_of_two(of_slow: int, of_quick: int) -> None:
    """However many tries each of two nodes has: neither is compared with itself."""
    ran = [("slow", "double", 2.0, False)] * of_slow + [("quick", "double", 1.0, False)] * of_quick

    assert compare(_tries(ran))["slowdown"].to_dict() == {"slow": 2.0, "quick": 0.5}


def test_node_is_compared_with_the_median_of_all_others() -> None:
    """As worked out one by one, where run times of nodes lie among one another."""
    random = np.random.default_rng(5)
    ran = [
        (f"node{random.integers(5)}", app, float(took), False)
        for app in ("double", "triple")
        for took in random.integers(1, 30, 61)
    ]

    found = compare(_tries(ran))

    for host in found.index:
        ratios = []
        for app in ("double", "triple"):
            here = [took for node, name, took, _ in ran if name == app and node == host]
            there = [took for node, name, took, _ in ran if name == app and node != host]
            ratios += [median(here) / median(there)] * len(here)
        assert found["slowdown"][host] == pytest.approx(sum(ratios) / len(ratios))
