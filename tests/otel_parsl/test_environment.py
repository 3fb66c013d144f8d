"""Variables of a process that change with every try, as its code and what it starts see them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_parsl import environment
from otel_parsl.environment import set_variable, unset_variable

NAME = "OTEL_PARSL_TESTED"
_GETENV = ctypes.CDLL(None).getenv
_GETENV.restype = ctypes.c_char_p


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Leave the environment of this process as it was."""
    yield
    environment._putenv.cache_clear()
    unset_variable(NAME)


def _seen_by_child() -> str:
    command = [sys.executable, "-S", "-c", f"import os; print(ascii(os.environ.get({NAME!r})))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("has_ctypes", [True, False])
def test_code_and_what_it_starts_see_the_same(
    monkeypatch: pytest.MonkeyPatch, has_ctypes: bool
) -> None:
    """Short values, long ones after them, the user's own in between, and none in the end."""
    if not has_ctypes:
        environment._putenv.cache_clear()
        monkeypatch.setitem(sys.modules, "ctypes", None)
    for value in ("short", "long" * 1000, "", "Grüße"):
        set_variable(NAME, value)
        assert os.environ[NAME] == value
        assert _seen_by_child() == ascii(value)
        os.environ[NAME] = "the user's"
        assert _seen_by_child() == ascii("the user's")
    unset_variable(NAME)
    assert NAME not in os.environ
    assert _seen_by_child() == "None"
    unset_variable(NAME)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_code_in_c_sees_the_last_value(values: list[str]) -> None:
    """Whatever was there before, longer or shorter."""
    for value in values:
        set_variable(NAME, value)
        assert os.fsdecode(_GETENV(NAME.encode())) == os.environ[NAME] == value


def test_values_of_the_past_take_no_memory() -> None:
    """The C library would keep 100 bytes of each: 20 MB here, and gigabytes in a busy worker."""
    set_variable(NAME, "0" * 60)
    held = psutil.Process().memory_info().rss
    for number in range(200_000):
        set_variable(NAME, f"{number:060}")
        unset_variable(NAME)
    assert psutil.Process().memory_info().rss - held < 4e6
