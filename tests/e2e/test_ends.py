"""The ends that a run may come to, and what becomes of its agent."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil

from tests.support.programs import Program, agents_of, query, run, until


def test_each_way_to_end_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    """exit_mode wait completes a run; exit_mode skip, parsl.clear() without cleanup, and a
    DataFlowKernel that fails after the hub has started leave it unfinished."""
    program = run(
        tmp_path,
        """
        def config(**settings):
            settings.setdefault("executors", [ThreadPoolExecutor()])
            return Config(monitoring=OTelMonitoringHub(), **settings)

        with parsl.load(config(exit_mode="wait")):
            sleep(0.2)
        with parsl.load(config(exit_mode="skip")):
            nothing().result()
        parsl.clear()
        parsl.load(config())
        nothing().result()
        parsl.clear()

        class Broken(ThreadPoolExecutor):
            def start(self):
                raise RuntimeError("no threads here")

        try:
            parsl.load(config(executors=[Broken()]))
        except RuntimeError as error:
            print("refused:", error)
        """,
    )

    found = query(
        program.database,
        "select o.outcome, w.time_completed is not null, (select count(*) from status s where"
        " s.run_id = w.run_id and s.task_status_name = 'exec_done') from workflow w"
        " join otel_run o on o.run_id = w.run_id order by w.time_began",
    )
    assert "refused: no threads here" in program.output
    assert found == [
        ("completed", 1, 1),
        ("unfinished", 1, 1),
        ("unfinished", 1, 1),
        ("unfinished", 1, 0),
    ]


def test_load_that_fails_ends_its_run_while_the_program_goes_on(tmp_path: Path) -> None:
    """In a notebook it would be shown as running for as long as the kernel lives."""
    program = Program(
        tmp_path,
        """
        from parsl.dataflow.memoization import BasicMemoizer

        class Broken(ThreadPoolExecutor):
            def start(self):
                raise RuntimeError("no threads here")

        class Forgetful(BasicMemoizer):
            def start(self, **folders):
                raise RuntimeError("nothing is remembered")

        held = []
        for broken in ({"executors": [Broken()]}, {"memoizer": Forgetful()}):
            try:
                parsl.load(Config(monitoring=OTelMonitoringHub(), **broken))
            except RuntimeError as error:
                held.append(error)  # and with it all that was there, as a notebook does
        parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub()))
        nothing().result()
        print("loaded:", len(held), flush=True)
        sys.stdin.read()
        parsl.dfk().cleanup()
        """,
    )

    def outcomes() -> list[tuple[str | None]]:
        return query(
            program.database,
            "select o.outcome from workflow w join otel_run o on o.run_id = w.run_id"
            " order by w.time_began",
        )

    program.until_printed("loaded: 2")
    failed, also, going_on = (
        tmp_path / "runinfo" / number / "otel-parsl" for number in ("000", "001", "002")
    )
    until(lambda: not agents_of(failed) and not agents_of(also))
    until(lambda: outcomes() == [("unfinished",), ("unfinished",), (None,)])
    assert agents_of(going_on)
    program.go_on()
    program.wait()
    assert outcomes() == [("unfinished",), ("unfinished",), ("completed",)]


def test_program_that_raises_in_its_block_leaves_a_whole_run(tmp_path: Path) -> None:
    """In each exit_mode what had happened is recorded, and the user's exception is the one seen."""
    program = run(
        tmp_path,
        """
        for mode in ("cleanup", "wait", "skip"):
            try:
                with parsl.load(Config(executors=[ThreadPoolExecutor()], exit_mode=mode,
                                       monitoring=OTelMonitoringHub())):
                    nothing().result()
                    raise LookupError(mode)
            except LookupError as error:
                print("raised:", error)
            parsl.clear()
        """,
    )

    assert [line for line in program.output.splitlines() if line.startswith("raised")] == [
        "raised: cleanup",
        "raised: wait",
        "raised: skip",
    ]
    assert query(
        program.database,
        "select o.outcome, w.time_completed is not null, w.tasks_completed_count from workflow w"
        " join otel_run o on o.run_id = w.run_id order by w.time_began",
    ) == [("completed", 1, 1), ("completed", 1, 1), ("unfinished", 1, 1)]


def test_radio_of_the_users_own_that_needs_a_main_guard_is_said_at_once(tmp_path: Path) -> None:
    """Before such a radio's process is started, which a script without a main guard waits for in
    vain, the program says which executor has it and what to do."""
    program = Program(
        tmp_path,
        """
        from parsl.monitoring.radios.udp import UDPRadio
        radio = UDPRadio(address="127.0.0.1")
        parsl.load(Config(executors=[ThreadPoolExecutor(remote_monitoring_radio=radio)],
                          monitoring=OTelMonitoringHub()))
        """,
    )
    try:
        program.until_printed("executor threads keeps its own UDPRadio")
        assert "needs an 'if __name__ == \"__main__\":' in your script" in program.output
    finally:
        program.kill_all()


def test_ctrl_c_does_not_reach_the_agent_which_ends_when_the_store_is_complete(
    tmp_path: Path,
) -> None:
    """What the terminal sends to a program and all its group leaves the agent at work; it ends by
    itself when the program has and everything is stored."""
    program = Program(
        tmp_path,
        """
        import signal
        os.setsid()  # a group of its own, as a shell gives what it starts
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub())):
            nothing().result()
            try:
                print("ready", flush=True)
                time.sleep(1000)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            nothing().result()
        """,
    )
    program.until_printed("ready")
    status = program.spool / "status.json"
    until(status.exists)
    agent = json.loads(status.read_text())["pid"]
    os.killpg(program.process.pid, signal.SIGINT)
    program.wait()

    assert "interrupted" in program.output
    assert json.loads(status.read_text())["pid"] == agent, "no other had to be started"
    assert query(
        program.database, "select count(*) from status where task_status_name = 'exec_done'"
    ) == [(2,)]
    until(lambda: not psutil.pid_exists(agent))
    assert list(program.spool.glob("*.spool")) == []
