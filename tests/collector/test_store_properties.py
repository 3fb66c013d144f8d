"""
Every write to the store is a join: order, repetition and packing of a stream leave no trace.

A failure names the case and the delivery; ``--hypothesis-profile=explore`` looks further.
"""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.delivery import (
    Delivery,
    Joint,
    deliver,
    deliveries,
    in_order,
    parted,
    shuffled_delivery,
)
from tests.support.derived_spans import derived_spans, without_logs
from tests.support.recorded_cases import CASES
from tests.support.recorded_stream import Recording, Request, joined
from tests.support.store_rows import Rows, only_parsls


@cache
def _case(name: str) -> Recording:
    return CASES[name]()


@cache
def _whole() -> Recording:
    return joined(*(_case(name) for name in CASES))


@cache
def _without_logs(name: str) -> tuple[Request, ...]:
    return without_logs(_case(name))


def _rows(requests: tuple[Request, ...], delivery: Delivery) -> Rows:
    with tempfile.TemporaryDirectory() as directory:
        return deliver(Path(directory) / "store.db", requests, delivery)


@cache
def _expected(name: str) -> Rows:
    requests = tuple(_case(name).requests)
    return _rows(requests, in_order(len(requests)))


def _of_case(name: str) -> st.SearchStrategy[tuple[str, Delivery]]:
    return st.tuples(st.just(name), deliveries(len(_case(name).requests)))


def _of_case_without_logs(name: str) -> st.SearchStrategy[tuple[str, Delivery]]:
    return st.tuples(st.just(name), deliveries(len(_without_logs(name))))


@given(st.sampled_from(sorted(CASES)).flatmap(_of_case))
def test_any_order_repetition_and_split_give_the_same_rows(delivered: tuple[str, Delivery]) -> None:
    """Requests in any order, any of them again, packed in any way, give the same rows in all."""
    name, delivery = delivered
    assert _rows(tuple(_case(name).requests), delivery) == _expected(name)


@given(st.sampled_from(sorted(CASES)), st.randoms(use_true_random=False))
def test_points_that_travelled_together_may_be_parted(name: str, choose: random.Random) -> None:
    """A collector on the way that parts samples and reports of managers leaves no trace."""
    requests = tuple(parted(_case(name).requests, choose))
    delivery = shuffled_delivery(len(requests), choose.getrandbits(32))
    assert _rows(requests, delivery) == _expected(name)


@pytest.mark.parametrize("seed", range(4))
def test_all_cases_at_once_give_the_rows_of_each(seed: int) -> None:
    """Runs that share a store, and its transactions, have the rows that each has alone."""
    requests = tuple(_whole().requests)
    expected: Rows = {}
    for name in CASES:
        for table, rows in _expected(name).items():
            expected.setdefault(table, []).extend(rows)
    expected = {table: sorted(rows, key=repr) for table, rows in expected.items()}
    expected["otel_schema"] = expected["otel_schema"][:1]
    assert _rows(requests, shuffled_delivery(len(requests), seed)) == expected


@pytest.mark.parametrize("name", sorted(CASES))
def test_one_transaction_gives_the_rows_of_many(name: str) -> None:
    """A whole run in one transaction, forwards, backwards or twice, is a run in many."""
    requests = tuple(_case(name).requests)
    forwards = [(index, Joint.TRANSACTION) for index in range(len(requests))]
    for delivery in (forwards, forwards[::-1], forwards + forwards):
        assert _rows(requests, delivery) == _expected(name)


_ENDED = sorted(CASES.keys() - {"going_on"})
"""A span is made when its end is known: what goes on is in the logs alone."""


@pytest.mark.parametrize("name", _ENDED)
def test_spans_give_the_rows_that_logs_give(name: str) -> None:
    """Without the log signal Parsl's tables are filled alike from the spans derived from it."""
    requests = _without_logs(name)
    rows = _rows(requests, in_order(len(requests)))
    assert only_parsls(rows) == only_parsls(_expected(name))


@given(st.sampled_from(_ENDED).flatmap(_of_case_without_logs))
def test_spans_in_any_order_give_the_rows_that_logs_give(delivered: tuple[str, Delivery]) -> None:
    """The same of spans in any order, any of them again, packed in any way."""
    name, delivery = delivered
    rows = _rows(_without_logs(name), delivery)
    assert only_parsls(rows) == only_parsls(_expected(name))


@pytest.mark.parametrize("name", sorted(CASES))
def test_logs_and_spans_together_change_nothing(name: str) -> None:
    """Events and the spans that say them again may both arrive: all rows are those of events."""
    recorded = tuple(_case(name).requests)
    requests = (*recorded, *derived_spans(_case(name)))
    for delivery in (in_order(len(requests)), in_order(len(requests))[::-1]):
        assert _rows(requests, delivery) == _expected(name)
