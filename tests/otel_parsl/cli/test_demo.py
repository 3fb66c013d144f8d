"""``otel-parsl demo``: what it says before and after its run; ``test_live`` runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from otel_parsl.cli.demo import DIRECTORY, hints, own_path
from tests.support.command_line import otel_parsl


def test_folder_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the demo's folder is to be is one sentence and code 3, and stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / DIRECTORY).write_text("mine")

    ran = otel_parsl("demo")

    assert ran == (
        3,
        "",
        f"otel-parsl demo: {tmp_path / DIRECTORY} cannot be made: File exists."
        " Go to a folder that you may write to and that has nothing else of this name\n",
    )
    assert (tmp_path / DIRECTORY).read_text() == "mine"


@pytest.mark.parametrize("is_on_path", [True, False])
def test_commands_are_told_as_they_can_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_path: bool
) -> None:
    """The program is named where its name leads to it, and else by its path."""
    own, other = tmp_path / "an environment" / "otel-parsl", tmp_path / "other" / "otel-parsl"
    for script in (own, other):
        script.parent.mkdir()
        script.touch(0o755)
    folders = [own.parent, other.parent] if is_on_path else [other.parent, own.parent]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["an environment/otel-parsl", "demo"])

    lines = hints(own_path()).splitlines()

    called = "otel-parsl" if is_on_path else f"'{own}'"
    assert lines[:3] == [
        "Look at it:",
        "  cd otel-parsl-demo",
        f"  {called} visualize              pages in a browser",
    ]
    added = f"To call it otel-parsl, as above: export PATH='{own.parent}':$PATH"
    assert (added in lines) is not is_on_path
