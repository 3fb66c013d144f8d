"""Write which executors are lost or were given up."""

from __future__ import annotations

from sqlalchemy import select

from otel_parsl.schema import otel_executor
from otel_parsl_collector.materialise.facts import ExecutorState, Facts
from otel_parsl_collector.store.session import Session


def write_executors(facts: Facts, session: Session) -> None:
    """Write the latest state of each executor that is not well."""
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
                table.run_id == state.run_id, table.executor_label == state.executor
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
