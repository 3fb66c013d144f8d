"""What the tries of a run used, worked out once for all pages that show it."""

from __future__ import annotations

import pandas as pd

from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.elements import usage


def used(snapshot: Snapshot) -> pd.DataFrame:
    """Return what tries used from sample to sample, of the whole run: ``usage.intervals``."""
    found: pd.DataFrame = snapshot.once(
        "usage",
        lambda: usage.intervals(
            located(snapshot),
            snapshot.tries,
            until=snapshot.until,
            counts_from_try=snapshot.run.is_ours,
        ),
    )
    return found


def located(snapshot: Snapshot) -> pd.DataFrame:
    """Return the samples of the whole run, each with its app and host: ``usage.located``."""
    found: pd.DataFrame = snapshot.once(
        "located", lambda: usage.located(snapshot.samples, snapshot.tries)
    )
    return found
