"""The agent that a hub starts, where it cannot be started yet."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from otel_parsl import rendezvous
from otel_parsl.spool import Place
from otel_parsl.submit import embedded


def test_agent_waits_for_room_and_has_not_ended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that is full for long it is begun as soon as there is room, and is not blamed."""
    started: list[Path] = []
    write = rendezvous.write_bytes

    def full(*_arguments: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Process:
        pid = 1

        def poll(self) -> None:
            """It lives."""

        def wait(self) -> None:
            """It is not waited for."""

    def start(directory: Path) -> Process:
        started.append(directory)
        return Process()

    monkeypatch.setattr(embedded, "start_agent", start)
    monkeypatch.setattr(embedded, "_RESTART_S", 0.0)
    monkeypatch.setattr(rendezvous, "write_bytes", full)
    agent = embedded.EmbeddedAgent(tmp_path, {rendezvous.SETTINGS: b"{}"})
    for _ in range(9):
        agent.revive()
    assert (started, agent.pid) == ([], None)
    monkeypatch.setattr(rendezvous, "write_bytes", write)
    agent.revive()
    agent.revive()
    assert started == [tmp_path]
    left = agent.finish(Place(), timeout_s=0.05)
    assert left == "it is still being written; the agent (process 1) goes on"
