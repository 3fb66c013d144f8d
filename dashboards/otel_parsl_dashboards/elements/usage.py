"""
What tries used, as their samples say: from each sample to the next.

Rows go by the million here, so that they are summed by the codes of names, and each frame has the
columns alone that are asked for.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.levels import Amounts

_LOCATED: Final = ("task_id", "try_id", "time", "cpu_user_s", "cpu_system_s", "memory_bytes")


def located(samples: pd.DataFrame, tries: pd.DataFrame) -> pd.DataFrame:
    """
    Return samples by task, try and time, with the app and the host of their tries.

    Args:
        samples: A frame of samples; those of tries that are not there are left out.
        tries: A frame of tries.
    """
    row, is_there = frames.places_of_tries(samples, tries)
    time = samples["time"].to_numpy()
    sample = np.flatnonzero(is_there & ~np.isnat(time))
    row = row[sample]
    order = np.lexsort((time[sample], row))
    row, sample = row[order], sample[order]
    return pd.DataFrame(
        {
            **{name: samples[name].to_numpy()[sample] for name in _LOCATED},
            **{name: tries[name].array[row] for name in ("app", "host")},
        },
        copy=False,
    )


def intervals(
    found: pd.DataFrame, tries: pd.DataFrame, *, until: np.datetime64, counts_from_try: bool
) -> pd.DataFrame:
    """
    Return what each try used from its start to its first sample, and from each to the next.

    Cores are the CPU seconds between two samples over the time between them; NaN after the last
    sample of a try that ended. Memory is what the sample at the end of that time said, and after
    the last what that one said.

    Args:
        found: Of ``located``.
        tries: The same frame of tries.
        until: Up to when tries that have not ended are taken to run.
        counts_from_try: Whether CPU seconds begin with the try, as ours do. Parsl's begin with the
            worker, so that nothing is known before a try's first sample.
    """
    time = found["time"].to_numpy()
    is_first, is_last = frames.ends_of_runs(found["task_id"].to_numpy(), found["try_id"].to_numpy())
    of_try, _ = frames.places_of_tries(found[["task_id", "try_id"]][is_first], tries)
    begun = np.roll(time, 1)
    begun[is_first] = tries["running"].to_numpy()[of_try]
    lasted_s = (time - begun).astype("timedelta64[us]").astype("float64") / 1e6
    cores = found["cpu_user_s"].to_numpy() + found["cpu_system_s"].to_numpy()
    before = np.roll(cores, 1)
    before[is_first] = 0.0 if counts_from_try else np.nan
    cores -= before
    with np.errstate(divide="ignore", invalid="ignore"):
        # A child that has been waited for may take its seconds with it.
        cores = np.maximum(cores, 0, out=cores)
        cores /= lasted_s
    ended = tries["ended"].to_numpy()[of_try]
    goes_on = np.isnat(ended)
    tail_start, tail_end = time[is_last], np.where(goes_on, until, ended)
    is_some, is_tail = time > begun, tail_end > tail_start
    rows = np.concatenate([np.flatnonzero(is_some), np.flatnonzero(is_last)[is_tail]])
    tail_cores = np.where(goes_on, cores[is_last], np.nan)
    return pd.DataFrame(
        {
            **{name: found[name].array[rows] for name in ("task_id", "app", "host")},
            "start": np.concatenate([begun[is_some], tail_start[is_tail]]).astype(frames.TIME),
            "end": np.concatenate([time[is_some], tail_end[is_tail]]).astype(frames.TIME),
            "cores": np.concatenate([cores[is_some], tail_cores[is_tail]]),
            "memory_bytes": found["memory_bytes"].to_numpy()[rows],
        },
        copy=False,
    )


def amounts(used: pd.DataFrame, column: str) -> Amounts:
    """Return what was used, ``cores`` or ``memory_bytes`` of ``intervals``."""
    return Amounts(used["start"].to_numpy(), used["end"].to_numpy(), used[column].to_numpy())


def efficiency(used: pd.DataFrame, by: str) -> pd.Series:
    """
    Return the cores that a try used on average, by app or host.

    Args:
        used: Of ``intervals``.
        by: ``app`` or ``host``.
    """
    names = used[by].cat
    codes, lasted_s, cpu_s = _known(used, names.codes.to_numpy())
    size = len(names.categories)
    lasted = np.bincount(codes, lasted_s, size)
    is_known = np.bincount(codes, minlength=size) > 0
    cores = np.bincount(codes, cpu_s, size)[is_known] / lasted[is_known]
    return pd.Series(cores, names.categories[is_known].astype(str))


def mean_cores(used: pd.DataFrame) -> float | None:
    """Return the cores that a try used on average; None where none is known of."""
    _, lasted_s, cpu_s = _known(used, used["task_id"].to_numpy())
    return float(cpu_s.sum() / lasted_s.sum()) if len(lasted_s) else None


def cores_by_task(used: pd.DataFrame) -> pd.DataFrame:
    """
    Return the cores that each task kept busy on average, while its tries ran: column ``cores``.

    Args:
        used: Of ``intervals``; what is not known of is left out.
    """
    ids, lasted_s, cpu_s = _known(used, used["task_id"].to_numpy())
    task_id, place = np.unique(ids, return_inverse=True)
    cores = np.bincount(place, cpu_s) / np.bincount(place, lasted_s)
    return pd.DataFrame({"task_id": task_id, "cores": cores})


def by_task(found: pd.DataFrame, *more: str) -> pd.DataFrame:
    """
    Return the figures of each task: most CPU seconds, mean and most memory of its samples.

    Args:
        found: Of ``located``.
        more: A column beside the task that tells its figures apart: ``app`` or ``host``.
    """
    ids = [found["task_id"].to_numpy(), *(found[name].cat.codes.to_numpy() for name in more)]
    is_first, _ = frames.ends_of_runs(*ids)
    if (
        is_first.sum() > frames.ends_of_runs(ids[0])[0].sum()
    ):  # a task may come back to where it was
        order = np.lexsort(ids[::-1])
        found = found.iloc[order]
        is_first, _ = frames.ends_of_runs(*(each[order] for each in ids))
    start = np.flatnonzero(is_first)
    memory = found["memory_bytes"].to_numpy()
    return pd.DataFrame(
        {
            **{name: found[name].array[start] for name in ("task_id", *more)},
            "cpu_user_s": _of_runs(np.fmax, found["cpu_user_s"].to_numpy(), start),
            "memory_mean_bytes": _means(memory, start),
            "memory_max_bytes": _of_runs(np.fmax, memory, start),
        },
        copy=False,
    )


def by_name(by_task: pd.DataFrame, by: str) -> pd.DataFrame:
    """
    Return a row an app or host, by its name: what its tasks needed.

    That is how many were ``sampled``, and of them ``cpu_mean_s``, ``cpu_max_s``, ``memory_mean``
    and ``memory_max``; NaN where nothing is known.

    Args:
        by_task: Of ``by_task``, told apart by the same.
        by: ``app`` or ``host``.
    """
    grouped = by_task.groupby(by, observed=True)
    needed = grouped.agg(
        sampled=("task_id", "size"),
        cpu_mean_s=("cpu_user_s", "mean"),
        cpu_max_s=("cpu_user_s", "max"),
        memory_mean=("memory_mean_bytes", "mean"),
        memory_max=("memory_max_bytes", "max"),
    )
    return needed.set_axis(needed.index.astype(str))


def _known(used: pd.DataFrame, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, seconds and CPU seconds of what is known of."""
    cores = used["cores"].to_numpy()
    is_known = ~np.isnan(cores)
    lasted_s = frames.seconds(used["end"][is_known], used["start"][is_known])
    return ids[is_known], lasted_s, cores[is_known] * lasted_s


def _of_runs(keep: np.ufunc, values: np.ndarray, start: np.ndarray) -> np.ndarray:
    kept: np.ndarray = keep.reduceat(values, start) if len(start) else values[:0]
    return kept


def _means(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the mean of what is known of each run; NaN of none."""
    is_known = ~np.isnan(values)
    summed = _of_runs(np.add, np.where(is_known, values, 0.0), start)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = summed / _of_runs(np.add, is_known.astype("float64"), start)
    return mean
