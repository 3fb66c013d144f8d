"""A site's collector keeps the database: ``OTelMonitoringHub(collector=…)``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_parsl.leftovers import find_leftovers
from tests.support.collector import CollectorProcess
from tests.support.command_line import otel_parsl_by_path
from tests.support.programs import ALL_FIVE, Program, query, run, states_in, until


def site_collector(directory: Path, **arguments: Any) -> CollectorProcess:
    """Return a stand-alone collector that keeps a database."""
    directory.mkdir(exist_ok=True)
    exporters = {"parsl_sql": {"url": f"sqlite:///{directory}/monitoring.db"}}
    return CollectorProcess(directory, exporters=exporters, **arguments)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CollectorProcess]:
    """Give a site's collector that runs; its database is in its directory."""
    with site_collector(tmp_path / "site") as collector:
        yield collector


def _is_whole(database: Path, *, tasks: int) -> bool:
    """Tell whether all of a run is there: what the collector has taken it stores in parts."""
    try:
        has_ended = query(database, "select 1 from workflow where time_completed is not null")
        return bool(has_ended) and states_in(database) == dict.fromkeys(ALL_FIVE, tasks)
    except sqlite3.OperationalError:  # it has no tables yet
        return False


@pytest.mark.parametrize(
    ("protocol", "variables"),
    [
        ("grpc", {}),
        # What is forwarded beside can be switched off; this is where the rows come from.
        (
            "http/protobuf",
            {f"OTEL_{each}_EXPORTER": "none" for each in ("TRACES", "METRICS", "LOGS")},
        ),
    ],
)
def test_database_is_the_collectors_and_none_is_written_here(
    tmp_path: Path, site: CollectorProcess, protocol: str, variables: dict[str, str]
) -> None:
    """The run is in the site's database, seen from here by its printed address alone."""
    url = f"http://{site.grpc}" if protocol == "grpc" else site.http
    program = run(
        tmp_path / "user",
        f"""
        hub = OTelMonitoringHub(collector={url!r}, protocol={protocol!r})
        with parsl.load(Config(executors=[htex()], monitoring=hub)):
            [future.result() for future in [nothing() for _ in range(20)]]
        """,
        **variables,
    )
    database = site.directory / "monitoring.db"
    until(lambda: _is_whole(database, tasks=20))
    assert [] == list((tmp_path / "user").rglob("monitoring.db*"))
    assert program.output.count(url) == 1
    assert [] == find_leftovers(tmp_path / "user" / "runinfo")


def test_derived_spans_are_sent_with_the_rest(tmp_path: Path) -> None:
    """The run's agent derives its spans, so that the site can pass them on."""
    with CollectorProcess(tmp_path) as passing:
        run(
            tmp_path / "user",
            f"""
            hub = OTelMonitoringHub(collector="http://{passing.grpc}")
            with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
                nothing().result()
            """,
        )
        found = passing.wait_for_spans({"program.py", "nothing"})

    assert ["nothing", "nothing", "nothing", "program.py"] == sorted(found)


def test_collector_that_is_away_has_everything_by_flush_once_it_is_back(tmp_path: Path) -> None:
    """A collector down for the whole run fails nothing; close says what is left, flush sends it."""
    site = site_collector(tmp_path / "site")
    site.start()
    site.stop()
    program = run(
        tmp_path / "user",
        f"""
        import logging
        logging.basicConfig(level=logging.WARNING)
        hub = OTelMonitoringHub(collector="http://{site.grpc}", shutdown_timeout=8)
        with parsl.load(Config(executors=[htex()], monitoring=hub)):
            [future.result() for future in [nothing() for _ in range(20)]]
            began = time.monotonic()
        """,
    )
    runinfo = tmp_path / "user" / "runinfo"
    assert "after 8 s not all is in the database of the collector at" in program.output
    assert "UNAVAILABLE" in program.output
    assert str(runinfo / "000" / "otel-parsl") in program.output

    with site:
        until(lambda: _flushed(tmp_path / "user"))
        until(lambda: _is_whole(site.directory / "monitoring.db", tasks=20))

    assert [] == find_leftovers(runinfo)


def _flushed(directory: Path) -> bool:
    """Flush; tell whether nothing is left, be it by this or by the run's own agent."""
    done = otel_parsl_by_path("flush", cwd=directory)
    return done.code == 0 and not list(directory.glob("runinfo/*/otel-parsl/*.spool"))


def test_wrong_token_keeps_everything_until_it_is_right(tmp_path: Path) -> None:
    """What the collector does not let in is not given up: it is told, and sent with a new token."""
    token = {"bearertokenauth": {"token": "right"}}
    grpc = {"auth": {"authenticator": "bearertokenauth"}}
    site = site_collector(tmp_path / "site", extensions=token)
    site.start()  # chooses the ports
    site.stop()
    grpc["endpoint"] = site.grpc
    guarded = site_collector(tmp_path / "site", extensions=token, grpc=grpc)
    guarded.ports = site.ports
    with guarded:
        program = run(
            tmp_path / "user",
            f"""
            import logging
            logging.basicConfig(level=logging.WARNING)
            hub = OTelMonitoringHub(collector="http://{site.grpc}", shutdown_timeout=8,
                                    headers={{"authorization": "Bearer wr0ng"}})
            with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
                nothing().result()
            """,
        )
        assert "UNAUTHENTICATED" in program.output
        assert "wr0ng" not in program.output
        _end_agent(program)
        settings = program.spool / "agent.json"
        settings.write_text(settings.read_text().replace("wr0ng", "right"))
        assert _flushed(program.directory)
        until(lambda: _is_whole(guarded.directory / "monitoring.db", tasks=1))


def _end_agent(program: Program) -> None:
    import json
    import signal

    pid = json.loads((program.spool / "status.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: find_leftovers(program.directory / "runinfo"))
