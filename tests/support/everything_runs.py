"""Run the program that has every shape, under either hub, once a test session each."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

from tests.support.made_once import made_once

PROGRAM = Path(__file__).parents[1] / "e2e" / "programs" / "everything.py"
ZONE = timezone(timedelta(hours=5, minutes=45))
"""Where the program believes to be: a zone in which local time is never UTC by chance."""
_ZONE_VARIABLE = "<+0545>-5:45"
_TIMEOUT_S = 240


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


def everything_run(
    folder: Path,
    hub: str,
    name: str = "first",
    url: str | None = None,
    collector: str | None = None,
) -> EverythingRun:
    """
    Run the program as a script in a process of its own, once where the database is its own.

    Args:
        folder: Where the program gets a folder to run in, unless sessions share one.
        hub: ``parsl`` or ``otel``.
        name: Tells runs under one hub apart.
        url: SQLAlchemy's URL of the database, by default an SQLite file in the run's folder.
        collector: URL of the collector that keeps the database; by default the run itself does.

    Returns:
        The run, once the program has ended well.

    Raises:
        AssertionError: When the program fails; with all that it printed.
    """
    run = partial(_run, hub=hub, url=url, collector=collector)
    if url is None:
        return made_once(f"everything-{hub}-{name}", folder, run)
    run_dir = folder / f"everything-{hub}-{name}"
    run_dir.mkdir()
    return run(run_dir)


def _run(run_dir: Path, *, hub: str, url: str | None, collector: str | None) -> EverythingRun:
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
