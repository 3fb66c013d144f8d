"""
Run Parsl's own monitoring tests with our hub in MonitoringHub's place.

They are in Parsl's wheel and need an older pytest, so they get an environment of their own, kept in
the user's cache and made anew when Parsl or our dependencies change.
The ``_wq`` and ``_tv`` cases need packages that are not on PyPI and are left out.

    python tests/parsl_own/run.py [--without-logs] [--timed | --untimed] [pytest arguments]

``--without-logs``: a collector keeps the databases, and makes the rows of spans and metrics alone.
``--timed``: only those that fail on a busy machine; ``--untimed``: only the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WITHOUT_LOGS = "--without-logs"
TIMED, UNTIMED = "--timed", "--untimed"
GIVES_TWO_SECONDS = "test_exit_helper"
"""Of Parsl's helper that ends processes: gives one two seconds to start."""
REQUIREMENTS = ("pytest<8", "networkx", "parsl[monitoring,visualization]")


def environment() -> Path:
    """Return the interpreter of an environment with Parsl, its tests' needs and otel-parsl."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-parsl"
    needs = (ROOT / "pyproject.toml").read_bytes() + str((ROOT, REQUIREMENTS, sys.version)).encode()
    folder = cache / f"parsl-tests-{hashlib.sha256(needs).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "parsl-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # both kinds of run may begin at once
        if not (folder / "installed").exists():
            print(f"making an environment for Parsl's own tests in {folder}", flush=True)
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, *REQUIREMENTS, "--editable", str(ROOT)], check=True)
            (folder / "installed").touch()
    return python


def main() -> int:
    """Run the tests and return pytest's exit code."""
    python = environment()
    found = subprocess.run(
        [python, "-c", "import os, parsl; print(os.path.dirname(parsl.__file__))"],
        check=True,
        capture_output=True,
        text=True,
    )
    tests = Path(found.stdout.strip()) / "tests"
    options = {WITHOUT_LOGS, TIMED, UNTIMED} & set(sys.argv)
    arguments = [argument for argument in sys.argv[1:] if argument not in options]
    plugin = "ours_without_logs" if WITHOUT_LOGS in options else "ours_in_place"
    variables = {
        **os.environ,
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
    }
    command = [str(python), "-m", "pytest", "-p", plugin, f"{tests}/test_monitoring/"]
    wanted = [GIVES_TWO_SECONDS] if TIMED in options else []
    left_out = ["_wq", "_tv"]
    if UNTIMED in options:
        left_out.append(GIVES_TWO_SECONDS)
    chosen = " and ".join([*wanted, *(f"not {name}" for name in left_out)])
    command += ["--config", "local", "-k", chosen]
    command += ["-c", os.devnull, "--rootdir", str(tests), "-q", *arguments]
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(command, cwd=directory, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
