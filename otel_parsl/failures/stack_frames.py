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
# Workers send the last 16 KiB; the cache below must not hold more of what others send.
_STACK_LIMIT: Final = 32_768


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
    Where nothing of it is left, the innermost frame is named, whose ever it is.

    Returns:
        None where the text has no frame at all.
    """
    frame = find_user_frame(stacktrace)
    if frame is None and stacktrace:
        innermost = next(_frames_from_last(stacktrace), None)
        frame = None if innermost is None else _user_frame(innermost)
    return None if frame is None else frame.key


def find_user_frame(stacktrace: str | None) -> UserFrame | None:
    """
    Find the innermost frame in the user's code.

    Frames of Parsl, of this package, of pickling, of the standard library and of installed
    packages are passed over; those of the last exception go before those of its causes.
    Where nothing else is left, an app that is itself an installed package counts as the user's.

    Returns:
        None where no frame is the user's.
    """
    return _find_user_frame(_without_message(stacktrace)) if stacktrace else None


# The failures of a group share their stack, but for the message at its end.
@functools.lru_cache(maxsize=256)
def _find_user_frame(stack: str) -> UserFrame | None:
    passed = []
    for frame in _frames_from_last(stack):
        if _is_users(frame[1]):
            return _user_frame(frame)
        passed.append(frame)
    innermost = _innermost_of_the_app(passed)
    return None if innermost is None else _user_frame(innermost)


def _without_message(stacktrace: str) -> str:
    stacktrace = stacktrace[-_STACK_LIMIT:]
    end = stacktrace.find("\n", stacktrace.rfind('File "'))
    return stacktrace if end < 0 else stacktrace[:end]


def find_app_frame(stacktrace: str | None) -> UserFrame | None:
    """
    Find the outermost frame in the user's code: the app's function.

    An app that ran out of time may have been anywhere; this is the same wherever it was.

    Returns:
        None where no frame is the user's.
    """
    if not stacktrace:
        return None
    users = [frame for frame in _frames_of_last_exception(stacktrace) if _is_users(frame[1])]
    return _user_frame(users[-1]) if users else find_user_frame(stacktrace)


def has_user_frame(stacktrace: str) -> bool:
    """Tell whether the last exception of a stack trace went through the user's own code."""
    return any(_is_users(frame[1]) for frame in _frames_of_last_exception(stacktrace))


def _frames_of_last_exception(stacktrace: str) -> Iterator[re.Match[str]]:
    start = stacktrace.rfind(_BLOCK)
    return (frame for frame in _frames_from_last(stacktrace) if frame.start() > start)


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
