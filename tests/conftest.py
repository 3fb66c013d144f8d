"""What all tests share: how hypothesis searches."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.support.backend_fixtures"]

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("fixed")
