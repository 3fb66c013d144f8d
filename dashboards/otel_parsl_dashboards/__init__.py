"""The pages on a monitoring database: Panel serves them, HoloViews draws every plot."""
