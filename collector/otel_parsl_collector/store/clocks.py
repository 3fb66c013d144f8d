"""
Write how far the clocks of hosts are apart.

What a worker has ended waits for its return to be known, so that every try counts, and the bounds
are the same whatever is told first, or again, and however often a writer is killed between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import and_, bindparam, select

from otel_parsl.schema import otel_clock, otel_returning
from otel_parsl_collector.clock_bounds import Bounds, Times, bound
from otel_parsl_collector.materialise.facts import Running
from otel_parsl_collector.store.session import Session, TryKey

_COLUMNS = tuple(otel_returning.c.keys())
_BOUNDS = "ahead_at_least_s ahead_at_most_s"


def write_clocks(
    run_id: str,
    session: Session,
    *,
    returned: Mapping[TryKey, Times],
    known: Mapping[TryKey, Times],
    ended: Iterable[Running],
) -> None:
    """
    Narrow the bounds by the tries of a run whose both halves are known now.

    Args:
        run_id: The run.
        session: The transaction.
        returned: When tries were launched and back, of those that were told of now.
        known: The same of those that the store has already.
        ended: What workers said now of tries that they have ended.
    """
    found: dict[str, Bounds] = {}

    def add(host: str, submitted: Times, executed: Times) -> None:
        new = bound(submitted, executed)
        found[host] = found.get(host, new).narrowed(new)

    waiting = []
    for each in ended:
        if each.hostname is None or each.running_ns is None or each.ended_ns is None:
            continue
        key, executed = (each.task_id, each.try_id), (each.running_ns, each.ended_ns)
        submitted = returned.get(key) or known.get(key)
        if submitted is None:
            waiting.append((run_id, *key, each.hostname, *executed))
        else:
            add(each.hostname, submitted, executed)
    session.upsert(otel_returning, " ".join(_COLUMNS), waiting)
    tasks = (task_id for task_id, _ in returned)
    rows = session.existing(otel_returning, run_id, tasks, _COLUMNS)
    met = [row for row in rows if (row.task_id, row.try_id) in returned]
    for row in met:
        add(row.hostname, returned[row.task_id, row.try_id], (row.running_ns, row.ended_ns))
    if met:
        session.connection.execute(_MET, [{f"of_{n}": row[n] for n in range(3)} for row in met])
    _narrow(run_id, found, session)


_MET = otel_returning.delete().where(
    and_(*(otel_returning.c[name] == bindparam(f"of_{n}") for n, name in enumerate(_COLUMNS[:3])))
)
"""Every half of a try: what comes of it later finds the return in the store."""


def _narrow(run_id: str, found: Mapping[str, Bounds], session: Session) -> None:
    if not found:
        return
    of = otel_clock.c
    query = select(of.hostname, of.ahead_at_least_s, of.ahead_at_most_s).where(of.run_id == run_id)
    known = {host: sides for host, *sides in session.connection.execute(query)}
    rows = []
    for host, bounds in found.items():
        least_s, most_s = bounds.at_least_ns / 1e9, bounds.at_most_ns / 1e9
        if host in known:
            # A database of version 3 may have one side alone.
            least_s = max(side for side in (known[host][0], least_s) if side is not None)
            most_s = min(side for side in (known[host][1], most_s) if side is not None)
        if known.get(host) != [least_s, most_s]:
            rows.append((run_id, host, least_s, most_s))
    session.upsert(otel_clock, f"run_id hostname {_BOUNDS}", rows, update=_BOUNDS)
