"""
What reading a monitoring database raises.

    OTelParslError
    └── QueryError
        ├── DatabaseUnusable   there is no database, or it cannot be read
        │   ├── DatabaseChanged    what was read is not of one moment: read again
        │   └── WrongDatabase      no monitoring database: name another
        └── NoSuchRun          a name stands for no run, no task, or for several runs
"""

from __future__ import annotations

from otel_parsl.errors import OTelParslError


class QueryError(OTelParslError):
    """A question cannot be answered; the message says why and what to do."""


class DatabaseUnusable(QueryError):
    """There is no database where one was looked for, or it cannot be read."""


class DatabaseChanged(DatabaseUnusable):
    """A program began to write while a file was read that nobody wrote to: read again."""


class WrongDatabase(DatabaseUnusable):
    """It is no monitoring database: another is to be named, and a command knows how it is told."""


class NoSuchRun(QueryError):
    """What was given names no run or task, or more than one run."""
