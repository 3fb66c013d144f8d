"""
The samples of tries, read all values at once.

A sample is a metric for each of its values, each with one point, and most of what there is to read.
Samples are alike to the byte but for times, values and ids; so where these stand is worked out once
for each layout, and what stands between them is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from otel_parsl_collector.materialise.points import DOUBLE_TAG, INTEGER_TAG, single_point

_MOST = 256
_POINT = 5
"""What is taken apart of each metric: its head, time, kind of value, value, attributes."""
_FORMS = {DOUBLE_TAG: "d", INTEGER_TAG: "q"}


class SampleValues(NamedTuple):
    """What the metrics of one sample say."""

    time_ns: int
    attributes: bytes
    """Of the first point, encoded: it says more than the others, and what they say."""
    values: tuple[float | None, ...]


class _Layout(NamedTuple):
    struct: Struct
    heads: tuple[bytes, ...]
    kinds: tuple[bytes, ...]
    columns: tuple[int, ...]


class SampleLayouts:
    """
    What samples have looked like so far.

    Args:
        columns: The column of each value, by the name of its metric, in order; a sample begins with
            the first.
    """

    def __init__(self, columns: Mapping[str, int]) -> None:
        self._columns = {
            b"\x0a%c%b\x1a" % (len(name), name.encode()): column for name, column in columns.items()
        }
        self._first = next(iter(self._columns))
        self._known: dict[tuple[int, ...], _Layout] = {}

    def read(self, metrics: Sequence[bytes]) -> list[SampleValues] | None:
        """Return the samples, one after the other; None where any is not as we write it."""
        starts = [at for at, data in enumerate(metrics) if data.startswith(self._first)]
        if starts[:1] != [0]:
            return None
        samples = []
        for start, end in zip(starts, (*starts[1:], len(metrics)), strict=True):
            sample = self._read_one(metrics[start:end])
            if sample is None:
                return None
            samples.append(sample)
        return samples

    def _read_one(self, metrics: Sequence[bytes]) -> SampleValues | None:
        sizes = tuple(map(len, metrics))
        layout = self._known.get(sizes) or self._learn(sizes, metrics)
        if layout is None:
            return None
        parts = layout.struct.unpack(b"".join(metrics))
        times, attributes = parts[1::_POINT], parts[4::_POINT]
        if (
            parts[::_POINT] != layout.heads
            or parts[2::_POINT] != layout.kinds
            or times.count(times[0]) != len(times)
            or attributes.count(attributes[-1]) < len(times) - 1
            or not attributes[0].startswith(attributes[-1])
        ):
            self._learn(sizes, metrics)
            return None
        values = parts[3::_POINT]
        if len(values) != len(self._columns):
            of_column = dict(zip(layout.columns, values, strict=True))
            values = tuple(of_column.get(column) for column in range(len(self._columns)))
        return SampleValues(times[0], attributes[0], values)

    def _learn(self, sizes: tuple[int, ...], metrics: Sequence[bytes]) -> _Layout | None:
        form, heads, kinds, columns = "<", [], [], []
        for data in metrics:
            start = single_point(data)
            column = self._columns.get(data[: data[1] + 3]) if start else None
            if start is None or column is None:
                return None
            kind = data[start + 9]
            form += f"{start + 1}sQ1s{_FORMS[kind]}{len(data) - start - 18}s"
            heads.append(data[: start + 1])
            kinds.append(bytes([kind]))
            columns.append(column)
        if columns != sorted(set(columns)) or columns[:1] != [0] or len(columns) < 2:
            return None
        if len(self._known) >= _MOST:
            self._known.clear()
        layout = _Layout(Struct(form), tuple(heads), tuple(kinds), tuple(columns))
        self._known[sizes] = layout
        return layout
