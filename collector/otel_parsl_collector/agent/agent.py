"""
The agent's loop: it serves a run until that is over and everything is delivered.

It tails what the hub spools, of HTEX's interchanges too, receives what workers send directly,
stores all of it, derives the hub's spans where a destination wants them, and forwards.
It outlives a killed DataFlowKernel and closes the run.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from otel_parsl import rendezvous
from otel_parsl.clock import now_ns
from otel_parsl.rendezvous import SUBMIT
from otel_parsl.seldom import Seldom
from otel_parsl.spool import Place, SpoolWriter
from otel_parsl.spool_room import MAX_AGE_S, MAX_MIB
from otel_parsl.submit_process import is_alive, last_written_s, may_be_alive
from otel_parsl_collector.agent.derivation import Derivation
from otel_parsl_collector.agent.direct_inlet import AGAIN_S, DirectInlet
from otel_parsl_collector.agent.forwarder import Forwarder
from otel_parsl_collector.agent.interchanges import Interchanges
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import STREAMS, Carrier, RunSpool
from otel_parsl_collector.agent.run_store import RunStore
from otel_parsl_collector.directory_watch import DirectoryWatch
from otel_parsl_collector.pump import Pump

logger = logging.getLogger(__name__)

TICK_S = 0.1
CLOSING_TICK_S = 0.05
HUB_CHECK_S = 1.0
TORN_S = 1.0
SAY_S = 0.25
TIDY_S = 1.0
HEARTBEAT_S = 15.0
SAY_AGAIN_S = 5.0
"""How long to wait where something could not be said."""
MEASURE_S = 60.0
"""How often a run in which nothing happens says its metrics again."""
LINGER_S = 60.0
"""How long it goes on sending after the store is complete; where a site's collector keeps the
database, after that has taken anything."""
STORE_LINGER_S = 86400.0
"""How long after the run's end it waits for a database that takes nothing; with what an earlier
program left it waits no longer than for a destination, since others may be left behind that."""


class Agent:
    """
    The agent of one run.

    Args:
        directory: The run's spool; ``rendezvous.SETTINGS`` there says the rest.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._settings: dict[str, Any] = rendezvous.read(directory, rendezvous.SETTINGS)
        self._was_hub_alive = may_be_alive(self._settings, directory)
        self._last_written_s = last_written_s(directory)
        self._after_hub: SpoolWriter | None = None
        self._run = Run(directory)
        self._store = RunStore(directory, self._settings, self._run, on_taken=self._move)
        self._carriers = [
            Carrier(f"forward-{number}", STREAMS)
            for number, _ in enumerate(self._settings["destinations"])
        ]
        self._derivation = Derivation(
            directory,
            self._settings,
            self._run,
            is_wanted=bool(self._carriers) or self._store.is_site,
        )
        self._interchanges = Interchanges(directory, self._run)
        self._spool = RunSpool(
            directory,
            (
                self._store.carrier,
                self._derivation.carrier,
                self._interchanges.carrier,
                *self._carriers,
            ),
            max_bytes=self._settings.get("spool_max_bytes", MAX_MIB << 20),
            max_age_s=self._settings.get("spool_max_age_s", MAX_AGE_S),
        )
        self._inlet = DirectInlet(directory, self._spool)
        self._forwarders = [
            Forwarder(carrier, number, directory, self._settings, self._run)
            for number, carrier in enumerate(self._carriers)
        ]
        self._have_managers_ended = False
        self._damaged = 0
        status = rendezvous.read(directory, rendezvous.STATUS)
        self._is_released = bool(status and status["is_released"])  # by an agent before this one
        self._store.carrier.is_done = self._is_released
        self._interchanges.carrier.is_done = self._is_released
        self._unsaid = Seldom(logger, logging.WARNING)
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
                closing = closing or self._changed(rendezvous.CLOSING)
                self._derivation.start(self._spool)
            if closing is None and (has_changed or self._is_due("receiver", AGAIN_S)):
                self._inlet.open()
            if not self._is_released:
                self._interchanges.take(self._spool)
                if self._store.pump is None:
                    self._store.open()
            if closing is None and self._is_due("hub", HUB_CHECK_S) and not self._hub_is_alive():
                closing = self._try_to_close_lost_run()
            if closing is None:
                self._move()
                self._say_now_and_then()
            if closing is not None and not self._is_released:
                self._release(Place(*closing["place"]))
            self._check_pumps()
            self._report_and_tidy(is_over=closing is not None)
            if closing is not None and self._is_done():
                break
            time.sleep(TICK_S if closing is None else CLOSING_TICK_S)
        self._stop()

    def _report_and_tidy(self, *, is_over: bool) -> None:
        if self._is_due("say", SAY_S) or self._is_released:
            self._say()
        if self._is_due("tidy", TIDY_S) or self._is_released:
            self._tidy(is_over=is_over)

    def _start_forwarding(self) -> None:
        for forwarder in self._forwarders:
            forwarder.pump.start()

    def _move(self) -> None:
        self._moved_at = time.monotonic()

    def _is_done(self) -> bool:
        """Tell whether all is delivered, or what is left has been waited for long enough."""
        if self._is_released and self._is_forwarded(but_for_switched_off=True):
            return True
        linger_s = LINGER_S
        if not (self._is_released or self._store.is_site):
            default_s = STORE_LINGER_S if self._was_hub_alive else LINGER_S
            linger_s = self._settings.get("store_linger_s", default_s)
        return time.monotonic() - self._moved_at > linger_s

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
        pumps = [
            self._store.pump,
            self._derivation.pump,
            *(each.pump for each in self._forwarders),
        ]
        return [pump for pump in pumps if pump is not None]

    def _check_pumps(self) -> None:
        """
        End with the store's error, so that the hub starts a new agent.

        Whatever else fails is switched off: it must not keep anything from the store.
        """
        store = self._store.pump
        if store is not None and store.failure is not None:
            raise store.failure
        self._derivation.check()
        for forwarder in self._forwarders:
            forwarder.check()

    def _hub_is_alive(self) -> bool:
        """Tell whether the hub lives; one of another host as it was found when this agent began."""
        found = is_alive(self._settings)
        return self._was_hub_alive if found is None else found

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
        if self._after_hub is None:
            self._after_hub = SpoolWriter(self._directory, SUBMIT)
        writer = self._after_hub
        # One that was found dead ended when it was last heard of, be that days ago.
        found_ns = 0 if self._was_hub_alive else int(self._last_written_s * 1e9)
        ending = self._run.lost(found_ns or now_ns())
        if ending is not None:
            writer.append([ending])
        # Before anybody is told of the place: a power cut must not leave one that is never reached.
        writer.sync()
        closing = {"place": writer.place}
        rendezvous.write(self._directory, rendezvous.CLOSING, closing, is_durable=True)
        writer.close()
        logger.warning("the submit process is gone: its run is closed as lost")
        return closing

    def _say_now_and_then(self) -> None:
        if self._is_due("heartbeat", HEARTBEAT_S):
            self._beat()
        if self._is_due("measure", MEASURE_S):
            self._say_metrics()

    def _beat(self) -> None:
        """Say that the run has an agent: it comes to the database by the spool, as all else."""
        pump = self._store.pump
        beat = self._run.alive(None if pump is None else pump.lag_s())
        if beat is None:
            self._due_at.pop("heartbeat")  # as soon as it is known whose agent this is
        else:
            self._spool.received.append([beat])

    def _say_metrics(self) -> None:
        try:
            self._derivation.measure()
        except OSError as error:
            self._unsaid.say("the spool cannot be written, so metrics are left out: %s", error)

    def _end_managers(self) -> None:
        """Say, behind all their reports, that no more can come: their spans wait for it."""
        if self._have_managers_ended or self._derivation.carrier.is_done:
            return
        if not self._is_due("managers", SAY_AGAIN_S):
            return
        ending = self._run.managers_ended()
        if ending is not None:
            self._spool.received.append([ending])
            self._have_managers_ended = True

    def _tidy(self, *, is_over: bool) -> None:
        self._spool.tidy(is_over=is_over)
        if is_over and self._is_due("torn", TORN_S):
            self._spool.pass_torn([pump.places for pump in self._pumps()])

    def _release(self, last: Place) -> None:
        """Let go of the store when it holds everything up to the run's last event."""
        for each in self._pumps():
            each.hurry()
        self._inlet.close()
        if self._interchanges.take(self._spool):
            return
        self._end_managers()
        pump = self._store.pump
        if pump is None or pump.places[SUBMIT] < last:
            return
        if self._store.is_site and not self._derivation.is_complete():
            return
        self._spool.tidy()
        if self._spool.received.waiting or not pump.is_empty():
            return
        pump.stop()
        self._damaged_bytes()
        self._store.close()
        self._is_released = self._store.carrier.is_done = True
        self._interchanges.carrier.is_done = True
        self._move()
        logger.info("the store is complete")

    def _is_forwarded(self, *, but_for_switched_off: bool = False) -> bool:
        """Tell whether destinations have everything; those switched off may be left out of it."""
        derivation = self._derivation
        if not (derivation.is_complete() or (but_for_switched_off and derivation.failure)):
            return False
        return all(
            (but_for_switched_off and each.is_off) or each.is_complete()
            for each in self._forwarders
        )

    def _damaged_bytes(self) -> int:
        """Return how much of the spool was no telemetry, as whoever found most has found it."""
        found = [pump.corrupt_bytes for pump in self._pumps()]
        self._damaged = max([self._damaged, *found])
        return self._damaged + self._interchanges.corrupt_bytes

    def _say(self) -> None:
        pump = self._store.pump
        said = {
            "pid": os.getpid(),
            "stored": None if pump is None else pump.places[SUBMIT],
            "is_released": self._is_released,
            "store_error": self._store.error,
            "store_refused": self._store.refused,
            "damaged_bytes": self._damaged_bytes(),
            "spans_error": self._derivation.failure,
            "events_skipped": self._derivation.skipped,
            "destinations": [forwarder.status() for forwarder in self._forwarders],
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
        self._derivation.stop()
        for forwarder in self._forwarders:
            forwarder.stop()
        if self._is_released and self._is_forwarded():
            self._spool.clear()
        self._say()
