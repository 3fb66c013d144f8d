"""Write which executors are lost, were given up, or are seen from the submit side only."""

from __future__ import annotations

from sqlalchemy import select

from otel_parsl.schema import otel_executor
from otel_parsl_collector.materialise.facts import ExecutorState, Facts
from otel_parsl_collector.store.session import Session

UNTRACED = "untraced"
"""The state of an executor of which nothing else is known than that its workers cannot trace."""


def write_executors(facts: Facts, session: Session) -> None:
    """Write the latest state of each executor that is not well, or whose workers cannot trace."""
    _write_untraced(facts, session)
    latest: dict[tuple[str, str], ExecutorState] = {}
    for state in facts.executors:
        key = state.run_id, state.executor
        if key not in latest or state.sequence > latest[key].sequence:
            latest[key] = state
    table = otel_executor.c
    news = []
    for state in latest.values():
        known = session.connection.execute(
            select(table.sequence).where(
                table.run_id == state.run_id,
                table.executor_label == state.executor,
                table.state != UNTRACED,  # which says nothing of whether it runs
            )
        ).scalar()
        if known is None or known < state.sequence:
            news.append(
                (
                    state.run_id,
                    state.executor,
                    state.state,
                    state.message,
                    state.sequence,
                    state.time_ns,
                )
            )
    columns = "state message sequence changed_ns"
    session.upsert(otel_executor, f"run_id executor_label {columns}", news, update=columns)


def _write_untraced(facts: Facts, session: Session) -> None:
    news = [
        (each.run_id, each.executor, UNTRACED, each.why, each.sequence, each.time_ns)
        for each in facts.untraced
    ]
    columns = "run_id executor_label state untraced sequence changed_ns"
    session.upsert(otel_executor, columns, news, update="untraced")
