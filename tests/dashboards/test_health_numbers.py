"""The page of data health counts what destinations were sent, and says what is sampled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from otel_parsl import rendezvous
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.otlp_sink import HttpAnswer, Sink, grpc_sink, http_sink
from tests.support.parsl_generations import GENERATIONS
from tests.support.programs import Program, run, until
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import RUN_ID, StoredRun

_PROGRAM = """
@python_app(executors=["htex"])
def wait():
    import time
    time.sleep(0.6)

@python_app(executors=["htex"])
def broken():
    raise ValueError("no such star")

@python_app(executors=["threads"])
def beside():
    return None

config = Config(
    executors=[htex(), ThreadPoolExecutor(label="threads")],
    retries=1,
    monitoring=OTelMonitoringHub(resource_monitoring_interval=0.25, forward_to=[
        {{"endpoint": {everything!r}, "signals": ["traces"], "sampling": 1.0}},
        {{"endpoint": {failures!r}, "signals": ["traces"], "sampling": 0}},
        {{"endpoint": {refusing!r}, "signals": ["traces"], "protocol": "http/protobuf"}},
    ]),
)
with parsl.load(config):
    for each in [broken(), *[wait() for _ in range(3)], *[beside() for _ in range(2)]]:
        each.exception()
"""
_RUN_ID = "SELECT run_id FROM workflow"
_RAN = 'SELECT count(*) FROM "try" WHERE task_try_time_running IS NOT NULL'
_SAMPLED = "SELECT count(*) FROM (SELECT DISTINCT task_id, try_id FROM resource)"


class _Sent(NamedTuple):
    """A run, and what came of it where it was sent."""

    program: Program
    everything: Sink
    failures: Sink
    refusing: Sink


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Sent]:
    """A run forwarded to who takes all, who takes tasks that failed, and who takes nothing."""
    with (
        grpc_sink() as everything,
        grpc_sink() as failures,
        http_sink(HttpAnswer(400)) as refusing,
    ):
        program = run(
            tmp_path_factory.mktemp("sent"),
            _PROGRAM.format(
                everything=everything.url, failures=failures.url, refusing=refusing.url
            ),
            OTEL_TRACES_SAMPLER="traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.25",
        )
        status = program.spool / rendezvous.STATUS
        until(
            lambda: all(each["is_empty"] for each in json.loads(status.read_text())["destinations"])
        )
        yield _Sent(program, everything, failures, refusing)


@pytest.fixture(scope="module")
def page(sent: _Sent, serve: Serve, browser: Browser) -> Iterator[Tab]:
    """Its page of data health."""
    with tab(browser) as opened:
        database = sent.program.database
        _open(opened, serve(database), value(database, _RUN_ID))
        yield opened


def test_each_destination_has_what_it_was_sent(page: Tab, sent: _Sent) -> None:
    """What was sent, sampled out and refused is every span of the run, counted in the tables."""
    database = sent.program.database
    of_run, of_tasks, of_failed = rows(
        database,
        """
        SELECT 1 + (SELECT count(*) FROM (SELECT DISTINCT executor_label, block_id FROM block))
                 + (SELECT count(DISTINCT uid) FROM node),
               (SELECT count(*) FROM task) + (SELECT count(*) FROM "try")
                 + (SELECT count(*) FROM status WHERE task_status_name = 'running_ended'),
               (SELECT count(*) FROM task WHERE task_fail_count > 0)
                 + (SELECT count(*) FROM "try" WHERE task_fail_history <> '')
                 + (SELECT count(*) FROM status JOIN "try" USING (run_id, task_id, try_id)
                    WHERE task_status_name = 'running_ended' AND task_fail_history <> '')
        """,
    )[0]

    everything, failures, (endpoint, *refused) = page.cells("#destinations")

    assert (of_run, of_tasks, of_failed) == (3, 20, 5)
    assert everything == [sent.everything.url, "23", "0", "0", "0"]
    assert failures == [sent.failures.url, "8", "15", "0", "0"]
    assert (len(sent.everything.spans()), len(sent.failures.spans())) == (23, 8)
    # What it does not take is sent again in smaller pieces, and left to it span by span.
    lacks = len({span.span_id for span in sent.refusing.spans()})
    assert [endpoint, *refused] == [sent.refusing.url, "0", str(23 - lacks), str(lacks), "0"]
    assert f"{sent.refusing.url} lacks {lacks} items." in page.text(".trouble")
    assert (page.errors, page.failed) == ([], [])


def test_sampling_is_what_was_asked_for(page: Tab, sent: _Sent) -> None:
    """The share of traces and the interval are the run's own; tries on threads have no samples."""
    database = sent.program.database
    (interval_s,) = rows(database, "SELECT DISTINCT resource_monitoring_interval FROM resource")[0]

    assert interval_s == 0.25
    assert (value(database, _SAMPLED), value(database, _RAN)) == (5, 7)
    assert _sampling(page) == [
        "all: nothing is sampled here",
        "25.0 % of the tasks",
        "0.25 s",
        "5 of 7 that ran (71.4 %)",
    ]


@pytest.mark.parametrize("parsl_generation", [GENERATIONS[0], GENERATIONS[-1]], indirect=True)
def test_sampling_under_parsls_own_hub(parsl_generation: Path, serve: Serve, shown: Tab) -> None:
    """Of what Parsl recorded the samples are counted too, and no destination is spoken of."""
    _open(shown, serve(parsl_generation), value(parsl_generation, _RUN_ID))
    sampled, ran = value(parsl_generation, _SAMPLED), value(parsl_generation, _RAN)

    assert (sampled, ran) in ((3, 7), (6, 7))
    assert _sampling(shown) == [
        "all: nothing is sampled here",
        "none: Parsl's own hub sends no spans",
        "1 s",
        f"{sampled} of 7 that ran ({'42.9' if sampled == 3 else '85.7'} %)",
    ]
    assert shown.page.locator("#destinations").count() == 0
    assert (shown.errors, shown.failed) == ([], [])


def test_what_the_agent_counted_is_shown(tmp_path: Path, serve: Serve, shown: Tab) -> None:
    """Each destination that lacks something is a trouble, dropped and refused together."""
    path, spool = tmp_path / "monitoring.db", tmp_path / "000" / "otel-parsl"
    with StoredRun(f"sqlite:///{path}", rundir=spool.parent) as stored:
        stored.task(0, "pending", "launched", "exec_done")
        stored.execution(0, at_s=2, run_s=1)
        stored.ended()
    spool.mkdir(parents=True)
    names = ("endpoint", "sent", "sampled_out", "refused", "dropped")
    counts = [
        ("http://one:4317", 1_234_567, 0, 0, 0),
        ("http://two:4317", 12, 34, 1200, 34_567),
        ("http://three:4318", 0, 0, 0, 1),
    ]
    said = [dict(zip(names, each, strict=True)) for each in counts]
    rendezvous.write(
        spool,
        rendezvous.STATUS,
        {"store_refused": 2, "damaged_bytes": 4096, "destinations": said},
    )
    rendezvous.write(spool, rendezvous.SETTINGS, {"sampled_share": 0.0})
    _open(shown, serve(path), RUN_ID)

    assert shown.cells("#destinations") == [
        ["http://one:4317", "1,234,567", "0", "0", "0"],
        ["http://two:4317", "12", "34", "1,200", "34,567"],
        ["http://three:4318", "0", "0", "0", "1"],
    ]
    troubles = [each.inner_text() for each in shown.page.locator(".trouble li").all()]
    assert troubles[:4] == [
        "2 items fit into no row and are set aside.",
        "4,096 bytes of the spool were damaged.",
        "http://two:4317 lacks 35,767 items.",
        "http://three:4318 lacks 1 item.",
    ]
    assert [cells[1] for cells in shown.cells("#lost")][:2] == ["2", "4,096"]
    assert _sampling(shown) == [
        "all: nothing is sampled here",
        "0 % of the tasks",
        "no sample was taken",
        "0 of 1 that ran (0 %)",
    ]
    assert (shown.errors, shown.failed) == ([], [])


def _open(opened: Tab, dashboard: Dashboard, run_id: str) -> None:
    opened.open(dashboard.address)
    assert opened.open(f"{dashboard.root}/workflow/{run_id}/health") == 200
    opened.page.wait_for_selector("#sampling td + td")


def _sampling(opened: Tab) -> list[str]:
    return [said for _, said in opened.cells("#sampling")]
