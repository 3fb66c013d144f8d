"""What tries used, as their samples say: from each sample to the next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.levels import Amounts


def located(samples: pd.DataFrame, tries: pd.DataFrame) -> pd.DataFrame:
    """
    Return samples by task, try and time, with the app, host, start and end of their tries.

    Args:
        samples: A frame of samples; those of tries that are not there are left out.
        tries: A frame of tries.
    """
    row, is_there = frames.places_of_tries(samples, tries)
    sample = np.flatnonzero(is_there & samples["time"].notna().to_numpy())
    sample = sample[np.lexsort((samples["time"].to_numpy()[sample], row[sample]))]
    found = samples.iloc[sample].reset_index(drop=True)
    return found.assign(
        **{name: tries[name].array[row[sample]] for name in ("app", "host", "running", "ended")}
    )


def intervals(
    samples: pd.DataFrame, tries: pd.DataFrame, *, until: np.datetime64, counts_from_try: bool
) -> pd.DataFrame:
    """
    Return what each try used from its start to its first sample, and from each to the next.

    Cores are the CPU seconds between two samples over the time between them; NaN after the last
    sample of a try that ended. Memory is what the sample at the end of that time said, and after
    the last what that one said.

    Args:
        samples: A frame of samples.
        tries: A frame of tries, ascending.
        until: Up to when tries that have not ended are taken to run.
        counts_from_try: Whether CPU seconds begin with the try, as ours do. Parsl's begin with the
            worker, so that nothing is known before a try's first sample.
    """
    found = located(samples, tries)
    time = found["time"].to_numpy()
    cpu = found["cpu_user_s"].to_numpy() + found["cpu_system_s"].to_numpy()
    memory = found["memory_bytes"].to_numpy()
    ended = found["ended"].to_numpy()
    ids = found["task_id"].to_numpy(), found["try_id"].to_numpy()
    is_next = np.append(False, (np.diff(ids[0]) == 0) & (np.diff(ids[1]) == 0))[: len(found)]
    is_first, is_last = ~is_next, np.append(~is_next[1:], True)[: len(found)]
    begun = np.where(is_first, found["running"].to_numpy(), np.roll(time, 1))
    used = np.where(is_first, cpu if counts_from_try else np.nan, cpu - np.roll(cpu, 1))
    lasted = (time - begun).astype("timedelta64[us]").astype("float64")
    with np.errstate(divide="ignore", invalid="ignore"):
        # A child that has been waited for may take its seconds with it.
        cores = np.maximum(used, 0) / (lasted / 1e6)
    tail_end = ended[is_last].copy()
    tail_end[np.isnat(tail_end)] = until
    tail_cores = np.where(np.isnat(ended), cores, np.nan)[is_last]
    rows = np.concatenate([np.arange(len(found)), np.flatnonzero(is_last)])
    result = pd.DataFrame(
        {
            **{name: found[name].array[rows] for name in ("task_id", "try_id", "app", "host")},
            "start": np.concatenate([begun, time[is_last]]).astype(frames.TIME),
            "end": np.concatenate([time, tail_end]).astype(frames.TIME),
            "cores": np.concatenate([cores, tail_cores]),
            "memory_bytes": np.concatenate([memory, memory[is_last]]),
        }
    )
    is_some = result["end"].to_numpy() > result["start"].to_numpy()
    return result[is_some].reset_index(drop=True)


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
    known = used[used["cores"].notna()]
    lasted = frames.seconds(known["end"], known["start"])
    summed = pd.DataFrame(
        {by: known[by].astype(str), "cpu_s": known["cores"] * lasted, "lasted_s": lasted}
    )
    by_name = summed.groupby(by).sum()
    return by_name["cpu_s"] / by_name["lasted_s"]


def cores_by_task(used: pd.DataFrame) -> pd.DataFrame:
    """
    Return the cores that each task kept busy on average, while its tries ran: column ``cores``.

    Args:
        used: Of ``intervals``; what is not known of is left out.
    """
    known = used[used["cores"].notna()]
    lasted = frames.seconds(known["end"], known["start"])
    summed = (
        pd.DataFrame(
            {"task_id": known["task_id"], "cpu_s": known["cores"] * lasted, "lasted_s": lasted}
        )
        .groupby("task_id")
        .sum()
    )
    return pd.DataFrame({"cores": summed["cpu_s"] / summed["lasted_s"]}).reset_index()


def by_task(found: pd.DataFrame, *more: str) -> pd.DataFrame:
    """
    Return the figures of each task: most CPU seconds, mean and most memory of its samples.

    Args:
        found: A frame of samples.
        more: Columns beside the task that tell its figures apart, as ``host``.
    """
    if not len(found):
        # Grouped by pandas, nothing has categories that break once there are more than 127.
        memory = found["memory_bytes"]
        return found[["task_id", *more]].assign(
            cpu_user_s=found["cpu_user_s"], memory_mean_bytes=memory, memory_max_bytes=memory
        )
    grouped = found.groupby(["task_id", *more], observed=True)
    return grouped.agg(
        cpu_user_s=("cpu_user_s", "max"),
        memory_mean_bytes=("memory_bytes", "mean"),
        memory_max_bytes=("memory_bytes", "max"),
    ).reset_index()
