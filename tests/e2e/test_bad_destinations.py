"""A destination, or a record, that nothing can be done with keeps nothing from the database."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.support.command_line import otel_parsl
from tests.support.otlp_sink import grpc_sink
from tests.support.programs import agents_of, query, run, until

BROKEN = ("soon", {"x-key": "a\nb"})
"""A timeout and headers that no request can be sent with."""


def test_broken_destinations_are_switched_off_and_all_else_goes_on(tmp_path: Path) -> None:
    """Two destinations that no request can be sent to, and a record of the user's own that is
    named like an event of ours: the rows and another destination are whole, it is said, and what
    the two lack is there for ``flush`` once they are put right."""
    with grpc_sink() as whole, grpc_sink() as later:
        program = run(
            tmp_path,
            f"""
            import logging, urllib.request
            from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
                ExportLogsServiceRequest,
            )
            logging.basicConfig(level=logging.WARNING)
            hub = OTelMonitoringHub(
                transport="direct", endpoint={whole.url!r},
                forward_to=[
                    {later.url!r}, {{"endpoint": {later.url!r}, "protocol": "http/protobuf"}}
                ],
            )
            # As somebody's hand may leave them in agent.json: the hub itself refuses them.
            object.__setattr__(hub._destinations[1], "timeout", {BROKEN[0]!r})
            object.__setattr__(hub._destinations[2], "headers", tuple({BROKEN[1]!r}.items()))
            with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
                receiver = hub.otlp_receiver()
                mine = ExportLogsServiceRequest()
                mine.resource_logs.add().scope_logs.add().log_records.add(
                    event_name="parsl.task.state_changed"
                )
                headers = {{"Content-Type": "application/x-protobuf", **receiver.headers}}
                urllib.request.urlopen(urllib.request.Request(
                    receiver.endpoint + "/v1/logs", mine.SerializeToString(), headers
                ))
                [nothing().result() for _ in range(3)]
            """,
        )
        states = query(program.database, "select task_status_name, count(*) from status group by 1")
        until(lambda: not agents_of(program.spool))
        sent = Counter(whole.span_names())
        was_sent = list(later.received)

        settings_path = program.spool / "agent.json"
        settings = json.loads(settings_path.read_text())
        _, one, other = settings["destinations"]
        one["timeout_s"] = 10
        settings["destinations"] = [settings["destinations"][0], one, {**other, **_GRPC}]
        settings_path.write_text(json.dumps(settings))
        flush = otel_parsl("flush", tmp_path / "runinfo")

    expected = {"program.py": 1, "nothing": 9}
    five = ("pending", "launched", "running", "running_ended", "exec_done")
    assert dict(states) == dict.fromkeys(five, 3)
    assert sent == expected
    assert was_sent == []
    assert f"{later.url} is switched off: ConfigError: timeout: " in program.output
    switched_off = f"{later.url} is switched off: ConfigError: headers: the value of 'x-key'"
    assert switched_off in program.output
    assert "1 log records have the name of an event of otel-parsl and are none" in program.output
    assert "ended with code" not in program.output, "no agent died of it"
    assert (flush.code, flush.lines[-1]) == (0, "000: delivered")
    assert Counter(later.span_names()) == {name: 2 * times for name, times in expected.items()}


_GRPC = {"protocol": "grpc", "headers": []}


def test_spans_that_cannot_be_derived_keep_nothing_from_the_database(tmp_path: Path) -> None:
    """Where the file that open events are kept in is damaged, the rows are whole, it is said, and
    the spans are made and sent by ``flush`` once the file is gone."""
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            f"""
            import logging
            from otel_parsl.submit import monitored_run
            logging.basicConfig(level=logging.WARNING)

            class BesideADamagedFile(monitored_run.EmbeddedAgent):
                def __init__(self, directory, needs):
                    directory.mkdir()
                    (directory / "lifecycle.db").write_bytes(b"no database" * 1000)
                    super().__init__(directory, needs)

            monitored_run.EmbeddedAgent = BesideADamagedFile
            hub = OTelMonitoringHub(endpoint={sink.url!r})
            with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
                [nothing().result() for _ in range(3)]
            """,
        )
        states = query(program.database, "select task_status_name, count(*) from status group by 1")
        until(lambda: not agents_of(program.spool), timeout_s=120)
        sent = Counter(sink.span_names())
        (program.spool / "lifecycle.db").unlink()
        flush = otel_parsl("flush", tmp_path / "runinfo")
        sent_by_flush = Counter(sink.span_names())

    five = ("pending", "launched", "running", "running_ended", "exec_done")
    assert dict(states) == dict.fromkeys(five, 3)
    assert "the spans of tasks and tries are switched off: DatabaseError: " in program.output
    assert sent == {"nothing": 3}, "the executions, which need nothing derived"
    assert (flush.code, flush.lines[-1]) == (0, "000: delivered")
    assert sent_by_flush == {"program.py": 1, "nothing": 9}
