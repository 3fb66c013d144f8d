"""HTEX's interchange, which says the same of its managers in fewer words."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import query, run


def test_interchange_that_comes_with_parsl_is_replaced_for_the_run(tmp_path: Path) -> None:
    """One of the user's choice is left alone; both tell the same, and the Config is as it was."""
    program = run(
        tmp_path,
        """
        from parsl.executors.high_throughput import interchange

        chosen = [sys.executable, interchange.__file__]
        executors = [htex("default"), htex("chosen", interchange_launch_cmd=chosen)]
        with parsl.load(Config(executors=executors, monitoring=OTelMonitoringHub())) as kernel:
            for label in ("default", "chosen"):
                parsl.python_app(executors=[label])(lambda: None)().result()
            print([each.interchange_launch_cmd == chosen for each in executors])
        print([each.interchange_launch_cmd for each in executors] == [["interchange.py"], chosen])
        """,
    )
    assert program.output.splitlines()[-2:] == ["[False, True]", "True"]
    logs = {
        label: (program.directory / "runinfo" / "000" / label / "interchange.log").read_text()
        for label in ("default", "chosen")
    }
    assert "to MonitoringHub" not in logs["default"]
    assert "to MonitoringHub" in logs["chosen"]
    reported = query(
        program.database,
        "select count(*), min(active), max(active), count(distinct uid) from node group by uid",
    )
    (times, *told), (chosen_times, *chosen_told) = reported
    assert told == chosen_told == [0, 1, 1]
    assert min(times, chosen_times) >= 3
