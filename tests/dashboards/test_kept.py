"""What is made from a run is kept while it is small, and made again when it was let go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from otel_parsl_dashboards.data.sizes import size_of
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole

from tests.support.stored_run import RUN_ID, StoredRun


def test_columns_that_nobody_asks_for_make_room(tmp_path: Path) -> None:
    """Of three large results the one asked for longest ago goes; what is small stays."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url) as run:
        run.task(0, "pending")
        run.ended()
    snapshot = read_whole(Source(url), RUN_ID)
    made: Counter[str] = Counter()

    def ask(name: str, megabytes: int) -> np.ndarray:
        def make() -> dict[str, np.ndarray]:
            made[name] += 1
            return {name: np.zeros(megabytes << 20, dtype="uint8")}

        return snapshot.once(name, make)[name]

    ask("small", 0)
    for name in ("first", "second", "first", "third", "first", "third", "second", "small"):
        assert len(ask(name, 0 if name == "small" else 70)) in (0, 70 << 20)

    assert made == {"small": 1, "first": 1, "third": 1, "second": 2}


def test_what_is_shown_goes_last(tmp_path: Path) -> None:
    """A picture may have cost seconds and takes little: what it was made from makes room."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url) as run:
        run.ended()
    snapshot = read_whole(Source(url), RUN_ID)

    def ask(name: str, megabytes: int) -> None:
        snapshot.once(name, lambda: np.zeros(megabytes << 20, dtype="uint8"))

    for name, megabytes in (("picture", 2), ("first", 90), ("second", 90), ("third", 90)):
        ask(name, megabytes)
    kept = {name: snapshot.has_made(name) for name in ("picture", "first", "second", "third")}
    assert kept == {"picture": True, "first": False, "second": False, "third": True}

    for number in range(80):
        ask(f"picture {number}", 2)
    assert not snapshot.has_made("picture"), "there is an end to that too"


def test_what_was_made_last_stays_and_what_it_was_made_from_goes(tmp_path: Path) -> None:
    """Where both do not go together: the one that is asked for is not made again each time."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url) as run:
        run.ended()
    snapshot = read_whole(Source(url), RUN_ID)
    made: Counter[str] = Counter()

    def array(name: str) -> np.ndarray:
        made[name] += 1
        return np.zeros(90 << 20, dtype="uint8")

    def used() -> np.ndarray:
        snapshot.once("located", lambda: array("located"))
        return array("used")

    for _ in range(4):
        snapshot.once("used", used)

    assert made == {"located": 1, "used": 1}


def test_size_is_that_of_the_columns() -> None:
    """Frames, columns and arrays, within whatever holds them; texts count for nothing."""
    column = np.zeros(1000)
    frame = pd.DataFrame({"a": column, "b": pd.Categorical(["x"] * 1000)})

    assert size_of(column) == 8000
    assert 9000 <= size_of(frame) < 9500
    assert size_of({"text": "long" * 1000, "of": [(column, None), frame["a"]]}) < 16_500
    assert size_of((column, {"again": column})) == 16_000
