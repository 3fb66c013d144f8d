"""
Open a database for writing: SQLite with the journal its filesystem allows, or PostgreSQL.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.schema import CreateColumn

from otel_parsl.database_driver import NoDriver, with_driver
from otel_parsl.schema import (
    DATABASES,
    NODE_ONCE,
    OTEL_TABLES,
    PAGE_INDEXES,
    PARSL_TABLES,
    SCHEMA_VERSION,
    metadata,
    node,
    otel_schema,
)
from otel_parsl_collector.errors import StoreError
from otel_parsl_collector.store.filesystem import filesystem, is_local

logger = logging.getLogger(__name__)

BUSY_S = 5
"""How long SQLite waits for a lock before the writer's own, longer retries."""


def open_store(url: str) -> Engine:
    """
    Return an engine on a database that has all tables.

    Args:
        url: An SQLAlchemy URL.

    Raises:
        StoreError: The URL cannot be used, or the database is of a newer version.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() not in DATABASES:
        raise StoreError(
            f"store {parsed.render_as_string()}: no such kind of database;"
            " expected sqlite:/// or postgresql+psycopg://"
        )
    try:
        usable = with_driver(parsed)
    except NoDriver as error:
        raise StoreError(f"store {error}") from error
    engine = create_engine(usable, **_arguments(parsed.get_backend_name()))
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, parsed.database)
    try:
        _create_tables(engine)
    except OperationalError:
        raise
    except DatabaseError as error:
        raise StoreError(
            f"store {parsed.render_as_string()}: {error.orig}; expected a database of Parsl's or"
            " of ours, or none yet. Name another"
        ) from error
    return engine


def journal_mode(path: Path) -> str:
    """
    Return the journal that a database at this path may use: ``wal`` or ``delete``.

    A write-ahead log needs memory shared between processes, which network filesystems do not give
    (https://www.sqlite.org/wal.html), so only those known to be local have one.
    """
    return "wal" if is_local(path) else "delete"


def _arguments(backend: str) -> dict[str, Any]:
    if backend == "sqlite":
        return {"connect_args": {"timeout": BUSY_S, "check_same_thread": False}}
    return {"pool_pre_ping": True}


def _prepare_sqlite(engine: Engine, database: str | None) -> None:
    path = Path(database) if database else None
    mode = "memory" if path is None or database == ":memory:" else journal_mode(path)
    if mode == "delete":
        logger.info(
            "%s is on %s, which is not known to be a local filesystem: using a rollback journal",
            path,
            filesystem(path or Path()),
        )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by the writer, as IMMEDIATE
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode={mode}")
        cursor.execute("PRAGMA synchronous=FULL")  # what is stored leaves the spool
        cursor.execute("PRAGMA cache_size=-16000")
        cursor.execute("PRAGMA wal_autocheckpoint=4000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Several agents may come at once, and CREATE TABLE IF NOT EXISTS can still collide.
            connection.execute(text("SELECT pg_advisory_xact_lock(7305017326)"))
        present = set(inspect(connection).get_table_names())
        if otel_schema.name in present:
            version = connection.execute(otel_schema.select()).scalar()
            if version == SCHEMA_VERSION:
                return
            if version is not None and version < SCHEMA_VERSION:
                _upgrade(connection, version)
                return
            if version is not None:
                raise StoreError(
                    f"store {engine.url.render_as_string()}: its otel_ tables have version"
                    f" {version}, this program has {SCHEMA_VERSION}."
                    " Upgrade with: pip install --upgrade otel-parsl; or name another database"
                )
        was_parsls = {table.name for table in PARSL_TABLES} <= present
        metadata.create_all(connection, tables=[*PARSL_TABLES, *OTEL_TABLES], checkfirst=True)
        indexes = {index["name"] for index in inspect(connection).get_indexes("task")}
        if not was_parsls:
            for index in PAGE_INDEXES:
                if index.name not in indexes:
                    index.create(connection, checkfirst=True)
        _create_node_index(connection)
        connection.execute(otel_schema.insert().values(version=SCHEMA_VERSION))


def _upgrade(connection: Connection, version: int) -> None:
    """Add what our tables have had since: an older program reads and writes them as before."""
    for table in OTEL_TABLES:
        if table.info.get("since", 1) > version:
            table.create(connection, checkfirst=True)
            continue
        for column in table.c:
            if column.info.get("since", 1) > version:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
    connection.execute(otel_schema.update().values(version=SCHEMA_VERSION))
    logger.info("our tables are of version %d now; they were of %d", SCHEMA_VERSION, version)


def _create_node_index(connection: Any) -> None:
    """Make each manager's report unique; rows that Parsl has written before stay as they are."""
    last = connection.execute(node.select().order_by(node.c.id.desc()).limit(1)).first()
    where = "" if last is None else f" WHERE id > {int(last.id)}"
    connection.execute(
        text(
            f"CREATE UNIQUE INDEX IF NOT EXISTS {NODE_ONCE.name}"
            f" ON node (run_id, uid, timestamp){where}"
        )
    )
