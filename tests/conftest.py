"""What all tests share: how hypothesis searches, and that no test leaves a program running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.strays import end_strays

pytest_plugins = ["tests.support.backend_fixtures"]

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _nothing_goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a test's Parsl programs have left in its folder."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None and next(folder.rglob("runinfo"), None) is not None:
        end_strays(folder)
