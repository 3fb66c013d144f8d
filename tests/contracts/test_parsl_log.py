"""What we hold on to in Parsl's logging: which logger its log is attached to, and how long."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

from parsl.dataflow.dflow import DataFlowKernel
from parsl.logconfigs.file import FileLogging

from otel_parsl.parsl_log import PARSLS


def test_log_of_a_run_is_attached_to_the_logger_that_we_look_at(tmp_path: Path) -> None:
    """Parsl's log configuration adds its handler to the logger parsl, and takes it off again."""
    parsls = logging.getLogger(PARSLS)
    before = list(parsls.handlers)

    undo = FileLogging().initialize_logging(log_dir=tmp_path, log_name="parsl")
    (added,) = [handler for handler in parsls.handlers if handler not in before]
    undo()

    assert isinstance(added, logging.FileHandler)
    assert added.baseFilename == str(tmp_path / "parsl.log")
    assert parsls.handlers == before
    added.close()


def test_log_of_a_run_is_there_from_before_the_hub_starts_until_after_it_ends() -> None:
    """The DataFlowKernel begins its log before it starts the hub, and ends it after the hub."""
    start = inspect.getsource(DataFlowKernel.__init__)
    end = inspect.getsource(DataFlowKernel.cleanup)
    assert start.index("initialize_logging(") < start.index("self.monitoring.start(")
    assert end.index("self.monitoring.close()") < end.index("_logging_unregister_callback()")
