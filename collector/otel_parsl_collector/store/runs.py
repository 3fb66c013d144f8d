"""Write runs: table ``workflow``, and how a run ended."""

from __future__ import annotations

from sqlalchemy import case

from otel_parsl.schema import otel_run, workflow
from otel_parsl_collector.materialise.facts import Facts, Run, RunState
from otel_parsl_collector.store.session import Session


def write_runs(facts: Facts, session: Session) -> None:
    """Write the rows that all others of their runs refer to, then how far the runs have come."""
    session.upsert(
        workflow,
        "run_id workflow_name workflow_version time_began host user rundir tasks_failed_count"
        " tasks_completed_count",
        [
            (
                run.run_id,
                run.name,
                run.version,
                session.times[run.run_id](run.began_ns),
                run.host,
                run.user,
                run.rundir,
                0,
                0,
            )
            for run in facts.runs.values()
        ],
    )
    session.upsert(
        otel_run,
        "run_id began_ns time_zone parsl_version",
        [(run.run_id, run.began_ns, run.zone, run.parsl_version) for run in facts.runs.values()],
    )
    for state in facts.run_states.values():
        _write_state(state, facts.runs[state.run_id], session)
    for run_id, (time_ns, lag_ns) in facts.heartbeats.items():
        known = otel_run.c.heartbeat_ns
        session.connection.execute(
            otel_run.update()
            .where(otel_run.c.run_id == run_id, known.is_(None) | (known < time_ns))
            .values(heartbeat_ns=time_ns, lag_ns=lag_ns)
        )


def _write_state(state: RunState, run: Run, session: Session) -> None:
    """Write each thing that a state says by a rule of its own: any may come late."""
    connection = session.connection
    of_run = otel_run.update().where(otel_run.c.run_id == run.run_id)
    of_workflow = workflow.update().where(workflow.c.run_id == run.run_id)
    is_newer = otel_run.c.sequence.is_(None) | (otel_run.c.sequence < state.sequence)
    connection.execute(
        of_run.where(is_newer).values(sequence=state.sequence, last_event_ns=state.time_ns)
    )
    counts = {
        column.name: case((column < count, count), else_=column)
        for column, count in (
            (workflow.c.tasks_completed_count, state.tasks_completed),
            (workflow.c.tasks_failed_count, state.tasks_failed),
        )
        if count is not None
    }
    if counts:
        connection.execute(of_workflow.values(counts))
    if state.completed_ns is None:
        return
    is_later = otel_run.c.ended_ns.is_(None) | (otel_run.c.ended_ns <= state.completed_ns)
    ended = {"ended_ns": state.completed_ns, "outcome": state.outcome or "completed"}
    if connection.execute(of_run.where(is_later).values(ended)).rowcount:
        completed = session.datetimes[run.run_id](state.completed_ns)
        connection.execute(of_workflow.values(time_completed=completed))
