"""Run a throw-away PostgreSQL cluster and hand out fresh databases on it."""

from __future__ import annotations

import getpass
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql
from typing_extensions import Self

from tests.backends import catalogue
from tests.support.server_process import ServerFailed, ServerProcess, account_options

UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")


class Postgres(ServerProcess):
    """
    PostgreSQL with a cluster of its own, on a loopback port and with a random password.

    The cluster lives as long as the `with` block, whatever `stop`, `kill` and `start` do within.

    Args:
        directory: Where its log goes.

    Raises:
        BackendMissing: When PostgreSQL is not installed.
    """

    name = "postgres"
    ready_line = "database system is ready to accept connections"
    port_count = 1
    # "Fast": clients are cut off instead of waited for.
    stop_signal = signal.SIGINT
    # "Immediate", which is a crash too; SIGKILL would leave its children in the way of a restart.
    kill_signal = signal.SIGQUIT

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._initdb = catalogue.require(catalogue.POSTGRES)
        self.user = _unprivileged_account()
        self.role = self.user or getpass.getuser()
        self._password = secrets.token_hex(16)
        self._root = Path()

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the cluster's own database; `database` gives one to write in."""
        return self._url("postgres")

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, yield its SQLAlchemy URL, and drop it, connections and all."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self._url(name)
        finally:
            self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def command(self) -> list[str]:
        """Return the command line of the server itself, which stays in the foreground."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.ports[0]),
            "unix_socket_directories": "",
            # A killed server loses nothing by this; only a power cut would.
            "fsync": "off",
            "full_page_writes": "off",
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._initdb.with_name("postgres")), "-D", str(self._data), *arguments]

    def __enter__(self) -> Self:
        # Not in `directory`: pytest's folders are closed to the account that the server runs as.
        self._root = Path(tempfile.mkdtemp(prefix="otel-parsl-postgres-"))
        try:
            self._make_cluster()
            return super().__enter__()
        except BaseException:
            shutil.rmtree(self._root)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            shutil.rmtree(self._root)

    @property
    def _data(self) -> Path:
        return self._root / "data"

    def _make_cluster(self) -> None:
        password_file = self._root / "password"
        password_file.write_text(self._password)
        if self.user is not None:
            shutil.chown(self._root, self.user)
            shutil.chown(password_file, self.user)
        made = subprocess.run(
            [
                *(str(self._initdb), "--pgdata", str(self._data), "--username", self.role),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **account_options(self.user),
        )
        password_file.unlink()
        if made.returncode != 0:
            raise ServerFailed(f"initdb as {self.role} failed: {made.stdout}{made.stderr}")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.role}:{self._password}@127.0.0.1:{self.ports[0]}/{database}"

    def _administer(self, statement: sql.Composed) -> None:
        conninfo = self.url.replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)


def _unprivileged_account() -> str | None:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    return next(name for name in UNPRIVILEGED_ACCOUNTS if name in known)
