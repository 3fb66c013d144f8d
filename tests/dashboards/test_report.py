"""The report is the run in one file that opens anywhere, says what the rows say and asks nobody."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from otel_parsl_dashboards.report import making
from playwright.sync_api import Browser

from tests.support.chromium import Tab, tab
from tests.support.command_line import otel_parsl
from tests.support.markup import RAN, SCRIPT
from tests.support.recorded_databases import first_run_id, rows
from tests.support.stored_run import StoredRun

Report = Callable[..., Path]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A function that reports a run of a database, the latest by default."""

    def make(database: Path, *run: str) -> Path:
        path = tmp_path_factory.mktemp("report") / "report.html"
        ran = otel_parsl("report", *run, "-o", path, "--db", database)
        assert (ran.code, ran.error) == (0, "")
        assert ran.output.startswith(f"{path}  ")
        return path

    return make


@pytest.fixture(scope="module", params=["demo", "parsl"])
def recorded(request: pytest.FixtureRequest) -> Path:
    """The database of the demo, and one that Parsl's own hub wrote."""
    return Path(request.getfixturevalue(f"{request.param}_database"))


@pytest.fixture(scope="module")
def opened(recorded: Path, report: Report, browser: Browser) -> Iterator[Tab]:
    """The report of the first run of each, opened from the disk."""
    with tab(browser) as shown:
        shown.open(report(recorded, first_run_id(recorded)).as_uri())
        shown.wait_drawn()
        yield shown


def _states(shown: Tab) -> dict[str, int]:
    return {
        str(item.get_attribute("data-state")): int(item.locator("b").inner_text().replace(",", ""))
        for item in shown.page.locator("#states li").all()
    }


def test_numbers_are_those_of_the_rows(opened: Tab, recorded: Path) -> None:
    """Tasks by state and by app, and what tasks were sampled, are what SQL by hand gives."""
    run_id = first_run_id(recorded)
    (total,) = rows(recorded, "SELECT count(*) FROM task WHERE run_id = ?", run_id)[0]
    ended = dict(
        rows(
            recorded,
            "SELECT task_status_name, count(*) FROM status WHERE run_id = ? AND task_status_name"
            " IN ('exec_done', 'memo_done', 'failed', 'dep_fail') GROUP BY 1",
            run_id,
        )
    )
    apps = rows(
        recorded,
        "SELECT task_func_name, count(*), sum(task_id IN (SELECT task_id FROM status WHERE run_id"
        " = ?1 AND task_status_name IN ('failed', 'dep_fail'))) FROM task WHERE run_id = ?1"
        " GROUP BY 1 ORDER BY 2 DESC, 1",
        run_id,
    )
    sampled = dict(
        rows(
            recorded,
            "SELECT task_func_name, count(DISTINCT task_id) FROM resource JOIN task"
            " USING (task_id, run_id) WHERE run_id = ? GROUP BY 1",
            run_id,
        )
    )

    states = _states(opened)

    assert states.pop("total") == total == sum(states.values())
    assert {name: tasks for name, tasks in states.items() if tasks} == {
        shown: ended[state]
        for shown, state in {
            "executed": "exec_done",
            "memoised": "memo_done",
            "failed": "failed",
            "dep_failed": "dep_fail",
        }.items()
        if state in ended
    }
    assert [cells[:3] for cells in opened.cells("#apps")] == [
        [app, str(tasks), str(failed)] for app, tasks, failed in apps
    ]
    by_app = {cells[0]: cells[2] for cells in opened.cells("#by-app")}
    assert {app: int(text) for app, text in by_app.items() if text.isdecimal()} == sampled


def test_failures_have_their_dependents(opened: Tab, recorded: Path) -> None:
    """The failures of the run stand in it by cause, and sum to those that failed by themselves."""
    run_id = first_run_id(recorded)
    failed, dependents = rows(
        recorded,
        "SELECT sum(task_status_name = 'failed'), sum(task_status_name = 'dep_fail') FROM status"
        " WHERE run_id = ?",
        run_id,
    )[0]
    cards = opened.page.locator("[data-page=page-failures] .card strong").all_inner_texts()

    assert opened.text("nav .tabs a[href='#page-failures']") == f"Failures {failed}"
    # Join apps that failed because another task did are dependents too.
    assert int(cards[0]) + int(cards[1]) == failed + dependents
    assert opened.page.locator("[data-page=page-failures] #f-groups .cause").count() > 1


def test_each_cause_has_a_stack_trace(report: Report, shown: Tab, demo_database: Path) -> None:
    """Below a cause stands the stack trace of one of its tries, as the store has it."""
    stored = {
        stack.strip()
        for (stack,) in rows(demo_database, "SELECT stacktrace FROM otel_failure")
        if stack
    }
    shown.open(report(demo_database).as_uri())
    texts = shown.page.locator("[data-page=page-failures] #f-groups pre.trace").all_text_contents()

    assert len(texts) > 1
    assert {each.strip() for each in texts} <= stored


def test_every_plot_is_drawn(opened: Tab) -> None:
    """No plot of any page is missing or empty, and each is said in words."""
    shown = [
        (page, str(section.get_attribute("id")).removeprefix("plot-"), section)
        for page in (
            f"[data-page={part.get_attribute('data-page')}]"
            for part in opened.page.locator("div.part").all()
        )
        for section in opened.page.locator(f"{page} section.plot").all()
        if section.is_visible()
    ]

    assert {
        ("[data-page=page-workflow]", "stream"),
        ("[data-page=page-workflow]", "gantt"),
        ("[data-page=page-failures]", "over-time"),
        ("[data-page=page-dag_group_by_apps]", "stages"),
        ("[data-page=page-resource_usage]", "workers"),
        ("[data-page=page-time]", "over-time"),
        ("[data-page=page-blocks]", "blocks"),
    } <= {(page, key) for page, key, _ in shown}
    assert [
        (page, key) for page, key, _ in shown if len(opened.colours(key, within=page)) < 2
    ] == []
    assert [
        (page, key) for page, key, each in shown if not each.locator(".summary").inner_text()
    ] == []
    assert opened.page.locator("#undrawn").is_hidden()


def test_nothing_is_asked_of_anyone(opened: Tab) -> None:
    """The file loads nothing but itself, and the browser has nothing to complain of."""
    assert (opened.errors, opened.failed, opened.hosts()) == ([], [], {""})
    assert [url[:7] for url in opened.requests if not url.startswith("data:")] == ["file://"]


def test_only_what_leads_somewhere_looks_like_a_link(opened: Tab) -> None:
    """Links lead within the file, or to Parsl's documentation: the rest is plain text."""
    leads = {str(link.get_attribute("href")) for link in opened.page.locator("a[href]").all()}
    blue = opened.page.evaluate("getComputedStyle(document.querySelector('nav a[href]')).color")
    colours = opened.page.evaluate(
        "[...document.querySelectorAll('main a:not([href])')]"
        ".map((link) => getComputedStyle(link).color)"
    )

    assert {lead for lead in leads if not lead.startswith("#")} == {
        "https://parsl.readthedocs.io/en/latest/userguide/monitoring.html"
    }
    assert [
        lead for lead in leads if lead[0] == "#" and not opened.page.locator(lead).count()
    ] == []
    assert blue == "rgb(9, 105, 218)"
    assert blue not in colours


def test_dark_theme_is_there(recorded: Path, report: Report, browser: Browser) -> None:
    """It is dark where the system is, with every plot drawn, and no larger than a mail takes."""
    path = report(recorded)
    with tab(browser, theme="dark") as shown:
        shown.open(path.as_uri())
        shown.wait_drawn()
        ground = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")

        assert (ground, shown.errors) == ("rgb(13, 17, 23)", [])
    assert path.stat().st_size < 1_000_000


def test_run_that_died_is_not_shown_as_running(tmp_path: Path, report: Report, shown: Tab) -> None:
    """A run whose process is gone is lost, as are the tasks that it had."""
    with StoredRun(f"sqlite:///{tmp_path}/dead.db") as run:
        run.task(0, "pending", "launched", "exec_done", at_s=1.0)
        run.execution(0, at_s=1.5, run_s=4.0)
        run.task(1, "pending", "launched", at_s=2.0)
        run.running(1, at_s=3.0)
        run.heartbeat(at_s=10.0)

    shown.open(report(tmp_path / "dead.db").as_uri())
    shown.wait_drawn()

    assert shown.text("h1 .pill") == "lost"
    states = _states(shown)
    assert {name: tasks for name, tasks in states.items() if tasks} == {
        "executed": 1,
        "lost": 1,
        "total": 2,
    }
    assert (shown.errors, len(shown.colours("stream")) > 1) == ([], True)


def test_empty_run_is_reported(tmp_path: Path, report: Report, shown: Tab) -> None:
    """A run without a task has a report that says so."""
    with StoredRun(f"sqlite:///{tmp_path}/empty.db") as run:
        run.ended()

    shown.open(report(tmp_path / "empty.db").as_uri())
    shown.wait_drawn()

    assert shown.text("#apps tbody") == "No task yet."
    assert shown.text("[data-page=page-failures] .message h1") == "Nothing has failed"
    assert shown.errors == []


def test_script_is_shown_as_text(tmp_path: Path, report: Report, shown: Tab) -> None:
    """Script in names, exceptions and hosts is text, in tables as in the plots' own words."""
    with StoredRun(f"sqlite:///{tmp_path}/script.db", name=SCRIPT, rundir=f"/x/{SCRIPT}") as run:
        run.task(0, "pending", "launched", "failed", app=SCRIPT, fail_history=f"E('{SCRIPT}')")
        run.execution(
            0, at_s=1.5, run_s=4.0, app=SCRIPT, host=SCRIPT, exception_type="E", message=SCRIPT
        )
        run.ended()

    shown.open(report(tmp_path / "script.db", "latest").as_uri())
    shown.wait_drawn()
    stream = shown.page.locator("#plot-stream .bk-Figure").bounding_box()
    assert stream is not None
    for part in range(1, 9):  # some of these are over the one bar
        shown.page.mouse.move(
            stream["x"] + stream["width"] * (0.06 + part / 100), stream["y"] + stream["height"] / 2
        )

    assert shown.page.evaluate(RAN) is None
    assert shown.page.locator("main script, main img").count() == 0
    assert SCRIPT in shown.text("#apps")
    assert SCRIPT in shown.text("h1")
    assert shown.errors == []


@pytest.mark.parametrize(
    ("most", "listed", "leaves_plots"), [(640_000, 30, True), (720_000, 100, False)]
)
def test_long_tables_and_too_large_plots_are_cut_and_said(
    tmp_path: Path,
    report: Report,
    shown: Tab,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    listed: int,
    leaves_plots: bool,
) -> None:
    """What does not go into the size of a report is left out, and the report says what."""
    with StoredRun(f"sqlite:///{tmp_path}/long.db") as run:
        for task in range(150):
            run.task(task, "pending", "launched", "exec_done", app=f"app{task:03}", at_s=1 + task)
            run.execution(task, at_s=1.5 + task, run_s=4.0, app=f"app{task:03}")
        run.ended(at_s=200.0)
    monkeypatch.setattr(making, "MOST_BYTES", most)

    path = report(tmp_path / "long.db")
    shown.open(path.as_uri())
    shown.page.wait_for_selector(".plot .bk-Figure")

    assert path.stat().st_size <= most
    assert len(shown.cells("#apps")) == listed
    assert f"Of 150 apps the first {listed} are listed" in shown.text("main")
    assert ("is left out: with it the report would be larger" in shown.text("main")) == leaves_plots
    assert shown.errors == []


def test_tables_are_cut_and_nothing_else(
    demo_database: Path, report: Report, shown: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the shortest form tables have three rows: states sum to the total, and cards are there."""
    others = ".card, .legend li, th, #states [data-state]"
    shown.open(report(demo_database).as_uri())
    whole = shown.page.locator(others).all_text_contents()
    monkeypatch.setattr(making, "_ROWS", (3,))
    shown.open(report(demo_database).as_uri())
    ((apps,),) = rows(demo_database, "SELECT count(DISTINCT task_func_name) FROM task")
    states = {
        state.get_attribute("data-state"): int(state.locator("b").inner_text().replace(",", ""))
        for state in shown.page.locator("#states [data-state]").all()
    }

    assert shown.page.locator(others).all_text_contents() == whole
    assert states.pop("total") == sum(states.values()) > 0
    assert len(shown.cells("#apps")) == 3
    assert f"Of {apps} apps the first 3 are listed" in shown.text("main")
    assert "states the first" not in shown.text("main")


def test_file_is_replaced_whole_or_not_at_all(
    demo_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that cannot be finished leaves the earlier one, and no file beside it."""
    path = tmp_path / "report.html"
    path.write_text("the earlier one")

    def broken(*_arguments: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(making, "make_report", broken)
        interrupted = otel_parsl("report", "-o", path, "--db", demo_database)
    earlier = (path.read_text(), os.listdir(tmp_path))
    written = otel_parsl("report", "-o", path, "--db", demo_database)

    assert (interrupted.code, earlier) == (130, ("the earlier one", ["report.html"]))
    assert (written.code, os.listdir(tmp_path)) == (0, ["report.html"])
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def test_run_number_names_the_file(
    demo_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -o the report is named by the run's number, in the current folder."""
    monkeypatch.chdir(tmp_path)

    ran = otel_parsl("report", "--db", demo_database)

    assert (ran.code, ran.output.split()[0]) == (0, "report-000.html")
    assert os.listdir(tmp_path) == ["report-000.html"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("missing/report.html", "cannot be written: No such file or directory."),
        (".", "is no file; name one with -o"),
        ("/dev/null", "is no file; name one with -o"),
    ],
)
def test_output_that_cannot_be_written_is_said(
    demo_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    said: str,
) -> None:
    """Where nothing can be written, the command says so before it reads the run."""
    monkeypatch.chdir(tmp_path)

    ran = otel_parsl("report", "-o", output, "--db", demo_database)

    assert (ran.code, ran.output) == (3, "")
    assert ran.error.startswith(f"otel-parsl: report {output}: {said}")


def test_run_that_does_not_exist_is_said(demo_database: Path, tmp_path: Path) -> None:
    """A run that is not there is told with the runs that are, and no file is left."""
    ran = otel_parsl("report", "77", "-o", tmp_path / "report.html", "--db", demo_database)

    assert (ran.code, os.listdir(tmp_path)) == (2, [])
    assert "77" in ran.error


def test_report_of_a_run_that_goes_on_says_so(tmp_path: Path, report: Report, shown: Tab) -> None:
    """The report of a run that goes on is of the moment that it names."""
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=20)
    with StoredRun(f"sqlite:///{tmp_path}/live.db", began=began) as run:
        run.task(0, "pending", "launched", at_s=2.0)
        run.running(0, at_s=3.0)
        run.heartbeat(at_s=19.5)

    shown.open(report(tmp_path / "live.db").as_uri())

    assert shown.text("#made").startswith("Made on 20")
    assert "while the run went on" in shown.text("#made")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
