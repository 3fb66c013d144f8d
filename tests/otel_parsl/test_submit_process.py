"""Whether the program of a run lives, told on its own host and from another."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_parsl import rendezvous
from otel_parsl.leftovers import Undelivered, lock_spool, undelivered
from otel_parsl.submit_process import HEARTBEAT_LATE_S, is_alive, this_process


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"hub_started": 1.0}, False),
        ({"hub_pid": 2**22 + 1}, False),
        ({"hub_boot": "another"}, False),
        ({"hub_host": "login2.example.org"}, None),
        ({"hub_host": "login2.example.org", "hub_boot": "another"}, None),
    ],
)
def test_process_is_known_by_host_boot_id_and_start(
    change: dict[str, Any], expected: bool | None
) -> None:
    """A process of another host cannot be seen, one from before this host's last start is dead."""
    assert is_alive({**this_process(), **change}) is expected


def test_clock_that_is_set_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lives is known after a step of the clock, which psutil's times follow."""
    settings = this_process()
    boot_time = psutil.boot_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time + 3600)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + 3600, raising=False)
    assert is_alive(settings) is True


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError])
def test_process_that_ends_while_it_is_looked_at_is_gone(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """Its files may be gone, or say no more, just after it was found."""
    settings = this_process()

    def has_ended(_pid: int) -> int:
        raise error

    monkeypatch.setattr("otel_parsl.submit_process.start_ticks", has_ended)
    assert is_alive(settings) is False


def test_run_of_another_host_is_left_alone_while_its_agent_is_heard_of(tmp_path: Path) -> None:
    """On a shared filesystem a spool that another host's agent has written to lately is served,
    whatever process ids mean here; one that is silent for two minutes is abandoned."""
    found = {}
    for number, age_s in (("000", 0.0), ("001", HEARTBEAT_LATE_S + 10)):
        directory = tmp_path / number / "otel-parsl"
        directory.mkdir(parents=True)
        settings = {**this_process(), "hub_host": "login2.example.org", "hub_pid": 2**22 + 1}
        rendezvous.write(directory, rendezvous.SETTINGS, settings)
        spool = directory / "agent-000001.spool"
        spool.write_bytes(b"telemetry")
        os.utime(spool, (time.time() - age_s,) * 2)
        found[number] = directory

    assert undelivered(tmp_path) == Undelivered(abandoned=[found["001"]], served=[found["000"]])


def test_filesystem_without_locks_does_not_keep_the_agent_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that another agent holds is one; a filesystem that has none (Lustre) is no agent."""
    first = lock_spool(tmp_path)
    assert first is not None
    assert lock_spool(tmp_path) is None
    first.close()

    def no_locks(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    without = lock_spool(tmp_path)
    assert without is not None
    without.close()
