"""
The stand-alone collector: the only place where components are joined.

Flow: receivers -> a stream of the spool for each pipeline -> a line for each exporter
Sinks are started first and sources stopped first, so what has been acknowledged is on disk
whenever the process ends.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from otel_parsl.spool import SEGMENT_BYTES, Place
from otel_parsl_collector.component import (
    Exporter,
    ExporterContext,
    ExtensionContext,
    ProcessorContext,
    ReceiverContext,
    Starts,
)
from otel_parsl_collector.config import Config, Named
from otel_parsl_collector.endpoint import check_exposure
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.exporter_line import ExporterLine, Line
from otel_parsl_collector.garbage import look_seldom
from otel_parsl_collector.http_page import HttpPage, Page
from otel_parsl_collector.janitor import Janitor
from otel_parsl_collector.processing import Processing, Step
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.routes import Route
from otel_parsl_collector.signals import BY_NAME
from otel_parsl_collector.spool_directory import SpoolDirectory, stream_name
from otel_parsl_collector.stats import Stats

logger = logging.getLogger(__name__)

_TICK_S = 0.5
_LOOK_S = 0.05
_OPENING_S = 2.0
"""How long the start waits for an exporter: what cannot be used for good is said by then."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}


class Service:
    """
    A collector.

    Args:
        config: What it is to do.
        is_insecure: Whether it may be reached by others unguarded.

    Raises:
        CollectorError: It cannot run so; nothing has been started.
    """

    def __init__(self, config: Config, *, is_insecure: bool) -> None:
        settings = config.service
        self._config = config
        self._is_insecure = is_insecure
        self._streams = {route.pipeline: stream_name(route.pipeline) for route in config.routes}
        self._pages: list[HttpPage] = []
        for endpoint in settings.telemetry.metrics.endpoints().values():
            check_exposure(
                "service.telemetry.metrics",
                endpoint,
                is_guarded=False,
                is_insecure=is_insecure,
                advice="this page has neither TLS nor a token",
            )
        self._extensions = {
            name: _make(named, ExtensionContext(name, self.troubles, is_insecure))
            for name, named in config.extensions.items()
        }
        self._authenticators = {
            name: extension
            for name, extension in self._extensions.items()
            if hasattr(extension, "is_known")
        }
        self.stats = Stats()
        max_bytes = settings.spool.max_size_mib << 20
        self._spool = SpoolDirectory(Path(settings.spool.directory), max_bytes=max_bytes)
        self._committer = Committer(
            self._spool.path,
            self._streams.values(),
            has_room=self._spool.has_room,
            guards=[
                guard(named.settings)
                for named in config.processors.values()
                if (guard := named.component.guard) is not None
            ],
            segment_bytes=min(SEGMENT_BYTES, max_bytes // 8),
        )
        self._lines = [self._line(name, named) for name, named in config.exporters.items()]
        self._janitor = Janitor(
            self._spool,
            tuple(self._streams.values()),
            self._lines,
            max_age_s=settings.spool.max_age,
        )
        self._receivers: dict[str, Starts] = {}
        try:
            for name, named in config.receivers.items():
                self._receivers[name] = _make(named, self._receiver_context(name))
        except CollectorError:
            self._close_spool()
            raise

    def start(self) -> None:
        """
        Start all, sinks first.

        Raises:
            CollectorError: Something cannot be used; all is stopped again.
        """
        try:
            self._start()
        except CollectorError:
            self.stop()
            raise

    def _start(self) -> None:
        for line in self._lines:
            line.start(wait_s=_OPENING_S)
        self._janitor.tidy()
        for stream, size in self._spool.strangers(self._streams.values()).items():
            logger.warning(
                "%s holds %d bytes of a pipeline that is not configured any more (%s): they wait",
                self._spool.path,
                size,
                stream,
            )
        for elsewhere, endpoint in self._config.service.telemetry.metrics.endpoints().items():
            self._pages.append(
                HttpPage(endpoint, "/metrics", self._metrics_page, elsewhere=elsewhere)
            )
        for extension in self._extensions.values():
            extension.start()
        for receiver in self._receivers.values():
            receiver.start()

    def watch(self, is_ending: threading.Event) -> None:
        """
        Keep the spool small until told to end.

        Raises:
            CollectorError: An exporter cannot be used, as was seen only now.
        """
        while not is_ending.wait(_TICK_S):
            for line in self._lines:
                if line.fatal is not None:
                    raise line.fatal
            self._tidy()

    def stop(self) -> None:
        """Stop sources first; exporters go on for a while with what has been taken."""
        for receiver in self._receivers.values():
            receiver.stop()
        self._committer.close()
        deadline = time.monotonic() + self._config.service.shutdown_timeout
        for line in self._lines:
            while not line.is_empty() and line.error is None and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
            line.stop()
            left_bytes = self._spool.bytes_behind(line.places())
            if left_bytes:
                logger.warning(
                    "%s: %d bytes are not delivered; they stay in %s and are delivered by the next"
                    " collector there",
                    line.name,
                    left_bytes,
                    self._spool.path,
                )
        for extension in self._extensions.values():
            extension.stop()
        for page in self._pages:
            page.stop()
        self._tidy()
        self._spool.close()

    def troubles(self) -> list[str]:
        """Return what does not run, a sentence each."""
        found = [
            f"exporter {line.name}: {line.error}" for line in self._lines if line.error is not None
        ]
        if not self._committer.is_running():
            found.append("the spool cannot be written")
        return found

    def addresses(self) -> dict[str, tuple[int, ...]]:
        """Return the ports of the receivers."""
        return {name: getattr(r, "ports", ()) for name, r in self._receivers.items()}

    def _line(self, name: str, named: Named) -> ExporterLine:
        routes = [route for route in self._config.routes if route.exporter == name]
        streams = [self._streams[route.pipeline] for route in routes]
        directory = self._spool.path / f"exporter-{name.replace('/', '-')}"
        directory.mkdir(exist_ok=True)
        processing = Processing(
            {self._streams[route.pipeline]: self._steps(route, directory) for route in routes},
            self.stats,
        )
        context = ExporterContext(
            name,
            self._spool.name,
            directory,
            self._authenticators,
            self._is_insecure,
            processing.commit,
        )
        create: partial[Exporter] = partial(_make, named, context)

        def newest() -> Mapping[str, Place]:
            return {stream: self._committer.place(stream) for stream in streams}

        is_store = named.component.is_store
        return ExporterLine(
            Line(
                name=name,
                create=create,
                newest=newest,
                is_store=is_store,
                processing=processing,
            ),
            self._spool,
            self.stats,
        )

    def _steps(self, route: Route, directory: Path) -> list[Step]:
        """Return what is done on a way, each with files of its own for what waits there."""
        steps = []
        for pipeline, kind, name in route.stations:
            named = getattr(self._config, kind)[name]
            passed = dict.fromkeys((self._streams[route.pipeline], stream_name(pipeline)))
            path = directory / "-".join([*passed, name.replace("/", "-")])
            steps.append(Step(name, partial(_make, named, ProcessorContext(name, path))))
        return steps

    def _tidy(self) -> None:
        try:
            self._janitor.tidy()
        except OSError as error:
            logger.warning("the spool cannot be tidied: %s", error)

    def _receiver_context(self, name: str) -> ReceiverContext:
        streams: dict[int, tuple[str, ...]] = {}
        for pipeline, settings in self._config.service.pipelines.items():
            if name in settings.receivers:
                number = BY_NAME[pipeline.partition("/")[0]].number
                streams[number] = (*streams.get(number, ()), self._streams[pipeline])
        return ReceiverContext(
            name, streams, self._committer, self.stats, self._authenticators, self._is_insecure
        )

    def _metrics_page(self) -> Page:
        return Page(200, "text/plain; version=0.0.4; charset=utf-8", self.stats.page())

    def _close_spool(self) -> None:
        self._committer.close()
        self._spool.close()


def _make(named: Named, context: Any) -> Any:
    return named.component.create(named.settings, context)


def run(config: Config, *, is_insecure: bool) -> int:
    """Run a collector until SIGTERM or SIGINT; return the exit code."""
    logging.basicConfig(
        stream=sys.stderr,
        level=_LEVELS.get(config.service.telemetry.logs.level, logging.ERROR),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    look_seldom()
    is_ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_ending.set())
    service = Service(config, is_insecure=is_insecure)
    service.start()
    logger.info("ready: %s", _where(config, service))
    try:
        service.watch(is_ending)
    finally:
        logger.info("ending")
        service.stop()
    logger.info("ended")
    return 0


def _where(config: Config, service: Service) -> str:
    ports = "; ".join(f"{name} on {ports}" for name, ports in service.addresses().items())
    exporters = ", ".join(config.exporters)
    return f"{ports}; to {exporters}; spool in {Path(config.service.spool.directory).absolute()}"
