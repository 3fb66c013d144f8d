"""
The agent: the collector embedded in a run, a process beside the DataFlowKernel's.

It tails what the hub spools, receives what HTEX's interchange and the workers send while tries
run, stores all of it, derives the hub's spans where a destination wants them, and forwards.
It outlives a killed DataFlowKernel and closes the run.

    python -m otel_parsl_collector.agent DIRECTORY
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from otel_parsl import __version__, rendezvous, semconv, wire
from otel_parsl.identity import run_key, span_id
from otel_parsl.leftovers import is_running, lock_spool
from otel_parsl.rendezvous import SUBMIT
from otel_parsl.seldom import Seldom
from otel_parsl.spool import Frame, Place, SpoolWriter, frame
from otel_parsl.spool_room import MAX_MIB
from otel_parsl_collector.direct_receiver import DirectReceiver, listening_host
from otel_parsl_collector.directory_watch import DirectoryWatch
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.errors import CollectorError, StoreError
from otel_parsl_collector.exporters.forwarding import Forwarding
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Destination, Unavailable
from otel_parsl_collector.exporters.parsl_sql import KeepingStore, ParslSqlExporter
from otel_parsl_collector.exporters.refused_file import RefusedFile
from otel_parsl_collector.exporters.task_sampling import Rule
from otel_parsl_collector.pump import Pump
from otel_parsl_collector.receivers.htex_zmq import HtexReceiver, Socket
from otel_parsl_collector.run_spool import STORED, STREAMS, Carrier, RunSpool
from otel_parsl_collector.site_store import SiteStore

logger = logging.getLogger(__name__)

NICE = 5
TICK_S = 0.05
HUB_CHECK_S = 1.0
TORN_S = 1.0
SAY_S = 0.25
RECEIVER_AGAIN_S = 10.0
HEARTBEAT_S = 15.0
SAY_AGAIN_S = 5.0
"""How long to wait where something could not be said."""
MEASURE_S = 60.0
"""How often a run in which nothing happens says its metrics again."""
LINGER_S = 60.0
"""How long it goes on sending after the store is complete; where a site's collector keeps the
database, after that has taken anything."""
LOST_SEQUENCE = 1 << 52
"""Of the event that ends a run whose own process can say no more: after all of that one's."""
_STORE_DELAY_S = 0.5


class Agent:
    """
    The agent of one run.

    Args:
        directory: The run's spool; ``rendezvous.SETTINGS`` there says the rest.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._settings: dict[str, Any] = rendezvous.read(directory, rendezvous.SETTINGS)
        self._receivers: dict[str, HtexReceiver] = {}
        self._store: KeepingStore | SiteStore | None = None
        collector = self._settings.get("collector")
        store_streams = STORED if collector is None else STREAMS
        self._store_carrier = Carrier("store", store_streams, is_store=True)
        self._lifecycle_carrier = Carrier("lifecycle", STORED)
        self._carriers = [
            Carrier(f"forward-{number}", STREAMS)
            for number, _ in enumerate(self._settings["destinations"])
        ]
        self._spool = RunSpool(
            directory,
            (self._store_carrier, self._lifecycle_carrier, *self._carriers),
            max_bytes=self._settings.get("spool_max_bytes", MAX_MIB << 20),
        )
        self._store_pump: Pump | None = None
        self._store_error: str | None = None
        self._damaged = 0
        self._forwarders: list[tuple[Forwarding, Pump]] = []
        self._lifecycle: Pump | None = None
        self._measure: Callable[[], None] = lambda: None
        self._have_managers_ended = False
        self._run: tuple[bytes, ...] | None = None
        self._run_id: str | None = None
        status = rendezvous.read(directory, rendezvous.STATUS)
        self._is_released = bool(status and status["is_released"])  # by an agent before this one
        self._direct: DirectReceiver | None = None
        self._store_carrier.is_done = self._is_released
        self._lifecycle_carrier.is_done = not self._carriers and collector is None
        self._unsaid = Seldom(logger, logging.WARNING)
        self._refused_until = 0.0
        self._moved_at = time.monotonic()
        self._said: Any = None
        self._due_at: dict[str, float] = {}
        self._watch = DirectoryWatch(directory)
        self._read_at: dict[str, int] = {}

    def run(self) -> None:
        """Serve the run until it is over and everything is delivered, or cannot be for now."""
        self._start_forwarding()
        closing = None
        while True:
            has_changed = self._watch.has_changed()
            if has_changed:
                self._bind_sockets()
                closing = closing or self._changed(rendezvous.CLOSING)
            if closing is None and (has_changed or self._is_due("receiver", RECEIVER_AGAIN_S)):
                self._receive()
            if self._store_pump is None and not self._is_released:
                self._open_store()
            if closing is None and self._is_due("hub", HUB_CHECK_S) and not self._hub_is_alive():
                closing = self._try_to_close_lost_run()
            if closing is None:
                self._moved_at = time.monotonic()
                self._say_now_and_then()
            if closing is not None and not self._is_released:
                self._release(Place(*closing["place"]))
            self._check_pumps()
            if self._is_due("say", SAY_S) or self._is_released:
                self._say()
                self._tidy(is_over=closing is not None)
            if closing is not None and self._is_done():
                break
            time.sleep(TICK_S)
        self._stop()

    def _is_done(self) -> bool:
        """Tell whether all is delivered, or what is left has been waited for long enough."""
        if self._is_released and self._is_forwarded():
            return True
        is_given_up = time.monotonic() - self._moved_at > LINGER_S
        return is_given_up and (self._is_released or isinstance(self._store, SiteStore))

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due_at.get(what, 0.0):
            return False
        self._due_at[what] = now + every_s
        return True

    def _changed(self, name: str) -> Any:
        """Return a file of the hub's if it is new since the last call, else None."""
        try:
            written_ns = (self._directory / name).stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if written_ns == self._read_at.get(name):
            return None
        self._read_at[name] = written_ns
        return rendezvous.read(self._directory, name)

    def _pumps(self) -> list[Pump]:
        pumps = [self._store_pump, self._lifecycle, *(pump for _, pump in self._forwarders)]
        return [pump for pump in pumps if pump is not None]

    def _check_pumps(self) -> None:
        """End with the error of a pump that has one, so that the hub starts a new agent."""
        for pump in self._pumps():
            if pump.failure is not None:
                raise pump.failure

    def _open_store(self) -> None:
        collector = self._settings.get("collector")
        if collector is None:
            self._open_database()
        else:
            self._open_site_store(SiteStore(_destination(collector), self._directory))

    def _open_site_store(self, store: SiteStore) -> None:
        def consume(frames: list[Frame], places: Mapping[str, Place]) -> None:
            store.consume(frames, places)
            self._moved_at = time.monotonic()

        self._store = store
        self._store_pump = Pump(
            "store",
            self._directory,
            {stream: Place() for stream in STREAMS} | dict(store.places()),
            consume,
            retryable=(Unavailable, OSError),
            delay_s=store.delay_s,
            run=self._run_attributes,
        )
        self._store_carrier.pump = self._store_pump
        self._store_pump.start()

    def _open_database(self) -> None:
        try:
            store = KeepingStore(
                ParslSqlExporter(self._settings["database"], spool=str(self._directory)),
                RefusedFile(self._directory / rendezvous.UNFIT),
            )
            places = {stream: Place() for stream in STORED} | store.places()
        except (StoreError, OperationalError) as error:
            if str(error) != self._store_error:
                logger.warning("the store cannot be opened: %s; trying again", error)
            self._store_error = str(error)
            time.sleep(_STORE_DELAY_S)
            return
        self._store, self._store_error = store, None

        def consume(frames: list[Frame], behind: Mapping[str, Place]) -> None:
            store.store(frames, behind)

        self._store_pump = Pump(
            "store",
            self._directory,
            places,
            consume,
            retryable=store.retryable,
            delay_s=store.delay_s,
            run=self._run_attributes,
        )
        self._store_carrier.pump = self._store_pump
        self._store_pump.start()

    def _start_forwarding(self) -> None:
        destinations = self._settings["destinations"]
        for number, settings in enumerate(destinations):
            rule = self._rule(settings.pop("sampling", None))
            exporter = OtlpExporter(
                _destination(settings),
                refused_path=self._directory / f"refused-{number}.otlp",
            )
            forwarding = Forwarding(
                exporter,
                rule=rule,
                exception_signals=self._settings.get("exception_signals", ("traces",)),
                path=self._directory / f"sampling-{number}.db",
            )
            self._forwarders.append((forwarding, self._forwarder(number, forwarding)))
        for carrier, (_, pump) in zip(self._carriers, self._forwarders, strict=True):
            carrier.pump = pump
            pump.start()

    def _rule(self, share: float | None) -> Rule:
        """Return what a destination wants: its own rule, or that of the standard variable."""
        if share is not None:
            return Rule(share, keeps_failures=True)
        return Rule(self._settings.get("sampled_share", 1.0))

    def _forwarder(self, number: int, forwarding: Forwarding) -> Pump:
        name = f"forward-{number}.json"
        saved = rendezvous.read(self._directory, name) or {}
        places = {stream: Place(*saved.get(stream, Place())) for stream in STREAMS}

        def consume(frames: list[Frame], behind: Mapping[str, Place]) -> None:
            forwarding.consume(frames, behind)
            rendezvous.write(self._directory, name, behind)

        def delay_s(error: Exception) -> float:
            assert isinstance(error, (Unavailable, OSError))
            return forwarding.exporter.delay_s(error)

        return Pump(
            f"forward-{number}",
            self._directory,
            places,
            consume,
            retryable=(Unavailable, OSError),
            delay_s=delay_s,
            run=self._run_attributes,
        )

    def _start_lifecycle(self, run_id: str) -> None:
        """Derive spans: only where something is sent, since a database here has the events."""
        from otel_parsl_collector.connectors.lifecycle import Lifecycle

        try:
            lifecycle = Lifecycle(
                self._directory / "lifecycle.db",
                run_id,
                scope=self._settings["trace_scope"],
                emit=self._spool.derive,
            )
        except sqlite3.OperationalError as error:
            self._unsaid.say("spans cannot be derived for now: %s", error)
            return
        self._lifecycle = Pump(
            "lifecycle",
            self._directory,
            dict.fromkeys(STORED, Place()) | lifecycle.places,
            lifecycle.consume,
            retryable=(OSError, sqlite3.OperationalError),
            delay_s=lambda _: _STORE_DELAY_S,
            run=self._run_attributes,
        )
        self._measure = lifecycle.measure
        self._lifecycle_carrier.pump = self._lifecycle
        self._lifecycle.start()

    def _bind_sockets(self) -> None:
        wanted = self._changed(rendezvous.SOCKETS) or {}
        ports = rendezvous.read(self._directory, rendezvous.PORTS) or {} if wanted else {}
        for label, socket in wanted.items():
            if socket["is_closed"]:
                receiver = self._receivers.pop(label, None)
                if receiver is not None:
                    receiver.close()
            elif label not in self._receivers:
                where = Socket(
                    label,
                    socket["address"],
                    tuple(socket["port_range"]),
                    socket["cert_dir"],
                    ports.get(label),
                    socket["executor"],
                    socket["heartbeat_threshold_s"],
                )
                self._receivers[label] = HtexReceiver(
                    where, resource=self._run_attributes, spool=self._spool.received.append
                )
                ports[label] = self._receivers[label].port
                rendezvous.write(self._directory, rendezvous.PORTS, ports)
        if self._run is None:
            self._read_run()
        if self._lifecycle is None and not self._lifecycle_carrier.is_done and self._run_id:
            self._start_lifecycle(self._run_id)

    def _receive(self) -> None:
        """Receive OTLP where the hub asks for it; an agent after the first, on the same port."""
        if self._direct is not None or time.monotonic() < self._refused_until:
            return
        wanted = rendezvous.read(self._directory, rendezvous.RECEIVER)
        before = rendezvous.read(self._directory, rendezvous.RECEIVING)
        is_refused = before is not None and before["port"] is None
        if wanted is None or is_refused:
            return
        endpoint = (
            Endpoint(listening_host(wanted["address"]), wanted["port"])
            if before is None
            else Endpoint(before["host"], before["port"])
        )
        receiver = DirectReceiver(
            self._directory, endpoint=endpoint, token=wanted["token"], space=self._spool.space
        )
        answer: dict[str, Any] = {"host": endpoint.host, "port": None, "error": None}
        try:
            receiver.start()
        except CollectorError as error:
            receiver.stop()
            logger.warning("workers and SDKs cannot be received: %s", error)
            answer["error"] = str(error)
            self._refused_until = time.monotonic() + RECEIVER_AGAIN_S
        else:
            self._direct = receiver
            answer["port"] = receiver.port
        if before is None:
            rendezvous.write(self._directory, rendezvous.RECEIVING, answer)

    def _read_run(self) -> None:
        run = rendezvous.read(self._directory, "run.json")
        if run is not None:
            self._run_id = run["run_id"]
            self._run = tuple(bytes.fromhex(attribute) for attribute in run["resource"])

    def _run_attributes(self) -> tuple[bytes, ...] | None:
        if self._run is None:
            self._read_run()
        return self._run

    def _hub_is_alive(self) -> bool:
        settings = self._settings
        return is_running(hub_pid=settings["hub_pid"], hub_started=settings["hub_started"])

    def _try_to_close_lost_run(self) -> dict[str, Any] | None:
        try:
            return self._close_lost_run()
        except OSError as error:
            if not self._directory.is_dir():
                raise  # somebody has thrown the run away: there is nothing to wait for
            self._unsaid.say("a run whose submit process is gone cannot be closed: %s", error)
            return None

    def _close_lost_run(self) -> dict[str, Any]:
        """End a run whose process is gone: it can spool no more, so its stream is ours now."""
        writer = SpoolWriter(self._directory, SUBMIT)
        if self._run is not None and self._run_id is not None:
            writer.append([frame(wire.LOGS, self._lost_event(self._run, self._run_id))])
        closing = {"place": writer.place}
        writer.close()
        rendezvous.write(self._directory, rendezvous.CLOSING, closing, is_durable=True)
        logger.warning("the submit process is gone: its run is closed as lost")
        return closing

    def _say_now_and_then(self) -> None:
        if self._is_due("heartbeat", HEARTBEAT_S):
            self._beat()
        if self._is_due("measure", MEASURE_S):
            self._say_metrics()

    def _beat(self) -> None:
        """Say that the run has an agent: it comes to the database by the spool, as all else."""
        if self._run is None or self._run_id is None:
            self._due_at.pop("heartbeat")  # as soon as it is known whose agent this is
            return
        now_ns = time.time_ns() // 1000 * 1000
        request = self._of_run(
            self._run, self._run_id, semconv.EVENT_RUN_ALIVE, now_ns, [], severity=5
        )
        self._spool.received.append([frame(wire.LOGS, request)])

    def _say_metrics(self) -> None:
        try:
            self._measure()
        except OSError as error:
            self._unsaid.say("the spool cannot be written, so metrics are left out: %s", error)

    def _end_managers(self) -> None:
        """Say, behind all their reports, that no more can come: their spans wait for it."""
        if self._have_managers_ended or self._lifecycle_carrier.is_done:
            return
        if self._run is None or self._run_id is None or not self._is_due("managers", SAY_AGAIN_S):
            return
        now_ns = time.time_ns() // 1000 * 1000
        request = self._of_run(
            self._run, self._run_id, semconv.EVENT_MANAGERS_ENDED, now_ns, [], severity=5
        )
        self._spool.received.append([frame(wire.LOGS, request)])
        self._have_managers_ended = True

    def _lost_event(self, resource: tuple[bytes, ...], run_id: str) -> bytes:
        now_ns = time.time_ns() // 1000 * 1000
        attributes = [
            wire.Key(semconv.SEQUENCE).integer(LOST_SEQUENCE),
            wire.Key(semconv.TIME_COMPLETED).integer(now_ns),
            wire.Key(semconv.OUTCOME).text("lost"),
        ]
        return self._of_run(
            resource, run_id, semconv.EVENT_RUN_ENDED, now_ns, attributes, severity=17
        )

    @staticmethod
    def _of_run(
        resource: tuple[bytes, ...],
        run_id: str,
        name: str,
        now_ns: int,
        attributes: list[bytes],
        *,
        severity: int,
    ) -> bytes:
        run = run_key(run_id)
        record = wire.log_record(
            wire.sized(name.encode()),
            now_ns,
            now_ns,
            run,
            span_id(run, "run"),
            attributes,
            severity=severity,
        )
        return wire.request(
            wire.resource(resource),
            wire.scope(semconv.SCOPE, __version__),
            [record],
            schema_url=semconv.SCHEMA_URL,
        )

    def _tidy(self, *, is_over: bool) -> None:
        self._spool.tidy()
        if is_over and self._is_due("torn", TORN_S):
            self._spool.pass_torn([pump.places for pump in self._pumps()])

    def _release(self, last: Place) -> None:
        """Let go of the store when it holds everything up to the run's last event."""
        for each in self._pumps():
            each.hurry()
        for receiver in self._receivers.values():
            receiver.close()
        self._receivers.clear()
        if self._direct is not None:
            self._direct.stop()
            self._direct = None
        self._end_managers()
        pump = self._store_pump
        if pump is None or pump.places[SUBMIT] < last:
            return
        if isinstance(self._store, SiteStore) and not self._is_derived():
            return
        self._spool.tidy()
        if self._spool.received.waiting or not pump.is_empty():
            return
        pump.stop()
        self._damaged_bytes()
        assert self._store is not None
        self._store.close()
        self._store_pump = None
        self._is_released = self._store_carrier.is_done = True
        self._moved_at = time.monotonic()
        logger.info("the store is complete")

    def _is_derived(self) -> bool:
        return self._lifecycle is None or self._lifecycle.is_empty()

    def _is_forwarded(self) -> bool:
        return self._is_derived() and all(pump.is_empty() for _, pump in self._forwarders)

    def _store_refused(self) -> int:
        return 0 if self._store is None else self._store.refused

    def _damaged_bytes(self) -> int:
        """Return how much of the spool was no telemetry, as whoever found most has found it."""
        found = [pump.corrupt_bytes for pump in self._pumps()]
        self._damaged = max([self._damaged, *found])
        return self._damaged

    def _say(self) -> None:
        pump = self._store_pump
        if isinstance(self._store, SiteStore):
            self._store_error = self._store.error
        said = {
            "pid": os.getpid(),
            "stored": None if pump is None else pump.places[SUBMIT],
            "is_released": self._is_released,
            "store_error": self._store_error,
            "store_refused": self._store_refused(),
            "damaged_bytes": self._damaged_bytes(),
            "destinations": [
                {
                    "endpoint": forwarding.exporter.destination.endpoint,
                    "sent": forwarding.exporter.sent,
                    "sampled_out": forwarding.sampling.sampled_out,
                    "refused": forwarding.exporter.refused,
                    "dropped": carrier.dropped.total(),
                    "error": forwarding.exporter.last_error,
                    "is_empty": forwarder.is_empty(),
                }
                for carrier, (forwarding, forwarder) in zip(
                    self._carriers, self._forwarders, strict=True
                )
            ],
        }
        if said == self._said:
            return
        try:
            rendezvous.write(self._directory, rendezvous.STATUS, said)
        except OSError as error:
            self._unsaid.say("%s cannot be written: %s", rendezvous.STATUS, error)
        else:
            self._said = said

    def _stop(self) -> None:
        if self._lifecycle is not None:
            self._lifecycle.stop()
        for forwarding, pump in self._forwarders:
            pump.stop()
            forwarding.sampling.close()
        if self._is_released and self._is_forwarded():
            self._spool.clear()
        self._say()


def _destination(settings: dict[str, Any]) -> Destination:
    """Return what the hub has written as JSON."""
    settings.pop("sampling", None)
    settings["headers"] = tuple(tuple(pair) for pair in settings["headers"])
    settings["signals"] = tuple(settings["signals"])
    return Destination(**settings)


def main() -> None:
    """Run the agent of the directory given on the command line."""
    directory = Path(sys.argv[1])
    lock = lock_spool(directory)
    if lock is None:
        return  # another agent serves this run
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _log(directory)
    Agent(directory).run()


def _log(directory: Path) -> None:
    """Log where Parsl's database manager does, by Parsl's LogConfig where the user has one."""
    chosen = directory / rendezvous.LOG_CONFIG
    if chosen.exists():
        from parsl.logconfigs.base import oneshot_initialize_logging

        log_config = pickle.loads(chosen.read_bytes())  # noqa: S301 - the hub wrote it, 0600
        name = Path(rendezvous.LOG).stem
        oneshot_initialize_logging(log_config=log_config, log_dir=directory.parent, log_name=name)
        return
    logging.basicConfig(
        filename=directory.parent / rendezvous.LOG,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


if __name__ == "__main__":
    main()
