"""Write how far the clocks of hosts are apart."""

from __future__ import annotations

from sqlalchemy import select

from otel_parsl.schema import otel_clock
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.store.session import Session


def write_clocks(facts: Facts, session: Session) -> None:
    """Write the narrowest bounds that were said: they only close in."""
    table = otel_clock.c
    for (run_id, host), said in facts.clocks.items():
        is_it = (table.run_id == run_id) & (table.hostname == host)
        query = select(table.ahead_at_least_s, table.ahead_at_most_s).where(is_it)
        known = session.connection.execute(query).first() or (None, None)
        at_least = [each for each in (known[0], said.at_least_s) if each is not None]
        at_most = [each for each in (known[1], said.at_most_s) if each is not None]
        columns = "ahead_at_least_s ahead_at_most_s"
        session.upsert(
            otel_clock,
            f"run_id hostname {columns}",
            [(run_id, host, max(at_least, default=None), min(at_most, default=None))],
            update=columns,
        )
