"""What the agent of a run spools itself outlives whatever its sources do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_parsl_collector.agent.run_spool import RunSpool

from otel_parsl.rendezvous import DERIVED
from otel_parsl.spool import frame
from otel_parsl.wire import TRACES
from tests.support.platter import Platter


def test_derived_spans_outlive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When they are spooled they are on disk: the events that they are made of may go then."""
    platter = Platter(monkeypatch)
    spool = RunSpool(tmp_path, (), max_bytes=1 << 20, max_age_s=60.0)

    for number in range(3):
        spool.derive([frame(TRACES, b"%d" % number)])
        assert platter.payloads(tmp_path, DERIVED) == [b"%d" % each for each in range(number + 1)]
