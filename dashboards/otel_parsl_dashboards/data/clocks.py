"""
How far the clocks of hosts are from that of the submit host, as far as tries tell.

A try begins on a worker after it was launched, and ends there before it is back: by clocks that
agree. So each try bounds how far a worker's clock is ahead: by what it seems to have waited from
above, and by what its result seems to have gained on its way back from below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.lanes import natural


class Clock(NamedTuple):
    """How far a host's clock is ahead of the submit host's."""

    host: str
    tries: int
    """How many tell of it."""
    least_s: float
    """At least so far; -inf if nothing bounds it from below."""
    most_s: float
    """At most so far; +inf if nothing bounds it from above."""

    @property
    def is_off(self) -> bool:
        """Whether it is certainly another than the submit host's."""
        return self.least_s > 0 or self.most_s < 0

    @property
    def has_moved(self) -> bool:
        """Whether no single distance explains all tries: a clock was set, or drifts."""
        return self.least_s > self.most_s


def clocks(tries: pd.DataFrame) -> list[Clock]:
    """
    Return the clocks of all hosts that ran tries, naturally sorted.

    Args:
        tries: A frame of tries.
    """
    host = tries["host"].cat.codes.to_numpy()
    names = list(tries["host"].cat.categories)
    most = frames.seconds(tries["running"], tries["launched"])
    least = frames.seconds(tries["ended"], tries["returned"])
    # Where no worker said when it was done, the end is the return itself.
    least[least == 0] = np.nan
    is_told = ~(np.isnan(most) & np.isnan(least)) & tries["running"].notna().to_numpy()
    told = pd.DataFrame({"least": least, "most": most})[is_told].groupby(host[is_told])
    places = range(len(names))
    lower = told["least"].max().reindex(places).fillna(-np.inf).to_numpy()
    upper = told["most"].min().reindex(places).fillna(np.inf).to_numpy()
    counts = np.bincount(host[is_told], minlength=len(names))
    found = [
        Clock(str(name), int(counts[code]), float(lower[code]), float(upper[code]))
        for code, name in enumerate(names)
        if name and counts[code]
    ]
    return sorted(found, key=lambda clock: natural(clock.host))
