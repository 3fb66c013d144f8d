"""The phases of a task's tries lie end to end, from its call to its return."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.data.phases import PHASES, Phase, phases_of

from otel_parsl.query.tries import Try

_BEGAN = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.timezone.utc)
_SECONDS = st.integers(0, 100)


def _at(second: int) -> datetime.datetime:
    return _BEGAN + datetime.timedelta(seconds=second)


def _try(try_id: int, times: list[int]) -> Try:
    launched, running, ended, returned = map(_at, times)
    known: dict[str, Any] = {
        "try_id": try_id,
        "launched_at": launched,
        "running_at": running,
        "ended_at": ended,
        "returned_at": returned,
    }
    return Try(**{**dict.fromkeys(Try._fields), **known})


def _phases(
    tries: list[Try], invoked: datetime.datetime, ready: datetime.datetime | None
) -> list[Phase]:
    found = phases_of(
        tries,
        app="double",
        invoked_at=invoked,
        ready_at=ready,
        returned_at=tries[-1].returned_at,
        until=None,
        joining={},
        staging=None,
    )
    return [phase for of_try in found for phase in of_try]


@given(st.lists(_SECONDS, min_size=9, max_size=9).map(sorted), st.none() | _SECONDS)
def test_no_time_between_call_and_return_is_missing(times: list[int], ready: int | None) -> None:
    """Whenever its dependencies were done, a task is in one phase at each moment."""
    tries = [_try(0, times[1:5]), _try(1, times[5:])]
    ready_at = None if ready is None else _at(ready)

    phases = _phases(tries, _at(times[0]), ready_at)

    assert (phases[0].start, phases[-1].end) == (_at(times[0]), _at(times[-1]))
    assert all(left.end == right.start for left, right in pairwise(phases))
    assert all(phase.took_s is not None for phase in phases)
    places = [PHASES.index(phase.name) for phase in phases]
    assert places.count(PHASES.index("returning")) == 2
    waited = sum(phase.took_s or 0 for phase in phases if phase.name == "waiting")
    until = times[1] if ready is None else min(max(ready, times[0]), times[1])
    assert waited == until - times[0]


def test_clock_that_went_back_is_told() -> None:
    """A task launched before it was called, by a clock that was set back, waited nobody knows."""
    phases = _phases([_try(0, [10, 31, 32, 33])], _at(30), _at(30))

    assert [(phase.name, phase.took_s) for phase in phases[:2]] == [
        ("launching", None),
        ("queued", 21.0),
    ]
