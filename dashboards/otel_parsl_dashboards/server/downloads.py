"""Files that are made while they are sent, behind the token as the pages are."""

from __future__ import annotations

import logging
import re
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError

from otel_parsl.query.errors import DatabaseUnusable, NoSuchRun
from otel_parsl_dashboards.pages.task_csv import open_csv
from otel_parsl_dashboards.server.handlers import Guard

_log = logging.getLogger(__name__)

ROUTE = r"/workflow/([^/]+)/tasks\.csv"


class TaskCsvHandler(Guard):
    """Sends the tasks of a run that the query asks for, as a page of the list does."""

    async def get(self, given: str) -> None:
        """Send the file; one that breaks off is seen to, by whoever reads it."""
        run_id = unquote(given)
        query = {
            name: values[-1].decode("utf-8", "replace")
            for name, values in self.request.query_arguments.items()
        }
        aside = partial(IOLoop.current().run_in_executor, None)
        library = self.settings["otel_parsl_library"]
        try:
            pieces = await aside(open_csv, library, run_id, query)
        except NoSuchRun as error:
            self.answer(HTTPStatus.NOT_FOUND, "Not found", str(error))
            return
        except DatabaseUnusable as error:
            self.answer(
                HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be read", str(error), again_s=3
            )
            return
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        name = re.sub(r"[^\w.-]", "_", f"tasks-{run_id}.csv", flags=re.ASCII)
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        try:
            await self._send(aside, pieces)
        except StreamClosedError:
            _log.debug("whoever asked for %s has gone", self.request.path)
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.exception("%s was broken off", self.request.path)
            # Ended in order, half a file would look like all of it.
            self.detach().close()

    async def _send(self, aside: Any, pieces: Any) -> None:
        while (piece := await aside(next, pieces, None)) is not None:
            self.write(piece)
            await self.flush()
