"""Count what was taken: table ``otel_received``."""

from __future__ import annotations

from collections import Counter, defaultdict

from otel_parsl.schema import LATE_S, otel_received
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.store.session import Session

SUBMIT, WORKER, INTERCHANGE = "submit", "worker", "interchange"
"""Who tells: the submit process, a worker, or the interchange, of its managers."""

Source = tuple[str, str]
"""A run, and who tells of it."""


def write_received(facts: Facts, session: Session, *, now_ns: int) -> None:
    """
    Add what the facts are to what was taken before them.

    Args:
        facts: What is stored in this transaction.
        session: In which the others have been written: it knows which of them were there.
        now_ns: The time it is.
    """
    # Two records of one try among these facts: neither was in the store before them.
    ends = Counter(
        (each.run_id, each.task_id, each.try_id, each.ended_ns) for each in facts.executions
    )
    for (run_id, *_), number in ends.items():
        session.repeated[run_id, WORKER] += number - 1
    times = _times(facts, ends)
    late_before = now_ns - LATE_S * 1_000_000_000
    session.upsert(
        otel_received,
        "run_id source items repeated late last_ns",
        [
            (
                *source,
                len(each),
                session.repeated[source],
                sum(time_ns < late_before for time_ns in each),
                max(each),
            )
            for source, each in times.items()
        ],
        add="items repeated late",
    )
    table = otel_received.c
    for (run_id, source), each in times.items():
        last_ns = max(each)
        session.connection.execute(
            otel_received.update()
            .where(table.run_id == run_id, table.source == source, table.last_ns < last_ns)
            .values(last_ns=last_ns)
        )


def _times(facts: Facts, ends: Counter[tuple[str, int, int, int]]) -> dict[Source, list[int]]:
    """Return the times of all items, by source."""
    found: dict[Source, list[int]] = defaultdict(list)
    for told in (facts.states, facts.blocks, facts.executors, facts.lost):
        for each in told:
            found[each.run_id, SUBMIT].append(each.time_ns)
    for begun in facts.running:
        ended_ns = begun.ended_ns or 0
        # A record of a try that has ended tells of its beginning too.
        is_told = (begun.run_id, begun.task_id, begun.try_id, ended_ns) in ends
        if not is_told and (ended_ns or begun.running_ns is not None):
            found[begun.run_id, WORKER].append(ended_ns or begun.running_ns or 0)
    for execution in facts.executions:
        found[execution.run_id, WORKER].append(execution.ended_ns)
    for sample in facts.samples:
        found[sample.run_id, WORKER].append(sample.time_ns)
    for report in facts.managers:
        found[report.run_id, INTERCHANGE].append(report.time_ns)
    return found
