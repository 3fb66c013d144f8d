"""
Name the group that a failure belongs to.

Flow: fate, exception type, frame, message -> **fingerprints** -> store
Pure: no clock, no I/O.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

from otel_parsl.failures.message_template import PLACEHOLDER, template

# Whether a random id came out as <hex>, <id> or <number> depends on its letters, and whether a
# path was quoted on who wrote the message: groups must not.
_PLACEHOLDER: Final = re.compile(PLACEHOLDER)
# repr(OSError), which is all that Parsl's history has, leaves the file name out.
_ERRNO: Final = re.compile(r"(\[Errno -?\d+\] [^:]*): <>(?: -> <>)?$")


def fingerprint(
    *, fate: str, exception_type: str | None, frame: str | None, message: str | None
) -> str:
    """
    Name the group of a failure: alike in fate, type, place and wording, alike in name.

    Args:
        fate: A word of :class:`otel_parsl.failures.fates.Fate`.
        exception_type: Class name; its module does not count, since Parsl tells bare names.
        frame: What :func:`otel_parsl.failures.stack_frames.last_user_frame` says.
        message: The message or its template, which come to the same.

    Returns:
        16 hexadecimal digits, the same in every process and release of this package.
    """
    name = (exception_type or "").rpartition(".")[2]
    return _name_of_group(str(fate), name, frame or "", template(message or ""))


# Groups are few, and their failures many.
@functools.lru_cache(maxsize=1024)
def _name_of_group(fate: str, name: str, frame: str, wording: str) -> str:
    wording = _ERRNO.sub(r"\1", _PLACEHOLDER.sub("<>", wording))
    text = "\x1f".join((fate, name, frame, wording))
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()
