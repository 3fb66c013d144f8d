"""A value that no row can hold costs its own item alone, in any store and whatever it is."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_collector.component import Outcome
from otel_parsl_collector.exporters.parsl_sql import KeepingStore, ParslSqlExporter
from otel_parsl_collector.exporters.refused_file import RefusedFile
from otel_parsl_collector.signals import SIGNALS
from sqlalchemy import create_engine, select

from otel_parsl import semconv
from otel_parsl.schema import task
from otel_parsl.spool import Frame, Place, _whole_frames
from otel_parsl.wire import LOGS
from tests.support.otlp_requests import parsl_events

RUN_ID = "0c5dba1a-0000-4000-8000-000000000001"
BEHIND = {"submit": Place(1, 99)}


def _store(url: str, directory: Path) -> KeepingStore:
    return KeepingStore(
        ParslSqlExporter(url, spool="spool"), RefusedFile(directory / "refused.otlp")
    )


def _names(url: str) -> dict[int, str]:
    """Return what the tasks of a store are called, in their order."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            query = select(task.c.task_id, task.c.task_func_name).order_by(task.c.task_id)
            return {row[0]: row[1] for row in connection.execute(query)}
    finally:
        engine.dispose()


def _tasks(url: str) -> list[int]:
    return list(_names(url))


def _events(*task_ids: int) -> Any:
    return SIGNALS[LOGS].request.FromString(parsl_events(RUN_ID, *task_ids))


def _record_of(request: Any, task_id: int) -> Any:
    """Return the event of a task; the first record is that of the run's start."""
    records = request.resource_logs[0].scope_logs[0].log_records
    return next(
        record
        for record in records
        for attribute in record.attributes
        if attribute.key == semconv.TASK_ID and attribute.value.int_value == task_id
    )


def _value(record: Any, key: str) -> Any:
    return next(pair.value for pair in record.attributes if pair.key == key)


def _frames(*requests: Any) -> list[Frame]:
    return [
        Frame(LOGS, request.SerializeToString(), Place(1, n)) for n, request in enumerate(requests)
    ]


def _set_aside(directory: Path) -> list[Any]:
    """Return the records in the file of what was set aside."""
    data = (directory / "refused.otlp").read_bytes()
    requests = [SIGNALS[LOGS].request.FromString(data[a:b]) for _, a, b in _whole_frames(data)]
    return [
        record
        for request in requests
        for group in request.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


def _too_late(record: Any) -> None:
    record.time_unix_nano = (1 << 64) - 1


def _list_for_a_number(record: Any) -> None:
    _value(record, semconv.TASK_ID).array_value.values.add().int_value = 7


def _list_for_a_text(record: Any) -> None:
    _value(record, semconv.APP_NAME).array_value.values.add().string_value = "odd"


@pytest.mark.parametrize("spoil", [_too_late, _list_for_a_number, _list_for_a_text])
def test_one_item_is_set_aside_and_its_neighbours_are_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Any
) -> None:
    """Of two requests with ten tasks the one odd event is kept in a file, counted and said."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    odd = _events(*range(5, 10))
    record = _record_of(odd, 7)
    spoil(record)
    store = _store(url, tmp_path)
    with caplog.at_level(logging.ERROR):
        outcome = store.consume(_frames(_events(*range(5)), odd), BEHIND)
    places = store.places()
    store.close()
    assert _tasks(url) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert _set_aside(tmp_path) == [record]
    assert (outcome, store.refused) == (Outcome({LOGS: 11}, {LOGS: 1}), 1)
    assert places == BEHIND
    (said,) = caplog.messages
    path = tmp_path / "refused.otlp"
    assert said.startswith(f"1 log_records are set aside in {path}: no row can hold it: ")


def test_nul_is_stored_escaped_by_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """A NUL, for which PostgreSQL's text has no room, is written as what it is called."""
    odd = _events(0, 1, 2)
    _value(_record_of(odd, 1), semconv.APP_NAME).string_value = "a\0b"
    store = _store(postgres_url, tmp_path)
    refused = store.store(_frames(odd), BEHIND)
    store.close()
    assert _tasks(postgres_url) == [0, 1, 2]
    assert refused == {}
    assert _names(postgres_url)[1] == "a\\x00b"


def test_what_is_no_request_is_set_aside_whole(tmp_path: Path) -> None:
    """Bytes that cannot be decoded, or are of no signal, are kept as they are."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = _store(url, tmp_path)
    (sound,) = _frames(_events(0))
    torn, stranger = Frame(LOGS, b"\xff" * 9, Place(1, 2)), Frame(9, b"what", Place(1, 3))
    assert store.store([torn, sound, stranger], BEHIND) == {LOGS: 1, 9: 1}
    store.close()
    assert _tasks(url) == [0]
    data = (tmp_path / "refused.otlp").read_bytes()
    kept = [(signal, data[start:end]) for signal, start, end in _whole_frames(data)]
    assert kept == [(LOGS, b"\xff" * 9), (9, b"what")]


def test_file_of_what_is_refused_has_a_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond its bound nothing is added, and that is said; what is in it stays whole."""
    path = tmp_path / "refused.otlp"
    file = RefusedFile(path, max_bytes=100)
    with caplog.at_level(logging.ERROR):
        for _ in range(9):
            file.add(LOGS, b"\xff" * 20, "told so")
    assert path.stat().st_size == 96
    assert caplog.messages == [
        f"1 log_records are set aside in {path}: told so",
        f"1 log_records are dropped: told so. {path} holds its most, 100 bytes, already",
    ]


_ODD_VALUES = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: {"int_value": n}),
    st.floats().map(lambda x: {"double_value": x}),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda t: {"string_value": t}),
    st.binary().map(lambda b: {"bytes_value": b}),
    st.booleans().map(lambda b: {"bool_value": b}),
    st.just({"array_value": {}}),
    st.just({"kvlist_value": {}}),
)


@given(data=st.data(), time_ns=st.integers(0, (1 << 64) - 1))
def test_whatever_a_value_is_the_others_are_stored(data: st.DataObject, time_ns: int) -> None:
    """Any attribute of an event may be anything: nothing is raised, its neighbours are rows."""
    odd = _events(0, 1, 2)
    record = _record_of(odd, 1)
    record.time_unix_nano = time_ns
    pair = data.draw(st.sampled_from(list(record.attributes)))
    attribute = type(pair.value)(**data.draw(_ODD_VALUES))
    pair.value.CopyFrom(attribute)
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/store.db"
        store = _store(url, Path(name))
        store.store(_frames(odd), BEHIND)
        places = store.places()
        store.close()
        assert {0, 2} <= set(_tasks(url))
    assert places == BEHIND
