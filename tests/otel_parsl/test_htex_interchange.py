"""The interchange that stands in for Parsl's: it says the same of managers, at less length."""

from __future__ import annotations

import datetime
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from parsl.executors.high_throughput import interchange as parsls
from parsl.monitoring.message_type import MessageType

from otel_parsl import htex_interchange
from tests.support.parsl_messages import RUN_ID


class _Radio:
    """Keeps what it is given to send."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: object) -> None:
        self.sent.append(message)


def _manager() -> dict[str, Any]:
    return {
        "uid": "b3c1",
        "block_id": "0",
        "hostname": "node1",
        "tasks": [3, 4],
        "worker_count": 2,
        "cpu_count": 4,
        "total_memory": 1 << 34,
        "active": True,
        "python_v": "3.11.7",
        "last_heartbeat": time.time(),
        "packages": {"parsl": "2026.10.26"},
        "of a newer Parsl": 1,
    }


def _report_by(kind: type[Any], manager: dict[str, Any], radio: _Radio | None) -> None:
    made = kind.__new__(kind)
    made.run_id = RUN_ID
    made._send_monitoring_info(radio, manager)


def test_reports_are_parsls_without_packages(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else Parsl's interchange says of a manager is said, and its record left as it is."""
    theirs, ours, manager = _Radio(), _Radio(), _manager()
    before = manager.copy()
    _report_by(parsls.Interchange, manager, theirs)
    caplog.clear()
    with caplog.at_level(logging.INFO, parsls.logger.name):
        _report_by(htex_interchange.Interchange, manager, ours)

    assert manager == before
    assert caplog.messages == []
    (tag, said), (their_tag, expected) = ours.sent[0], theirs.sent[0]
    assert (tag, their_tag) == (MessageType.NODE_INFO, MessageType.NODE_INFO)
    assert expected.pop("packages") == {"parsl": "2026.10.26"}
    assert abs(said.pop("timestamp") - expected.pop("timestamp")) < datetime.timedelta(minutes=1)
    assert said == expected


def test_an_interchange_without_monitoring_reports_nothing() -> None:
    """It has no radio then."""
    _report_by(htex_interchange.Interchange, _manager(), None)


@pytest.mark.parametrize("lacks", ["its last lines", "what reports managers"])
def test_an_interchange_that_is_not_as_expected_runs_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lacks: str,
) -> None:
    """A Parsl to come may begin it otherwise: a workflow depends on it, and monitoring less so."""
    path = tmp_path / "interchange.py"
    lines = [
        "class Interchange: ...",
        "if __name__ == '__main__': print('Parsl itself', Interchange)",
    ]
    if lacks == "its last lines":
        lines.append("done = True")
    else:
        monkeypatch.delattr(parsls.Interchange, "_send_monitoring_info")
    path.write_text("\n".join(lines))
    monkeypatch.setattr(parsls, "__file__", str(path))

    htex_interchange.main()

    assert capsys.readouterr().out == "Parsl itself <class '__main__.Interchange'>\n"
