"""A disk or a spool that is full: the workflow goes on, it is said, and no row is missing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from otel_parsl.leftovers import find_leftovers
from tests.support.filesystems import small_disk, small_quota
from tests.support.otlp_sink import grpc_sink
from tests.support.programs import ALL_FIVE, Program, agents_of, query, run, states_in, until

DISK_MIB = 24


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a small disk, or a folder under a quota."""
    if getattr(request, "param", "disk") == "disk":
        with small_disk(tmp_path / "disk", kib=DISK_MIB << 10) as path:
            yield path
    else:
        with small_quota(tmp_path / "disk", mib=DISK_MIB) as path:
            yield path


@pytest.mark.parametrize(
    ("disk", "where", "error"),
    [
        ("disk", "beside", "[Errno 28] No space left on device"),
        ("disk", "on it", "[Errno 28] No space left on device"),
        ("quota", "beside", "[Errno 122] Disk quota exceeded"),
        ("quota", "on it", "[Errno 122] Disk quota exceeded"),
    ],
    indirect=["disk"],
)
def test_full_disk_loses_nothing_and_is_recovered_from(
    tmp_path: Path, disk: Path, where: str, error: str
) -> None:
    """A disk that is full for a while, or a quota used up, with or without the database there: all
    rows are there in the end."""
    database = tmp_path / "beside.db" if where == "beside" else disk / "on.db"
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            f"""
            import logging
            logging.basicConfig(level=logging.WARNING)  # Parsl's own log is on the full disk
            logging_endpoint = "sqlite:///{database}"
            disk = {str(disk)!r}

            def fill():
                with open(disk + "/ballast", "ab", buffering=0) as ballast:
                    for size in (1 << 20, 1 << 12):
                        try:
                            while True:
                                ballast.write(b"x" * size)
                        except OSError:
                            pass

            def spooled():
                directory = disk + "/runinfo/000/otel-parsl/"
                return sum(os.path.getsize(directory + name) for name in os.listdir(directory)
                           if name.startswith("submit-"))

            with parsl.load(Config(run_dir=disk + "/runinfo", executors=[htex()], monitoring=
                            OTelMonitoringHub(logging_endpoint=logging_endpoint,
                                              endpoint="{sink.url}"))):
                [future.result() for future in [nothing() for _ in range(50)]]
                time.sleep(0.5)  # what they say is spooled by then, or is not: both must do
                fill()
                began = time.monotonic()
                [future.result() for future in [nothing() for _ in range(200)]]
                assert time.monotonic() - began < 30, "the workflow waited for the disk"
                time.sleep(0.5)
                fill()
                before = spooled()
                os.unlink(disk + "/ballast")
                os.sync()  # a quota knows of it then
                deadline = time.monotonic() + 30
                while spooled() == before and time.monotonic() < deadline:
                    time.sleep(0.05)
                [future.result() for future in [nothing() for _ in range(50)]]
            """,
        )
        until(lambda: _is_whole(Counter(sink.span_names())))
    states = ("pending", "launched", "running", "running_ended", "exec_done")
    assert states_in(database) == dict.fromkeys(states, 300)
    assert query(database, "select tasks_completed_count from workflow") == [(300,)]
    assert query(database, "select outcome from otel_run") == [("completed",)]
    assert f"the spool cannot be written: {error}" in program.output


def _is_whole(names: Counter[str]) -> bool:
    return names["nothing"] >= 900 and names["program.py"] >= 1


def test_disk_that_is_full_at_the_start_costs_no_row(tmp_path: Path, disk: Path) -> None:
    """A run begins although not even its agent can, which is said; the agent begins later."""
    program = run(
        tmp_path,
        f"""
        import logging
        from pathlib import Path
        from tests.support.filesystems import fill

        logging.basicConfig(level=logging.WARNING)  # Parsl's own log is on the full disk
        ballast = []

        class Hub(OTelMonitoringHub):
            def start(self, *arguments):
                ballast.append(fill(Path({str(disk)!r})))
                super().start(*arguments)

        with parsl.load(Config(run_dir="{disk}/runinfo", executors=[ThreadPoolExecutor()],
                               monitoring=Hub(logging_endpoint="sqlite:///{tmp_path}/on.db"))):
            [future.result() for future in [nothing() for _ in range(50)]]
            spool = Path("{disk}/runinfo/000/otel-parsl")
            assert not spool.is_dir() or sum(path.stat().st_size for path in spool.iterdir()) == 0
            ballast[0].unlink()
            [future.result() for future in [nothing() for _ in range(50)]]
        """,
        PYTHONPATH=str(Path(__file__).parents[2]),
    )
    assert states_in(tmp_path / "on.db") == dict.fromkeys(ALL_FIVE, 100)
    assert "agent.json cannot be written: [Errno 28] No space left on device" in program.output


def test_run_that_died_while_its_agent_may_not_write_is_closed_once_it_may(
    tmp_path: Path,
) -> None:
    """The agent tries each second, and takes no more files for that, open or on the disk."""
    program = Program(
        tmp_path,
        """
        with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub())):
            nothing().result()
            time.sleep(1000)
        """,
    )
    there = "select 1 from sqlite_master where name = 'otel_run'"
    until(lambda: program.database.exists() and query(program.database, there))
    until(lambda: query(program.database, "select outcome from otel_run"))
    (pid,) = agents_of(program.spool)
    agent = psutil.Process(pid)

    def has_ticked(seconds: float) -> None:
        before = agent.num_ctx_switches().voluntary
        until(lambda: agent.num_ctx_switches().voluntary > before + 10 * seconds)

    agent.rlimit(psutil.RLIMIT_FSIZE, (0, -1))
    program.process.kill()
    program.process.wait()
    has_ticked(3)
    files, open_files = len(list(program.spool.iterdir())), agent.num_fds()
    has_ticked(5)
    more_files = len(list(program.spool.iterdir())) - files
    more_open = agent.num_fds() - open_files
    outcome = query(program.database, "select outcome from otel_run")
    agent.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))

    assert (more_files, more_open, outcome) == (0, 0, [(None,)])
    until(lambda: query(program.database, "select outcome from otel_run") == [("lost",)])


def test_quota_of_the_submit_process_loses_nothing(tmp_path: Path) -> None:
    """A file that may not grow for a while, as under a quota, costs no row, and is said."""
    program = run(
        tmp_path,
        """
        import logging
        import queue
        import resource

        spool = "runinfo/000/otel-parsl/submit-000001.spool"
        said = queue.Queue()

        class Said(logging.Handler):
            def emit(self, record):
                if "the spool cannot be written" in record.getMessage():
                    said.put(record.getMessage())

        logging.getLogger("otel_parsl").addHandler(Said())
        with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub())):
            [future.result() for future in [nothing() for _ in range(20)]]
            deadline = time.monotonic() + 30
            while not os.path.exists(spool) and time.monotonic() < deadline:
                time.sleep(0.05)
            most = os.path.getsize(spool) + 100
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            most = max(most, os.path.getsize(spool))  # it may have grown just before
            [future.result() for future in [nothing() for _ in range(200)]]
            warning = said.get(timeout=30)
            assert os.path.getsize(spool) <= most
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            print(warning)  # only now: what the program prints is a file, too
        """,
    )
    states = ("pending", "launched", "running", "running_ended", "exec_done")
    assert states_in(program.database) == dict.fromkeys(states, 220)
    assert "the spool cannot be written: [Errno 27] File too large" in program.output


def test_dead_destination_costs_the_store_nothing(tmp_path: Path) -> None:
    """Beyond the spool's bound what a destination lacks is dropped, counted and said; no row is."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    program = Program(
        tmp_path,
        f"""
        @python_app
        def echo(text):
            return len(text)

        with parsl.load(Config(
            executors=[ThreadPoolExecutor()],
            monitoring=OTelMonitoringHub(endpoint="http://127.0.0.1:{port}",
                                         spool_max_size_mib=1),
        )):
            for number in range(60):
                [future.result() for future in [echo(f"{{n}}" * 10_000) for n in range(10)]]
                time.sleep(0.1)
        """,
    )
    program.wait()
    assert states_in(program.database)["exec_done"] == 600
    size = sum(path.stat().st_size for path in program.spool.glob("*.spool"))
    status = until(lambda: json.loads((program.spool / "status.json").read_text()))
    (destination,) = status["destinations"]
    os.kill(status["pid"], signal.SIGKILL)
    assert size < 3 << 19
    assert destination["dropped"] > 300
    assert f"items are dropped for http://127.0.0.1:{port}, which was away" in program.output

    assert until(lambda: find_leftovers(tmp_path / "runinfo")) == [program.spool]
    with grpc_sink(port=port) as sink:
        subprocess.run(
            [sys.executable, "-m", "otel_parsl.cli.main", "flush"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    # What a killed agent had not committed is spooled, and so sent, again.
    found = Counter({span.span_id: span.name for span in sink.spans()}.values())
    assert 0 < found["echo"] < 1800
    assert found["program.py"] == 1
