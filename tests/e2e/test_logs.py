"""What hub and agent say stands in the logs of the run, and how much is the user's choice."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.programs import ALL_FIVE, run, states_in

_OURS = re.compile(r" otel_parsl\S*:\d+ \S+ (INFO|DEBUG|WARNING|ERROR): (.*)")


def _said(log: Path) -> list[tuple[str, str]]:
    """Return what we said in a log of Parsl's: level and words."""
    return _OURS.findall(log.read_text())


def test_hub_logs_to_the_log_of_its_run_and_nowhere_else(tmp_path: Path) -> None:
    """Of two runs at once each has in its parsl.log what the hub said as long as it went on, each
    line once; the console hears nothing new, and afterwards logging is as it was before."""
    program = run(
        tmp_path,
        """
        import logging
        from parsl.dataflow.dflow import DataFlowKernel
        ours = logging.getLogger("otel_parsl")
        before = (ours.level, ours.propagate, list(ours.handlers))

        def kernel(**settings):
            hub = OTelMonitoringHub(**settings)
            return DataFlowKernel(Config(executors=[ThreadPoolExecutor()], monitoring=hub))

        first, second = kernel(), kernel(monitoring_debug=True)
        python_app(len, data_flow_kernel=second)("abc").result()
        first.cleanup()
        logging.getLogger("otel_parsl.test").info("between")
        logging.getLogger("otel_parsl.test").warning("amiss")
        second.cleanup()
        assert (ours.level, ours.propagate, list(ours.handlers)) == before
        """,
    )

    runinfo = program.directory / "runinfo"
    one, other = (_said(runinfo / number / "parsl.log") for number in ("000", "001"))
    going = f"monitoring goes to sqlite:///{program.database}, by agent"
    assert [words for _, words in one if words.startswith(going)] == [
        words for _, words in one if "by agent" in words
    ]
    assert len([words for _, words in one if words.startswith(going)]) == 2, "as Parsl's own lines"
    assert len([words for _, words in other if words.startswith(going)]) == 1
    assert [words for level, words in one if words == "between"] == []
    assert [words for _, words in other if words in ("between", "amiss")] == ["between", "amiss"]
    assert program.output.splitlines()[1:] == ["amiss"]


def test_monitoring_debug_makes_hub_and_agent_say_more(tmp_path: Path) -> None:
    """With monitoring_debug both logs have lines of level DEBUG of ours, and without it none; a
    LogConfig of the user's has them too."""
    found = {}
    for name, debug, logs in (
        ("plain", False, True),
        ("debug", True, True),
        ("config", True, "FileLogging()"),
    ):
        program = run(
            tmp_path / name,
            f"""
            from parsl.logconfigs.file import FileLogging
            with parsl.load(Config(executors=[ThreadPoolExecutor()], initialize_logging={logs},
                                   monitoring=OTelMonitoringHub(monitoring_debug={debug}))):
                nothing().result()
            """,
        )
        rundir = program.directory / "runinfo" / "000"
        hub = {level for level, _ in _said(rundir / "parsl.log")}
        agent = (rundir / "database_manager.log").read_text()
        is_said = re.search(r"otel_parsl_collector.* DEBUG|DEBUG otel_parsl_collector", agent)
        found[name] = (hub, bool(is_said), "the store is complete" in agent)

    assert found == {
        "plain": ({"INFO"}, False, True),
        "debug": ({"INFO", "DEBUG"}, True, True),
        "config": ({"INFO", "DEBUG"}, True, True),
    }


def test_log_config_of_the_script_is_the_agents_and_one_that_fails_costs_no_row(
    tmp_path: Path,
) -> None:
    """A class of the script logs what the agent says; where it cannot, a plain log says why."""
    program = run(
        tmp_path,
        """
        import logging, sqlite3, threading
        from parsl.logconfigs.base import LogConfig

        FORMAT = "mine: %(message)s"

        class Mine(LogConfig):
            def initialize_logging(self, *, log_dir, log_name):
                handler = logging.FileHandler(os.path.join(log_dir, f"{log_name}.mine"))
                handler.setFormatter(logging.Formatter(FORMAT))
                logging.getLogger("parsl").addHandler(handler)
                return lambda: logging.getLogger("parsl").removeHandler(handler)

        class Failing(Mine):
            def __init__(self):
                super().__init__()
                self.pid = os.getpid()
            def initialize_logging(self, **settings):
                if os.getpid() != self.pid:
                    raise OSError("the log server is away")
                return super().initialize_logging(**settings)

        class Bound(Mine):
            def __init__(self):
                super().__init__()
                self.connection = sqlite3.connect(":memory:")

        for run_dir, config in (("mine", Mine()), ("failing", Failing()), ("bound", Bound())):
            with parsl.load(Config(executors=[ThreadPoolExecutor()], run_dir=run_dir,
                                   initialize_logging=config, monitoring=OTelMonitoringHub())):
                nothing().result()
            parsl.clear()
        """,
    )

    rundirs = {name: program.directory / name / "000" for name in ("mine", "failing", "bound")}
    for name, rundir in rundirs.items():
        assert dict.fromkeys(ALL_FIVE, 1) == states_in(rundir.parent / "monitoring.db"), name
    by_config = (rundirs["mine"] / "database_manager.mine").read_text()
    assert "mine: the store is complete" in by_config
    assert not (rundirs["mine"] / "database_manager.log").exists()
    for name in ("failing", "bound"):
        assert "the store is complete" in (rundirs[name] / "database_manager.log").read_text()
    failing = (rundirs["failing"] / "database_manager.log").read_text()
    assert "cannot be used by its monitoring agent: OSError('the log server is away')" in failing
    bound = (rundirs["bound"] / "parsl.mine").read_text()
    assert "the LogConfig cannot be sent to the monitoring agent" in bound


def test_results_whose_telemetry_could_not_be_taken_are_counted_at_the_end(tmp_path: Path) -> None:
    """What a newer worker sent, or one of a run that is over, costs no result, and is told."""
    program = run(
        tmp_path,
        """
        from otel_parsl import carrier
        with parsl.load(Config(executors=[htex()], monitoring=OTelMonitoringHub())):
            nothing().result()
            newer = carrier.carried(b"?", carrier.pack(7), carrier.VERSION + 1)
            late = carrier.carried(b"another run" + bytes(1) + b"?", carrier.pack(8))
            assert [carrier.delivered(each) for each in (newer, late)] == [7, 8]
        """,
    )

    said = _said(program.directory / "runinfo" / "000" / "parsl.log")
    told = [words for level, words in said if level == "ERROR"]
    assert len(told) == 1
    assert told[0].startswith("monitoring: what came with 2 results could not be taken: ")
