"""How many lines become one glyph of a figure."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
from holoviews.plotting.bokeh.path import ContourPlot


class LinesPlot(ContourPlot):  # type: ignore[misc]
    """
    HoloViews' plot of ``Contours``, for lines that are dicts of arrays.

    HoloViews itself looks in each line for places that are alike, one by one where they are times:
    20 ms a line of 2,400 places, where this takes them as they are.
    """

    def get_data(
        self, element: hv.Contours, ranges: dict[Any, Any], style: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
        """Return the columns of the glyph, where they go, and its style: as HoloViews asks."""
        if self.static_source or self.invert_axes or not _is_plain(element):
            return super().get_data(element, ranges, style)  # type: ignore[no-any-return]
        places = zip(("xs", "ys"), element.kdims, strict=True)
        columns = [*places, *((each.name, each) for each in element.vdims)]
        data = {name: [line[each.name] for line in element.data] for name, each in columns}
        return data, dict(self._mapping), style

    def _element_transform(self, transform: Any, element: hv.Contours, ranges: Any) -> Any:
        """Return what a style is of each line."""
        name = transform.dimension.name
        if transform.ops or not _is_plain(element) or name not in element.vdims:
            return super()._element_transform(transform, element, ranges)
        # Of no line at all, an array of no kind would be numbers, that colours are made for.
        return np.array([line[name] for line in element.data], dtype="object")


def _is_plain(element: hv.Contours) -> bool:
    """Tell whether lines are dicts whose values are arrays, and one for what is of all a line."""
    lines = element.data
    return isinstance(lines, list) and all(isinstance(line, dict) for line in lines)
