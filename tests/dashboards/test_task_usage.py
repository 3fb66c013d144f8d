"""What a task used over time is drawn in units that its axes can be read in."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from otel_parsl_dashboards.elements.task_usage import (
    cpu_time,
    memory,
    summarise_cpu,
    summarise_memory,
)
from otel_parsl_dashboards.figures.canvas import Canvas

from otel_parsl.cli import words

hv.extension("bokeh", logo=False)  # elements have no options before

BEGAN = np.datetime64("2026-01-01T00:00:00", "us")


@pytest.mark.parametrize(
    ("lasted_us", "time_unit", "last"),
    [(500, "µs", 500.0), (90_000, "ms", 90.0), (90_000_000, "s", 90.0), (7_200_000_000, "h", 2.0)],
)
def test_axes_are_in_the_unit_of_what_they_show(
    lasted_us: int, time_unit: str, last: float
) -> None:
    """Half a millisecond is 500 µs, and no power of ten of a second."""
    samples = pd.DataFrame(
        {
            "try_id": [0, 0],
            "time": BEGAN + np.array([lasted_us // 2, lasted_us], "timedelta64[us]"),
            "cpu_user_s": [lasted_us / 4e6, lasted_us / 2e6],
            "cpu_system_s": [np.nan, lasted_us / 2e6],
        }
    )
    tries = pd.DataFrame({"try_id": [0], "running": [BEGAN]})

    curve, _ = cpu_time(samples, tries)
    since, used = curve.dimensions()

    assert (str(since), str(used)) == (
        f"time since the try began ({time_unit})",
        f"CPU time ({time_unit})",
    )
    assert list(curve.dimension_values(0)) == pytest.approx([last / 2, last])
    assert list(curve.dimension_values(1)) == pytest.approx([last / 4, last])


def test_try_without_samples_has_axes() -> None:
    """Nothing to draw is no error, and counts in seconds."""
    samples = pd.DataFrame(
        {
            "try_id": pd.Series(dtype="int64"),
            "time": pd.Series(dtype="datetime64[us]"),
            "cpu_user_s": pd.Series(dtype="float64"),
            "cpu_system_s": pd.Series(dtype="float64"),
        }
    )
    curve, _ = cpu_time(samples, pd.DataFrame({"try_id": [0], "running": [BEGAN]}))

    assert [str(each) for each in curve.dimensions()] == [
        "time since the try began (s)",
        "CPU time (s)",
    ]


def test_memory_stays_until_the_next_sample() -> None:
    """What lies between two samples of memory is not known: no slope is drawn."""
    seconds = np.array([1, 2, 3])
    samples = pd.DataFrame(
        {
            "try_id": 0,
            "time": BEGAN + seconds.astype("m8[s]"),
            "memory_bytes": [100e6, 300e6, 50e6],
        }
    )
    tries = pd.DataFrame({"try_id": [0], "running": [BEGAN]})

    drawn = Canvas(height=200, is_timed=False).render(lambda: memory(samples, tries)).drawn
    since, used = (list(drawn.data[0][name]) for name in drawn.data[0])

    assert since == [1, 2, 2, 3, 3]
    assert used == [100, 100, 300, 300, 50]


def test_memory_is_in_the_unit_of_all_pages() -> None:
    """The most that is said of a task is what the pages of resources and the command line say."""
    samples = pd.DataFrame(
        {"try_id": [0], "time": BEGAN + np.array([1], "m8[s]"), "memory_bytes": [287_000_000]}
    )

    curve, _ = memory(samples, pd.DataFrame({"try_id": [0], "running": [BEGAN]}))

    assert str(curve.dimensions()[1]) == "memory (MB)"
    assert list(curve.dimension_values(1)) == [287.0]
    assert summarise_memory(samples).endswith(f"at most {words.size(287_000_000)}.")
    assert words.size(287_000_000) == "287 MB"


def test_cpu_time_of_the_worker_before_a_try_is_none_of_it() -> None:
    """Parsl's own hub samples the worker's process, whose counters go on from try to try."""
    samples = pd.DataFrame(
        {
            "try_id": [0, 0, 1],
            "time": BEGAN + np.array([0, 2, 5], "timedelta64[s]"),
            "cpu_user_s": [40.0, 41.5, 60.0],
            "cpu_system_s": [2.0, 2.5, 3.0],
        }
    )
    tries = pd.DataFrame({"try_id": [0, 1], "running": BEGAN + np.array([0, 5], "timedelta64[s]")})

    first, _, second, _ = cpu_time(samples, tries, counts_from_try=False)

    assert str(first.dimensions()[1]) == "since the first sample (s)"
    assert list(first.dimension_values(1)) == [0.0, 2.0]
    assert list(second.dimension_values(1)) == [0.0]
    assert summarise_cpu(samples, counts_from_try=False) == (
        "3 samples. try 0: 2 s since its first sample; try 1: not known, of one sample."
    )
    assert summarise_cpu(samples).startswith("3 samples. try 0: 44 s; ")
