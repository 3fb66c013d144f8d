"""
Every plot: a public function of a data frame that returns a HoloViews element.

The columns of the frames stand in ``otel_parsl_dashboards.data.frames``. The same function serves
the page, a notebook and the report.
"""
