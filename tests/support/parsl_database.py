"""What Parsl's own database manager writes for messages: the reference for ours."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parsl.monitoring.db_manager import Database, DatabaseManager


@contextmanager
def parsls_database(path: Path) -> Iterator[Database]:
    """
    Give Parsl's own end of a database, which it makes where there is none.

    Parsl reflects whatever tables it finds into metadata that all its databases share, and would
    make them in the next one too: they are taken out again.
    """
    metadata = Database.Base.metadata
    known = set(metadata.tables)
    database = Database(f"sqlite:///{path}")
    try:
        yield database
    finally:
        database.session.close()
        database.eng.dispose()
        for name in set(metadata.tables) - known:
            metadata.remove(metadata.tables[name])


def write_with_parsl(directory: Path, runs: Iterable[Sequence[tuple[Any, Any]]]) -> list[Path]:
    """
    Have a DatabaseManager of Parsl's write each run's messages into a new database.

    They work at once, since most of what each does is to wait for further messages.

    Args:
        directory: Where databases and logs go.
        runs: The messages of each run, as they stand on Parsl's queue: tag and content.

    Returns:
        The database of each run.
    """
    paths, threads = [], []
    for number, messages in enumerate(runs):
        path = directory / f"parsl-{number}.db"
        is_over = threading.Event()
        manager = DatabaseManager(
            db_url=f"sqlite:///{path}",
            run_dir=str(directory),
            exit_event=is_over,
        )
        waiting: queue.Queue[Any] = queue.Queue()
        for message in messages:
            waiting.put(copy.deepcopy(message))
        is_over.set()
        threads.append(threading.Thread(target=_serve, args=(manager, waiting)))
        paths.append(path)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return paths


def _serve(manager: DatabaseManager, waiting: queue.Queue[Any]) -> None:
    manager.start(waiting)
    manager.db.session.close()
    manager.db.eng.dispose()
