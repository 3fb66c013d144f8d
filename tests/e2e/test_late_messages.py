"""What Parsl says of a run whose monitoring has been closed."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import run


def test_messages_after_the_end_are_counted_and_said(tmp_path: Path) -> None:
    """Messages that come after close raise nothing, and the log says how many there were."""
    program = run(
        tmp_path,
        """
        import logging
        from parsl.monitoring.message_type import MessageType
        logging.basicConfig(level=logging.WARNING)
        hub = OTelMonitoringHub()
        with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
            nothing().result()
        for _ in range(3):
            hub.resource_msgs.put((MessageType.TASK_INFO, {}))
        """,
    )

    assert (
        "monitoring: 3 messages came after the end of the run and are in no table" in program.output
    )
