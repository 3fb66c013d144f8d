"""
Find the user's own code in the text of a stack trace.

Flow: stack trace as recorded -> **stack_frames** -> fates, failures
Pure: no clock, no I/O.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_BLOCK: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'File "([^"\n]+)", line (\d{1,9}), in ([^\n]+)')

_INSTALLED: Final = re.compile(r"/(?:site|dist)-packages/([^/]+)")
# Parsl may be run from a checkout; its scripts lie in bin/.
_MACHINERY: Final = re.compile(
    r"/lib(?:64)?/(?:python3[.\dt]*|pypy3[.\d]*)/|/python3\d+\.zip/"
    r"|/(?:site|dist)-packages/"
    r"|/parsl/(?:app/(?:app|bash|errors|python)\.py|(?:concurrent|data_provider|dataflow|executors"
    r"|monitoring|serialize)/|utils\.py)"
    r"|(?<!/tests)/otel_parsl(?:_collector)?/"
    r"|/(?:process_worker_pool|interchange|exec_parsl_function)\.py$"
)
_MACHINERY_PACKAGES: Final = frozenset(
    {"parsl", "otel_parsl", "otel_parsl_collector", "dill", "cloudpickle", "tblib", "typeguard"}
)
# A notebook's cells are files named by a hash that changes with every edit.
_NOTEBOOK_CELL: Final = re.compile(r"/ipykernel_\d+/[^/]+$|^<ipython-input-")
_KEY_LIMIT: Final = 200


class UserFrame(NamedTuple):
    """A place in the code."""

    file: str
    """File name without its folders, which differ between hosts; ``<cell>`` in a notebook."""
    function: str
    line: int

    @property
    def key(self) -> str:
        """What names the place in a fingerprint: an edit elsewhere in the file keeps it."""
        return f"{self.file}:{self.function}"[:_KEY_LIMIT]


def last_user_frame(stacktrace: str | None) -> str | None:
    """
    Name the innermost frame in the user's code, as ``file.py:function``.

    See :func:`find_user_frame` for what counts as the user's.

    Returns:
        None where the text has no frame at all.
    """
    frame = find_user_frame(stacktrace)
    return None if frame is None else frame.key


def find_user_frame(stacktrace: str | None) -> UserFrame | None:
    """
    Find the innermost frame in the user's code.

    Frames of Parsl, of this package, of pickling, of the standard library and of installed
    packages are passed over; those of the last exception go before those of its causes.
    Where nothing else is left, an app that is itself an installed package counts as the user's,
    and at the very last the innermost frame is taken, whose ever it is.

    Returns:
        None where the text has no frame at all.
    """
    if not stacktrace:
        return None
    passed = []
    for frame in _frames_from_last(stacktrace):
        if _is_users(frame[1]):
            return _user_frame(frame)
        passed.append(frame)
    if not passed:
        return None
    start = stacktrace.rfind(_BLOCK)
    of_last_exception = [frame for frame in passed if frame.start() > start] or passed
    return _user_frame(_innermost_of_the_app(of_last_exception) or of_last_exception[0])


def app_frame(stacktrace: str | None) -> str | None:
    """
    Name the outermost frame in the user's code: the app's function.

    An app that ran out of time may have been anywhere; this is the same wherever it was.
    """
    if not stacktrace:
        return None
    start = stacktrace.rfind(_BLOCK)
    users = [
        frame
        for frame in _frames_from_last(stacktrace)
        if frame.start() > start and _is_users(frame[1])
    ]
    return _user_frame(users[-1]).key if users else last_user_frame(stacktrace)


def has_user_frame(stacktrace: str) -> bool:
    """Tell whether the last exception of a stack trace went through the user's own code."""
    start = stacktrace.rfind(_BLOCK)
    return any(
        _is_users(frame[1]) for frame in _frames_from_last(stacktrace) if frame.start() > start
    )


def _frames_from_last(stacktrace: str) -> Iterator[re.Match[str]]:
    # Backwards and by plain search: the last frames are the ones wanted, of up to 16 KiB.
    at = stacktrace.rfind('File "')
    while at >= 0:
        line_start = stacktrace.rfind("\n", 0, at) + 1
        # Groups of exceptions are drawn with a margin of "|".
        if not stacktrace[line_start:at].strip(" |"):
            frame = _FRAME.match(stacktrace, at)
            if frame is not None:
                yield frame
        at = stacktrace.rfind('File "', 0, at)


def _user_frame(frame: re.Match[str]) -> UserFrame:
    path = frame[1]
    file = "<cell>" if _NOTEBOOK_CELL.search(path) else path.replace("\\", "/").rpartition("/")[2]
    return UserFrame(file, frame[3].strip(), int(frame[2]))


def _is_users(path: str) -> bool:
    return _is_path_of_users(path) if len(path) < 1024 else False


@functools.lru_cache(maxsize=512)
def _is_path_of_users(path: str) -> bool:
    if path.startswith("<"):
        return path.startswith(("<ipython-input-", "<stdin>"))
    return _MACHINERY.search(path.replace("\\", "/")) is None


def _innermost_of_the_app(frames: list[re.Match[str]]) -> re.Match[str] | None:
    packages = [_package(frame[1]) for frame in frames]
    apps = [name for name in packages if name and name not in _MACHINERY_PACKAGES]
    return frames[packages.index(apps[-1])] if apps else None


def _package(path: str) -> str | None:
    found = _INSTALLED.search(path.replace("\\", "/"))
    return found[1].removesuffix(".py") if found else None
