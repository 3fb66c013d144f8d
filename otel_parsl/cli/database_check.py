"""Check whose a database is, and which journal its filesystem allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from otel_parsl.cli import words
from otel_parsl.cli.finding import Finding, Verdict
from otel_parsl.query.engine import Database, find_database, is_write_ahead, open_database
from otel_parsl.query.errors import DatabaseUnusable
from otel_parsl.query.runs import select_runs
from otel_parsl.schema import SCHEMA_VERSION

_SUBJECT = "database"


def check_database(given: str | None) -> Iterator[Finding]:
    """Yield what was found of the database that was named, or of the one that is here."""
    try:
        url = find_database(given)
    except DatabaseUnusable as error:
        yield _missing(given, error)
        if given is None:
            yield check_journal(Path.cwd() / "runinfo" / "monitoring.db")
        return
    try:
        owner = _owner(open_database(given))
    except DatabaseUnusable as error:
        owner = Finding(_SUBJECT, Verdict.BAD, str(error), _advice(url, error))
    yield owner
    if url.get_backend_name() == "sqlite":
        journal = check_journal(Path(url.database or ""))
        # No run of ours is about to open another program's file; a bad journal may be why one of
        # ours cannot be read.
        if owner.verdict is Verdict.OK or journal.verdict is Verdict.BAD:
            yield journal


def _advice(url: URL, error: DatabaseUnusable) -> str:
    """Return what to do where a server cannot be had; other errors say it themselves."""
    if url.get_backend_name() == "postgresql" and isinstance(error.__cause__, OperationalError):
        return "start the server, or mend user, password, host, port and name of the URL"
    return ""


def _missing(given: str | None, error: DatabaseUnusable) -> Finding:
    if given is not None:
        return Finding(_SUBJECT, Verdict.BAD, str(error))
    return Finding(_SUBJECT, Verdict.NOTE, str(error))


def _owner(database: Database) -> Finding:
    with database.read() as connection:
        runs = select_runs(connection, has_otel=database.has_otel)
    ours = sum(run.is_ours for run in runs)
    number = words.counted(len(runs), "run")
    if not database.has_otel:
        return Finding(
            _SUBJECT,
            Verdict.OK,
            f"{database.name} was written by Parsl's own hub: {number}",
            "OTelMonitoringHub can continue it: its tables are added by the next run",
        )
    found = f"{database.name} is one of ours, version {SCHEMA_VERSION}: {number}"
    if ours < len(runs):
        found += f", {len(runs) - ours} of them recorded by Parsl's own hub"
    return Finding(_SUBJECT, Verdict.OK, found)


def check_journal(path: Path) -> Finding:
    """
    Return which journal an SQLite file has, or would be given, and whether it may.

    Args:
        path: Of the file; it need not be there.
    """
    from otel_parsl_collector.store.engine import journal_mode
    from otel_parsl_collector.store.filesystem import filesystem

    kind, allowed = filesystem(path), journal_mode(path)
    advice = ""
    if allowed == "delete":
        where = f"{kind}, not known to be local, where a write-ahead log may not be safe"
    else:
        where = f"{kind}, where a write-ahead log is safe"
    if not path.exists():
        journal = "a rollback journal" if allowed == "delete" else "a write-ahead log"
        return Finding("journal", Verdict.OK, f"a database here would be on {where}: {journal}")
    try:
        has_log = is_write_ahead(path)
    except OSError as error:
        return Finding("journal", Verdict.WARNING, f"{path} cannot be read: {error.strerror}")
    journal = "a write-ahead log" if has_log else "a rollback journal"
    verdict = Verdict.OK
    if has_log and allowed == "delete":
        verdict = Verdict.BAD
        advice = f"when no run writes it: sqlite3 '{path}' 'PRAGMA journal_mode=DELETE'"
    elif not has_log and allowed == "wal":
        verdict = Verdict.NOTE
        advice = "none is needed: our hub turns a write-ahead log on when it next opens it"
    return Finding("journal", verdict, f"{path} is on {where}; it has {journal}", advice)
