"""Make what takes long once, also for test sessions that ``make`` starts side by side."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
_SHARED = "OTEL_PARSL_TEST_SHARED"
"""Names the folder that sessions share, if there is one."""


def made_once(name: str, folder: Path, make: Callable[[Path], Result]) -> Result:
    """
    Return what was made under a name, by whichever session of this environment needs it first.

    Args:
        name: What it is, as a file may be named.
        folder: Where it is kept if sessions share nothing.
        make: Makes it in an empty folder; nobody is to change it afterwards.
    """
    if _SHARED in os.environ:
        environment = hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]
        folder = Path(os.environ[_SHARED]) / environment
        folder.mkdir(exist_ok=True)
    known = folder / f"{name}.pickle"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            made = make(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder)))
            known.write_bytes(pickle.dumps(made))
    found: Result = pickle.loads(known.read_bytes())
    return found
