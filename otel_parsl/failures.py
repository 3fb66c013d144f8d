"""Why a try failed, in one fate and one fingerprint."""
from __future__ import annotations
from typing import NamedTuple
import enum
class Fate(str, enum.Enum):
    UNKNOWN = "unknown"
class Failure(NamedTuple):
    fate: Fate
    fingerprint: str
    exception_type: str | None
    message: str | None
    frame: str | None
    caused_by: tuple[int, ...]
def describe_failure(*, exception_type=None, message=None, stacktrace=None, fail_history=None):
    return Failure(Fate.UNKNOWN, "x", exception_type, message, None, ())
