"""Write how far the clocks of hosts are apart."""

from __future__ import annotations

from sqlalchemy import select

from otel_parsl.schema import otel_clock
from otel_parsl_collector.clock_bounds import ClockBounds
from otel_parsl_collector.materialise.facts import Clock, Facts
from otel_parsl_collector.store.session import Session

_RUNS = 64
"""Runs whose tries are looked at; of one that no more is heard of for so long all has been said."""


class Clocks:
    """
    Find the bounds that tries give, and keep the narrowest.

    What is held of tries that are under way is gone with the process: others bound clocks as well.
    """

    def __init__(self) -> None:
        self._runs: dict[str, ClockBounds] = {}
        self._written: dict[tuple[str, str], Clock] = {}

    def write(self, facts: Facts, session: Session) -> None:
        """Write the narrowest bounds that were said or found: they only close in."""
        for (run_id, host), clock in facts.clocks.items():
            _write(run_id, host, clock, session)
        for run_id in self._read(facts):
            for host, (least_ns, most_ns) in self._runs[run_id].by_host.items():
                clock = Clock(least_ns / 1e9, most_ns / 1e9)
                if self._written.get((run_id, host)) != clock:
                    _write(run_id, host, clock, session)
                    self._written[run_id, host] = clock
        while len(self._runs) > _RUNS:
            oldest = next(iter(self._runs))
            for host in self._runs.pop(oldest).by_host:
                self._written.pop((oldest, host), None)

    def _read(self, facts: Facts) -> set[str]:
        """Take in what facts say of tries, and return the runs that they told something of."""
        told = set()
        for state in facts.states:
            if state.launched_ns and state.try_returned_ns and state.state != "memo_done":
                self._of(state.run_id).submitted(
                    state.task_id, state.try_id, state.launched_ns, state.try_returned_ns
                )
                told.add(state.run_id)
        for ran in facts.running:
            if ran.hostname is not None and ran.running_ns and ran.ended_ns:
                self._of(ran.run_id).executed(
                    ran.task_id, ran.try_id, ran.hostname, ran.running_ns, ran.ended_ns
                )
                told.add(ran.run_id)
        return told

    def _of(self, run_id: str) -> ClockBounds:
        """Return what is known of a run; the latest asked for is the last."""
        bounds = self._runs.pop(run_id) if run_id in self._runs else ClockBounds()
        self._runs[run_id] = bounds
        return bounds


def _write(run_id: str, host: str, clock: Clock, session: Session) -> None:
    table = otel_clock.c
    is_it = (table.run_id == run_id) & (table.hostname == host)
    query = select(table.ahead_at_least_s, table.ahead_at_most_s).where(is_it)
    known = session.connection.execute(query).first() or (None, None)
    at_least = [each for each in (known[0], clock.at_least_s) if each is not None]
    at_most = [each for each in (known[1], clock.at_most_s) if each is not None]
    columns = "ahead_at_least_s ahead_at_most_s"
    session.upsert(
        otel_clock,
        f"run_id hostname {columns}",
        [(run_id, host, max(at_least, default=None), min(at_most, default=None))],
        update=columns,
    )
