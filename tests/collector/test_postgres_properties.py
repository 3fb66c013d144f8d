"""
What test_store_properties says of SQLite holds in PostgreSQL, which enforces types and keys.

Its upserts, its locks and its text are others, so they are tried too, with fewer deliveries.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter
from sqlalchemy import select, text

from otel_parsl.schema import metadata, node, otel_bucket, otel_place, otel_received
from tests.support.delivery import (
    Delivery,
    Joint,
    deliveries,
    in_order,
    parted,
    shuffled_delivery,
    write,
)
from tests.support.derived_spans import derived_spans, without_logs
from tests.support.postgres import Postgres
from tests.support.recorded_cases import CASES
from tests.support.recorded_stream import Recording, Request
from tests.support.store_rows import Rows, only_parsls

EXAMPLES = settings(max_examples=40)
IN_SPANS = sorted(CASES.keys() - {"going_on"})
"""What goes on has no spans yet."""


@cache
def _case(name: str) -> Recording:
    return CASES[name]()


@cache
def _without_logs(name: str) -> tuple[Request, ...]:
    return without_logs(_case(name))


class Store:
    """A PostgreSQL database that is emptied before each delivery."""

    def __init__(self, url: str) -> None:
        self._engine = open_store(url)
        self._writer = StoreWriter(self._engine, "spool")
        self._expected: dict[str, Rows] = {}

    def rows(self, requests: tuple[Request, ...], delivery: Delivery) -> Rows:
        """Return all rows that a delivery leaves."""
        tables = ", ".join(f'"{name}"' for name in metadata.tables if name != "otel_schema")
        with self._engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {tables} CASCADE"))
        write(self._writer, requests, delivery)
        with self._engine.connect() as connection:
            return {
                name: sorted((tuple(row) for row in connection.execute(select(*columns))), key=repr)
                for name, columns in _COLUMNS.items()
            }

    def expected(self, name: str) -> Rows:
        """Return the rows that a case leaves when each request comes once, in order and alone."""
        if name not in self._expected:
            requests = tuple(_case(name).requests)
            self._expected[name] = self.rows(requests, in_order(len(requests)))
        return self._expected[name]

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()


# Left out is what store_rows leaves out: how a store was filled, and sums of floating-point
# numbers, whose last bits depend on the order of the additions.
_COLUMNS = {
    name: [
        column
        for column in table.columns
        if column not in (node.c.id, otel_bucket.c.run_s, otel_bucket.c.cpu_s)
    ]
    for name, table in metadata.tables.items()
    if name not in (otel_place.name, otel_received.name)
}


@pytest.fixture(scope="module")
def store(postgres: Postgres) -> Iterator[Store]:
    """A PostgreSQL database of this module's own."""
    with postgres.database() as url:
        made = Store(url)
        yield made
        made.close()


def _of(names: list[str], *, with_logs: bool) -> st.SearchStrategy[tuple[str, Delivery]]:
    def of_case(name: str) -> st.SearchStrategy[tuple[str, Delivery]]:
        requests = _case(name).requests if with_logs else _without_logs(name)
        return st.tuples(st.just(name), deliveries(len(requests)))

    return st.sampled_from(names).flatmap(of_case)


@EXAMPLES
@given(delivered=_of(sorted(CASES), with_logs=True))
def test_any_order_repetition_and_split_give_the_same_rows(
    store: Store, delivered: tuple[str, Delivery]
) -> None:
    """Requests in any order, any of them again, packed in any way, give the same rows in all."""
    name, delivery = delivered
    assert store.rows(tuple(_case(name).requests), delivery) == store.expected(name)


@EXAMPLES
@given(name=st.sampled_from(sorted(CASES)), choose=st.randoms(use_true_random=False))
def test_points_that_travelled_together_may_be_parted(
    store: Store, name: str, choose: random.Random
) -> None:
    """A collector on the way that parts samples and reports of managers leaves no trace."""
    requests = tuple(parted(_case(name).requests, choose))
    delivery = shuffled_delivery(len(requests), choose.getrandbits(32))
    assert store.rows(requests, delivery) == store.expected(name)


@EXAMPLES
@given(delivered=_of(IN_SPANS, with_logs=False))
def test_spans_in_any_order_give_the_rows_that_logs_give(
    store: Store, delivered: tuple[str, Delivery]
) -> None:
    """Without the log signal Parsl's tables are filled alike from the spans derived from it."""
    name, delivery = delivered
    rows = store.rows(_without_logs(name), delivery)
    assert only_parsls(rows) == only_parsls(store.expected(name))


@pytest.mark.parametrize("name", sorted(CASES))
def test_one_transaction_with_logs_and_spans_gives_the_rows_of_many(
    store: Store, name: str
) -> None:
    """A whole run in one transaction, told by events and by spans, is a run told by events."""
    requests = (*_case(name).requests, *derived_spans(_case(name)))
    forwards = [(index, Joint.TRANSACTION) for index in range(len(requests))]
    for delivery in (forwards, forwards[::-1]):
        assert store.rows(requests, delivery) == store.expected(name)
