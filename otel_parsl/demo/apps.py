"""The apps of the demo: a toy survey of the sky."""

from __future__ import annotations

from typing import Any

from parsl import bash_app, join_app, python_app


@python_app
def observe(field: int, seconds: float = 0.3) -> list[float]:
    """Use memory and CPU for a while, and return what was seen."""
    import random
    import time

    ballast = bytearray(20_000_000 + 2_000_000 * field)
    numbers = random.Random(field)
    end = time.monotonic() + seconds
    seen = [0.0]
    while time.monotonic() < end:
        seen = sorted(numbers.random() for _ in range(2000))
    return [*seen[:3], float(len(ballast))]


@python_app
def calibrate(image: list[float], night: int) -> list[float]:
    """Fail on the first try of some nights: a retry helps."""
    import os
    import pathlib

    marker = pathlib.Path(f"calibrated-{night}")
    if night % 4 == 0 and not marker.exists():
        marker.write_text(str(os.getpid()))
        raise ConnectionError(f"catalogue server 10.0.0.{night} did not answer")
    return [value * 1.5 for value in image]


@python_app
def subtract(image: list[float], reference: list[float], field: int) -> float:
    """Fail for one field whatever one does."""
    if field == 5:
        raise ValueError(f"field {field}: image and reference differ in shape")
    return sum(a - b for a, b in zip(image, reference, strict=True))


@bash_app
def archive(field: int, inputs: Any = (), stdout: str | None = None) -> str:
    """Write a line to a file, by the shell."""
    return f"echo archived field {field}"


@bash_app
def publish(field: int, stderr: str | None = None) -> str:
    """Fail with an exit code."""
    return f"echo no permission to publish field {field} >&2; exit 3"


@python_app
def summarise(inputs: Any = ()) -> float:
    """Join what some fields gave."""
    mean: float = sum(inputs) / max(1, len(inputs))
    return mean


@join_app
def mosaic(fields: int) -> list[Any]:
    """Submit tasks from inside a task, and stand for their results."""
    return [observe(field, seconds=0.1) for field in range(fields)]
