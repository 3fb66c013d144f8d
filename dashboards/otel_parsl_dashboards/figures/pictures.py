"""How a picture of bytes becomes a figure's image."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
from holoviews.plotting.bokeh.raster import RGBPlot


def picture_columns(picture: hv.RGB) -> dict[str, Any] | None:
    """Return a picture as the columns of its glyph; None for one not of four bytes a pixel."""
    pixels = picture.data
    is_plain = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not is_plain or pixels.shape[2:] != (4,):
        return None
    # Bokeh has the first row at the bottom, and a pixel as one number.
    image = np.ascontiguousarray(pixels[::-1]).view(np.uint32)[..., 0]
    left, bottom, right, top = picture.bounds.lbrt()
    return {
        "image": [image],
        "x": [left],
        "y": [bottom],
        "dw": [right - left],
        "dh": [top - bottom],
    }


class PicturePlot(RGBPlot):  # type: ignore[misc]
    """
    HoloViews' plot of ``RGB``, for pictures of four bytes a pixel.

    HoloViews itself allows for numbers that are none and for colours between 0 and 1, and looks
    for them: 15 ms for a picture as large as a plot, where this takes one.
    """

    def get_data(
        self, element: hv.RGB, ranges: dict[Any, Any], style: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
        """Return the columns of the glyph, where they go, and its style: as HoloViews asks."""
        data = None if self.static_source or self.invert_axes else picture_columns(element)
        if data is None:
            return super().get_data(element, ranges, style)  # type: ignore[no-any-return]
        return data, {name: name for name in data}, style
