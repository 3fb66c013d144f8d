"""Run the demo's workflow, monitored."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TextIO

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from otel_parsl.demo import apps
from otel_parsl.hub import OTelMonitoringHub

FIELDS = 12
JOINED = 4
_BAR = 30


def run(directory: Path, *, output: TextIO, endpoint: str | None = None) -> str:
    """
    Run the workflow in a directory and return the URL of the database it was recorded in.

    Args:
        directory: Where it runs; made when it is not there.
        output: Takes the progress bar.
        endpoint: An OTLP destination more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    for marker in directory.glob("calibrated-*"):
        marker.unlink()
    # Parsl finds its own programs by PATH, which lacks ours when no environment is activated.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    hub = OTelMonitoringHub(
        workflow_name="otel-parsl demo", resource_monitoring_interval=0.5, endpoint=endpoint
    )
    config = Config(
        executors=[
            HighThroughputExecutor(
                label="workers",
                max_workers_per_node=2,
                encrypted=False,
                provider=LocalProvider(init_blocks=1, max_blocks=1),
            )
        ],
        monitoring=hub,
        retries=1,
        strategy="none",
    )
    with parsl.load(config):
        _wait(_submit(), output)
    return str(hub.logging_endpoint)


def _submit() -> list[Future[Any]]:
    """
    Submit a graph with a failure that a retry mends, one that none does, and its dependents.

    Returns:
        A future for each task; a join app's stands for the tasks that it joins, too.
    """
    reference = apps.observe(100, seconds=0.1)
    differences = []
    futures: list[Future[Any]] = [reference]
    for field in range(FIELDS):
        image = apps.observe(field)
        calibrated = apps.calibrate(image, field)
        difference = apps.subtract(calibrated, reference, field)
        kept = apps.archive(field, inputs=[difference], stdout=f"archive-{field}.txt")
        differences.append(difference)
        futures += (image, calibrated, difference, kept)
    futures.append(apps.publish(3, stderr="publish-3.txt"))
    futures += [apps.mosaic(JOINED)] * (1 + JOINED)  # it is done when what it joins is
    futures.append(apps.summarise(inputs=differences[:4]))
    return futures


def _wait(futures: Sequence[Future[Any]], output: TextIO) -> None:
    is_live = output.isatty()
    shown = -1
    while True:
        done = sum(future.done() for future in futures)
        filled = done * _BAR // len(futures)
        if is_live or filled // 10 > shown // 10:
            bar = "█" * filled + "·" * (_BAR - filled)
            output.write(f"{bar} {done}/{len(futures)} tasks{chr(13) if is_live else chr(10)}")
            output.flush()
            shown = filled
        if done == len(futures):
            break
        time.sleep(0.1)
    if is_live:
        output.write("\n")
