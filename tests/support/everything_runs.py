"""
Run the program that has every shape, under either hub, once a test session each.

Test sessions that ``make`` starts side by side share what they need alike.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "e2e" / "programs" / "everything.py"
ZONE = timezone(timedelta(hours=5, minutes=45))
"""Where the program believes to be: a zone in which local time is never UTC by chance."""
_ZONE_VARIABLE = "<+0545>-5:45"
_TIMEOUT_S = 240
_SHARED = "OTEL_PARSL_TEST_RUNS"
"""Names the folder of the runs that sessions share, if there is one."""


@dataclass(frozen=True)
class EverythingRun:
    """Where one run of the program left its database, and when it ran."""

    url: str
    began: datetime
    """Naive local time of the program, as ``ended``."""
    ended: datetime
    printed: str
    """What the program wrote to standard error: what it waited for in vain."""

    @property
    def database(self) -> Path:
        """Give the file of an SQLite database."""
        return Path(self.url.removeprefix("sqlite:///"))


@cache
def everything_run(
    folder: Path,
    hub: str,
    name: str = "first",
    url: str | None = None,
    collector: str | None = None,
) -> EverythingRun:
    """
    Run the program as a script in a process of its own, once for equal arguments.

    Args:
        folder: Where the program gets a folder to run in.
        hub: ``parsl`` or ``otel``.
        name: Tells runs under one hub apart.
        url: SQLAlchemy's URL of the database, by default an SQLite file in the run's folder.
        collector: URL of the collector that keeps the database; by default the run itself does.

    Returns:
        The run, once the program has ended well.

    Raises:
        AssertionError: When the program fails; with all that it printed.
    """
    shared = os.environ.get(_SHARED)
    if shared is not None and url is None and collector is None:
        return _shared_run(Path(shared), hub, name)
    return _run(folder, hub, name, url, collector)


def _shared_run(folder: Path, hub: str, name: str) -> EverythingRun:
    """Return a run of this environment, made by whichever session needs it first."""
    folder /= hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]
    folder.mkdir(exist_ok=True)
    known = folder / f"{hub}-{name}.pickle"
    with (folder / f"{hub}-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            run = _run(folder, hub, name)
            known.write_bytes(pickle.dumps(run))
            return run
    found: EverythingRun = pickle.loads(known.read_bytes())
    return found


def _run(
    folder: Path, hub: str, name: str, url: str | None = None, collector: str | None = None
) -> EverythingRun:
    run_dir = Path(tempfile.mkdtemp(prefix=f"everything-{hub}-{name}-", dir=folder))
    command = [sys.executable, str(PROGRAM), "--hub", hub, "--run-dir", str(run_dir)]
    if url is not None:
        command += ["--db", url]
    if collector is not None:
        command += ["--collector", collector]
    # Parsl looks for interchange.py and process_worker_pool.py on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    began = datetime.now(ZONE)
    finished = subprocess.run(
        command,
        cwd=run_dir,
        env={**os.environ, "PATH": path, "TZ": _ZONE_VARIABLE, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    ended = datetime.now(ZONE)
    assert finished.returncode == 0, f"{run_dir}:\n{finished.stdout}\n{finished.stderr}"
    return EverythingRun(
        url=url or f"sqlite:///{run_dir}/monitoring.db",
        began=began.replace(tzinfo=None),
        ended=ended.replace(tzinfo=None),
        printed=finished.stderr,
    )
