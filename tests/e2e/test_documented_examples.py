"""
Parsl's documented examples of monitoring, old and new, with nothing changed but the class name.

From the user guide's page on monitoring, over its releases, and from ``parsl/configs``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.programs import query, run

_EXAMPLE = """
import logging, warnings
warnings.simplefilter("always")
from parsl.addresses import address_by_hostname, address_by_interface

config = Config(
   executors=[
       {executor}
   ],
   monitoring=OTelMonitoringHub({arguments}),
   strategy='none'
)
if __name__ == "__main__":
    with parsl.load(config):
        [future.result() for future in [nothing() for _ in range(3)]]
"""
_HTEX = """HighThroughputExecutor(
           label="local_htex",
           cores_per_worker=1,
           max_workers_per_node=4,
           address=address_by_hostname(),
       )"""
_THREADS = "ThreadPoolExecutor(label='threads')"
_RETIRED = "OTelMonitoringHub.{} is unused"
_PARSLS = "Instead of MonitoringHub.{}"


@pytest.mark.parametrize(
    ("executor", "arguments", "warned"),
    [
        pytest.param(_HTEX, "resource_monitoring_interval=10", [], id="2025-10"),
        pytest.param(
            _HTEX,
            "hub_address=address_by_hostname(), resource_monitoring_interval=10",
            [],
            id="2024-10",
        ),
        pytest.param(
            _HTEX,
            "hub_address=address_by_hostname(), hub_port=55055, monitoring_debug=False,"
            " resource_monitoring_interval=10",
            [],
            id="1.0",
        ),
        pytest.param(
            _THREADS,
            "hub_address=address_by_hostname(), hub_port=55055, logging_level=logging.INFO,"
            " resource_monitoring_interval=10",
            [_RETIRED.format("logging_level")],
            id="0.8",
        ),
        pytest.param(
            _THREADS,
            "hub_address=address_by_interface('lo'), hub_port_range=(55050, 56000),"
            " client_address='127.0.0.1', client_port_range=(55000, 56000),"
            " workflow_name='fit', workflow_version='2', logdir='logs'",
            [
                _PARSLS.format("hub_port_range"),
                *map(_RETIRED.format, ("client_address", "client_port_range", "logdir")),
            ],
            id="0.9",
        ),
        pytest.param(
            _THREADS,
            "'localhost', (55050, 56000), 55055, 'fit', '2'",
            [_PARSLS.format("hub_port_range")],
            id="by-position",
        ),
        pytest.param(
            _THREADS,
            "logging_endpoint='sqlite:///runinfo/monitoring.db', resource_monitoring_interval=3,"
            " resource_monitoring_enabled=False",
            [],
            id="relative-endpoint",
        ),
    ],
)
def test_documented_example_runs_with_the_class_name_changed(
    tmp_path: Path, executor: str, arguments: str, warned: list[str]
) -> None:
    """Each documented way to make a MonitoringHub makes ours, and the run is in the database."""
    program = run(tmp_path, _EXAMPLE.format(executor=executor, arguments=arguments))

    assert [(3,)] == query(program.database, "select tasks_completed_count from workflow")
    assert [] == [words for words in warned if words not in program.output]
    assert ("is unused" in program.output or "Instead of Mon" in program.output) == bool(warned)
