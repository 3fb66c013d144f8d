"""
The lines that a worker and its helper process write to each other.

Flow: sampler_client -> **begin, end** -> sampler_process -> **readings** -> sampler_client
The helper knows nothing of tries but a number, which it sends back with every reading.
The helper loads this file, and so ``json`` is loaded by the worker's end alone.
"""

from __future__ import annotations

from otel_parsl.sampling.process_usage import Reading, Usage

END = b"end\n"
"""No try is running."""

_FIELDS = (
    "time_ns",
    "pid",
    "reaped_voluntary",
    "reaped_involuntary",
    "children_count",
    "memory_total_bytes",
    "peak_bytes",
    "peak_seen_bytes",
    "cpu_num",
)


class Begun:
    """
    A try that runs.

    Args:
        interval_s: Between samples; 0 for none.
        began_s: When it began, by ``boot_clock_s``.
        number: What readings of it come back with.
        last_words: What is to be said if the worker ends before it; see ``otel_parsl.last_words``.
    """

    __slots__ = ("began_s", "interval_s", "last_words", "number")

    def __init__(
        self, interval_s: float, began_s: float, number: int, last_words: bytes = b""
    ) -> None:
        self.interval_s = interval_s
        self.began_s = began_s
        self.number = number
        self.last_words = last_words


def begin_line(begun: Begun) -> bytes:
    """Return the line that says that a try runs."""
    words = begun.last_words.hex()
    return f"begin {begun.interval_s!r} {begun.began_s!r} {begun.number} {words}\n".encode()


def parse_state(line: bytes) -> Begun | None:
    """Return the try that runs, or None for the end of one."""
    words = line.decode().split(" ")
    if words[0] != "begin":
        return None
    return Begun(float(words[1]), float(words[2]), int(words[3]), bytes.fromhex(words[4]))


def reading_line(number: int, reading: Reading, dropped: int) -> bytes:
    """
    Return a reading as a line of JSON.

    Args:
        number: The try's number.
        reading: What was read.
        dropped: How many readings had to be given up so far.
    """
    fields = ",".join([_json(getattr(reading, name)) for name in _FIELDS])
    used = ",".join([_json(value) for value in reading.tree.values()])
    status = _json(None) if reading.status is None else f'"{reading.status}"'
    return f"[{number},{dropped},[{fields}],[{used}],{status}]\n".encode()


def parse_reading(line: bytes) -> tuple[int, Reading, int]:
    """
    Return the try's number, the reading and how many were given up so far.

    Raises:
        ValueError: When it is no such line.
    """
    import json

    number, dropped, fields, used, status = json.loads(line)
    reading = Reading()
    for name, value in zip(_FIELDS, fields, strict=True):
        setattr(reading, name, value)
    # The worker reads its own process itself.
    reading.process = Usage()
    reading.tree = Usage(tuple(used))
    reading.status = status
    return number, reading, dropped


def _json(value: float | None) -> str:
    return "null" if value is None else repr(value)
