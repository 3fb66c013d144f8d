"""Write runs: table ``workflow``, and how a run ended."""

from __future__ import annotations

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


def _write_state(state: RunState, run: Run, session: Session) -> None:
    newer = (otel_run.c.sequence.is_(None)) | (otel_run.c.sequence <= state.sequence)
    values: dict[str, object] = {
        "sequence": state.sequence,
        "last_event_ns": state.time_ns,
    }
    if state.completed_ns is not None:
        values["ended_ns"] = state.completed_ns
        values["outcome"] = state.outcome or "completed"
    connection = session.connection
    done = connection.execute(
        otel_run.update().where(otel_run.c.run_id == run.run_id, newer).values(values)
    )
    if done.rowcount == 0:
        return
    columns: dict[str, object] = {}
    if state.tasks_completed is not None:
        columns["tasks_completed_count"] = state.tasks_completed
    if state.tasks_failed is not None:
        columns["tasks_failed_count"] = state.tasks_failed
    if state.completed_ns is not None:
        columns["time_completed"] = session.datetimes[run.run_id](state.completed_ns)
    if columns:
        connection.execute(workflow.update().where(workflow.c.run_id == run.run_id).values(columns))
