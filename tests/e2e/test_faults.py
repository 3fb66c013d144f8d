"""What dies is survived, or closed and marked as such."""

from __future__ import annotations

import datetime
import json
import os
import random
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from otel_parsl.leftovers import find_leftovers
from otel_parsl.query.counts import select_counts
from otel_parsl.query.engine import open_database
from otel_parsl.query.liveness import select_liveness, with_outcome
from otel_parsl.query.runs import find_run
from otel_parsl.query.times import utc_from_ns
from tests.support.command_line import otel_parsl, otel_parsl_by_path
from tests.support.otlp_sink import TAKEN, HttpAnswer, grpc_sink, http_sink
from tests.support.programs import (
    ALL_FIVE,
    PROCESS_EXECUTOR,
    Program,
    agents_of,
    query,
    run,
    states_in,
    until,
)


def _agent_pid(program: Program) -> int | None:
    try:
        pid: int = json.loads((program.spool / "status.json").read_text())["pid"]
    except FileNotFoundError:
        return None
    return pid


@contextmanager
def _closed_port() -> Iterator[int]:
    """Give a port that nobody listens on, and nobody can have meanwhile."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


def _niceness_of_session(pid: int) -> int | None:
    """Return that of a process's session where Linux shares time by session."""
    try:
        said = Path(f"/proc/{pid}/autogroup").read_text()
    except FileNotFoundError:
        return None
    return int(said.rpartition(" ")[2])


def test_agent_that_cannot_start_costs_the_run_nothing(tmp_path: Path) -> None:
    """On HTEX a run is not even held up, is told of it, and is in the database by `flush`, what its
    interchange said included."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nif 'otel_parsl_collector.agent' in sys.orig_argv:\n    sys.exit('broken')\n"
    )
    program = Program(
        tmp_path,
        """
        with parsl.load(Config(executors=[htex()],
                               monitoring=OTelMonitoringHub(resource_monitoring_interval=1,
                                                            shutdown_timeout=1))):
            print("sum:", sum(future.result() for future in [sleep(0.5) for _ in range(4)]))
        """,
        PYTHONPATH=str(broken),
    )
    output = program.wait()
    assert "sum: 2.0" in output
    said = (program.spool.parent / "parsl.log").read_text()
    assert "the agent has ended by itself" in said
    assert otel_parsl("flush", tmp_path / "runinfo").code == 0
    assert states_in(program.database)["running_ended"] == 4
    assert query(program.database, "select count(*) > 4 from node") == [(1,)]


def test_agent_that_lives_and_does_nothing_holds_nothing_up(tmp_path: Path) -> None:
    """Neither the start, with a channel and without, nor a task waits for it; the store has all
    once it goes on."""
    program = Program(
        tmp_path,
        PROCESS_EXECUTOR
        + """
import signal
from otel_parsl.submit import embedded

start, agents = embedded.start_agent, []

def stopped(*directories):
    agents.append(start(*directories))
    os.kill(agents[-1].pid, signal.SIGSTOP)
    return agents[-1]

embedded.start_agent = stopped
hub = OTelMonitoringHub(resource_monitoring_interval=1, shutdown_timeout=60)
began = time.monotonic()
parsl.load(Config(executors=[htex(), ProcessExecutor()], monitoring=hub))
with parsl.dfk():
    loaded_s = time.monotonic() - began
    for label in ("htex", "processes"):
        one = python_app(sleep.func, executors=[label])
        assert [future.result() for future in [one(0.5), one(0.5)]] == [0.5] * 2
    os.kill(agents[0].pid, signal.SIGCONT)
print("loaded after", loaded_s)
""",
    )
    assert float(program.wait().rpartition("loaded after")[2]) < 20
    said = (program.spool.parent / "parsl.log").read_text()
    assert "the monitoring agent has not said yet that it receives" in said
    assert states_in(program.database) == dict.fromkeys(ALL_FIVE, 4)
    assert query(program.database, "select count(*) > 0 from node") == [(1,)]


def test_agent_that_the_system_has_no_process_for_is_started_later(tmp_path: Path) -> None:
    """A login node whose limit of processes is reached for a moment costs the run no row."""
    program = Program(
        tmp_path,
        """
        import errno
        from otel_parsl.submit import embedded

        start, refused = embedded.start_agent, []

        def scarce(*directories):
            if len(refused) < 2:
                refused.append(directories)
                raise BlockingIOError(errno.EAGAIN, "no more processes")
            return start(*directories)

        embedded.start_agent = scarce
        with parsl.load(Config(executors=[htex()],
                               monitoring=OTelMonitoringHub(resource_monitoring_interval=1))):
            print("sum:", sum(future.result() for future in [sleep(0.5) for _ in range(4)]))
        """,
    )
    assert "sum: 2.0" in program.wait()
    said = (program.spool.parent / "parsl.log").read_text()
    assert "cannot be started, the run goes on: [Errno 11] no more processes" in said
    assert states_in(program.database)["running_ended"] == 4
    assert query(program.database, "select count(*) from node") != [(0,)]


@pytest.mark.parametrize("has_destination", [False, True], ids=["store", "and a destination"])
def test_agent_killed_ten_times_loses_nothing_and_writes_nothing_twice(
    tmp_path: Path, has_destination: bool
) -> None:
    """An agent killed at ten random moments is started again: the store is complete, and so is what
    a destination was sent, where a span sent again is the same."""
    with grpc_sink() as sink:
        count = _run_with_ten_kills(tmp_path, endpoint=sink.url if has_destination else None)
        until(lambda: not agents_of(tmp_path / "runinfo" / "000" / "otel-parsl"))
    if not has_destination:
        return
    spans = {span.SerializeToString(): span for span in sink.spans()}.values()
    assert len(spans) == len({span.span_id for span in spans})
    assert Counter(span.name for span in spans) == {
        "program.py": 1,
        "block htex": 1,
        "manager htex": 1,
        "sleep": 3 * count,  # a task, a try and an execution each
    }


def _run_with_ten_kills(directory: Path, *, endpoint: str | None) -> int:
    program = Program(
        directory,
        f"""
        import select

        count = 0
        # Its interchange writes down what it reports of managers.
        with parsl.load(Config(executors=[htex(worker_debug=True)], retries=0,
                               monitoring=OTelMonitoringHub(
                                   endpoint={endpoint!r}, resource_monitoring_interval=1))):
            while not select.select([sys.stdin], [], [], 0)[0]:
                for future in [sleep(0.03) for _ in range(100)]:
                    future.result()
                count += 100
        print("tasks:", count)
        """,
    )
    killed: set[int] = set()
    moments = random.Random(7)
    while len(killed) < 10:
        pid = until(lambda: (p := _agent_pid(program)) not in killed and p)
        assert pid is not None
        # Out of the workflow's way, and of Ctrl-C's.
        nice = max(5, os.getpriority(os.PRIO_PROCESS, 0))
        assert os.getpriority(os.PRIO_PROCESS, pid) == nice
        assert _niceness_of_session(pid) in (None, nice)
        assert os.getsid(pid) == pid
        # The moment is random, not the number of kills: that is what the test is about.
        until(_after(moments.uniform(0.1, 1.2)))
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    program.go_on()
    count = int(program.wait().rpartition("tasks:")[2])

    states = dict(
        query(program.database, "select task_status_name, count(*) from status group by 1")
    )

    assert states == dict.fromkeys(
        ("pending", "launched", "running", "running_ended", "exec_done"), count
    )
    assert query(program.database, "select count(*) from task") == [(count,)]
    assert query(program.database, "select count(*) from try where hostname is not null") == [
        (count,)
    ]
    assert query(
        program.database, "select count(*) from otel_try where memory_peak_bytes is not null"
    ) == [(count,)]
    assert query(
        program.database, "select count(distinct task_id) from resource where try_id = 0"
    ) == [(count,)]
    assert query(program.database, "select sum(ended) from otel_bucket") == [(count,)]
    assert query(
        program.database, "select state, sum(tasks) from otel_count where tasks != 0 group by 1"
    ) == [("exec_done", count)]
    log = (directory / "runinfo" / "000" / "htex" / "interchange.log").read_text()
    sent = log.count("to MonitoringHub")  # as the interchange itself has it
    assert sent > count / 2
    assert query(
        program.database, "select count(*), count(distinct uid || timestamp) from node"
    ) == [(sent, sent)]
    return count


def _after(seconds: float):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_killed_submit_process_has_its_run_closed_as_lost(tmp_path: Path) -> None:
    """Within a minute of a SIGKILL the run has an end, and nothing says running for ever."""
    program = Program(
        tmp_path,
        """
        parsl.load(Config(executors=[htex()], monitoring=OTelMonitoringHub()))
        [future.result() for future in [sleep(0) for _ in range(5)]]
        sleep(1000)
        print("ready", flush=True)
        time.sleep(1000)
        """,
    )
    try:
        program.until_printed("ready")
        until(
            lambda: query(
                program.database,
                "select 1 from status where task_status_name = 'running' and task_id = 5",
            )
        )
        pid = _agent_pid(program)
    finally:
        left = psutil.Process(program.process.pid).children(recursive=True)
        program.process.kill()
    until(lambda: query(program.database, "select 1 from otel_run where outcome = 'lost'"))
    assert query(
        program.database, "select tasks_completed_count, time_completed is not null from workflow"
    ) == [(5, 1)]
    until(lambda: pid is None or not psutil.pid_exists(pid))
    for process in left:
        if process.is_running():
            process.kill()


def test_all_killed_at_once_is_seen_as_lost_and_closed_by_flush(tmp_path: Path) -> None:
    """At the walltime of a batch job nobody is left to say so: the heartbeat stops, which readers
    elsewhere see, and whoever comes next closes the run."""
    program = Program(
        tmp_path,
        """
        parsl.load(Config(executors=[htex()], monitoring=OTelMonitoringHub()))
        sleep(1000)
        print("ready", flush=True)
        time.sleep(1000)
        """,
    )
    try:
        program.until_printed("ready")
        heartbeat = "select heartbeat_ns from otel_run where heartbeat_ns is not null"
        first = until(lambda: query(program.database, heartbeat))
        second = until(
            lambda: query(program.database, heartbeat + f" and {first[0][0]} < heartbeat_ns")
        )
        until(
            lambda: query(
                program.database, "select 1 from status where task_status_name = 'running'"
            )
        )
    finally:
        program.kill_all()
    assert 10e9 < second[0][0] - first[0][0] < 30e9, "a heartbeat about every 15 s, also when idle"
    until(lambda: find_leftovers(tmp_path / "runinfo"))
    elsewhere = tmp_path / "elsewhere.db"
    with (
        closing(sqlite3.connect(program.database)) as written,
        closing(sqlite3.connect(elsewhere)) as connection,
    ):
        written.backup(connection)
        connection.execute("update workflow set host = 'a.login.node'")
        connection.commit()

    seen = utc_from_ns(second[0][0])
    assert seen is not None
    states = [
        _state_elsewhere(elsewhere, now=seen + datetime.timedelta(seconds=age_s))
        for age_s in (60, 180)
    ]
    settings = (
        program.spool / "agent.json"
    )  # as if a login node had been its host, and this another
    said = json.loads(settings.read_text())
    settings.write_text(json.dumps({**said, "hub_host": "a.login.node"}))
    too_early = otel_parsl("flush", tmp_path / "runinfo")
    last_written_s = time.time() - 130
    for path in program.spool.iterdir():
        os.utime(path, (last_written_s,) * 2)
    flush = otel_parsl("flush", tmp_path / "runinfo")

    assert (too_early.code, len(too_early.lines)) == (4, 1)
    assert states == [("running", {"running": 1}), ("lost", {"lost": 1})]
    assert (flush.code, flush.lines[-1]) == (0, "000: delivered")
    assert query(program.database, "select outcome from otel_run") == [("lost",)]
    ((completed,),) = query(program.database, "select time_completed from workflow")
    ended_s = datetime.datetime.fromisoformat(completed).timestamp()
    assert abs(ended_s - last_written_s) < 1, "when it was last heard of, not when it was found"
    status = otel_parsl("status", "--db", program.database, "--json").json
    assert (status["state"], status["tasks"]["lost"]) == ("lost", 1)


def test_run_of_which_all_was_killed_is_closed_by_the_next_in_its_directory(
    tmp_path: Path,
) -> None:
    """Without ``flush`` too: a later run's hub has an agent close what died, and deliver it."""
    with _closed_port() as port:
        killed = Program(
            tmp_path,
            f"""
            parsl.load(Config(executors=[htex()], monitoring=OTelMonitoringHub(
                endpoint="http://127.0.0.1:{port}")))
            nothing().result()
            sleep(1000)
            print("ready", flush=True)
            time.sleep(1000)
            """,
        )
        try:
            killed.until_printed("ready")
            running = "select 1 from status where task_status_name = 'running' and task_id = 1"
            until(lambda: query(killed.database, running))
        finally:
            killed.kill_all()
        until(lambda: find_leftovers(tmp_path / "runinfo"))

    with grpc_sink(port=port) as sink:
        run(
            tmp_path,
            """
            with parsl.load(Config(executors=[ThreadPoolExecutor()], strategy="none",
                                   monitoring=OTelMonitoringHub())):
                nothing().result()
            """,
        )
        until(lambda: not find_leftovers(tmp_path / "runinfo"))
        until(lambda: not agents_of(killed.spool))
        names = Counter(sink.span_names())

    ended = "select rundir, outcome, time_completed is not null from otel_run join workflow"
    assert query(killed.database, f"{ended} using (run_id) order by 1") == [
        (str(tmp_path / "runinfo" / "000"), "lost", 1),
        (str(tmp_path / "runinfo" / "001"), "completed", 1),
    ]
    assert (names["program.py"], names["nothing"], names["sleep"]) == (1, 3, 3)


def _state_elsewhere(path: Path, *, now: datetime.datetime) -> tuple[str, dict[str, int]]:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, has_otel=database.has_otel)
        liveness = select_liveness(connection, run, now=now)
        counts = select_counts(connection, with_outcome(connection, run, now=now))
    return liveness.state.value, {state.value: tasks for (_, state), tasks in counts.items()}


def test_program_that_never_cleans_up_leaves_its_run_unfinished(tmp_path: Path) -> None:
    """A DataFlowKernel that is not cleaned up gives a run that is unfinished, not lost."""
    program = run(
        tmp_path,
        """
        parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub()))
        nothing().result()
        """,
    )

    assert query(program.database, "select outcome from otel_run") == [("unfinished",)]
    assert query(program.database, "select time_completed is not null from workflow") == [(1,)]
    assert query(program.database, "select state from otel_task") == [("exec_done",)]


def test_refusing_destination_loses_nothing_and_is_served_by_flush(tmp_path: Path) -> None:
    """A destination away for the whole run has everything once it is back, by ``flush``."""
    with _closed_port() as port:
        program = run(
            tmp_path,
            f"""
            with parsl.load(Config(
                executors=[ThreadPoolExecutor()],
                monitoring=OTelMonitoringHub(endpoint="http://127.0.0.1:{port}"),
            )):
                [future.result() for future in [nothing() for _ in range(50)]]
                began = time.monotonic()
            assert time.monotonic() - began < 5, "cleanup waited for the destination"
            """,
        )
    assert [(50,)] == query(
        program.database, "select count(*) from status where task_status_name = 'exec_done'"
    )
    os.kill(until(lambda: _agent_pid(program)), signal.SIGKILL)  # as at the walltime
    until(lambda: find_leftovers(tmp_path / "runinfo"))

    with grpc_sink(port=port) as sink:
        done = otel_parsl_by_path("flush", cwd=tmp_path)

    assert (0, "000: delivered") == (done.code, done.lines[-1])
    assert {"program.py": 1, "nothing": 150} == Counter(sink.span_names())
    assert [] == find_leftovers(tmp_path / "runinfo")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_destination_that_is_busy_for_the_whole_run_has_all_once_it_is_not(
    protocol: str, tmp_path: Path
) -> None:
    """One that answers UNAVAILABLE, or 503: the store has all at the end, it all a little later."""
    is_busy = True

    def by_grpc(context: Any) -> bytes:
        if is_busy:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        return b""

    def by_http() -> HttpAnswer:
        return HttpAnswer(503, {"Retry-After": "1"}) if is_busy else TAKEN

    with grpc_sink(by_grpc) if protocol == "grpc" else http_sink(by_http) as sink:
        program = run(
            tmp_path,
            f"""
            with parsl.load(Config(
                executors=[ThreadPoolExecutor()],
                monitoring=OTelMonitoringHub(endpoint="{sink.url}", protocol="{protocol}"),
            )):
                [future.result() for future in [nothing() for _ in range(50)]]
                time.sleep(3)
                began = time.monotonic()
            assert time.monotonic() - began < 5, "cleanup waited for the destination"
            """,
        )
        counted = "select count(*) from status where task_status_name = 'exec_done'"
        assert query(program.database, counted) == [(50,)]
        asked = len(sink.received)
        assert 1 <= asked < 50, "it is asked again and again"
        is_busy = False
        expected = {"program.py": 1, "nothing": 150}
        until(
            lambda: Counter({span.span_id: span.name for span in sink.spans()}.values()) == expected
        )
        until(lambda: not find_leftovers(tmp_path / "runinfo"))


@pytest.mark.parametrize("repetition", range(10))
def test_last_tasks_before_cleanup_are_all_there(tmp_path: Path, repetition: int) -> None:
    """5,000 no-op tasks followed at once by cleanup leave 5,000 running_ended rows."""
    program = run(
        tmp_path,
        """
        with parsl.load(Config(executors=[htex()], strategy="none",
                               monitoring=OTelMonitoringHub(resource_monitoring_interval=30))):
            futures = [nothing() for _ in range(5000)]
            [future.result() for future in futures]
        """,
    )

    found = Counter(
        dict(query(program.database, "select task_status_name, count(*) from status group by 1"))
    )
    assert (
        Counter(
            dict.fromkeys(("pending", "launched", "running", "running_ended", "exec_done"), 5000)
        )
        == found
    )
