"""The README's install lines, in a new environment, by either tool."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_UV = Path(sys.executable).with_name("uv")


def _lines() -> dict[str, str]:
    """Return the README's line for each tool, and what it says to do after it."""
    install, fix = re.search(
        r"^## Install\n.*?^```\n(.*?)\n(.*?)\n```", (_ROOT / "README.md").read_text(), re.M | re.S
    ).groups()  # type: ignore[union-attr]
    pip, uv = re.fullmatch(r"(pip .*?) +# or: (uv .*)", install).groups()  # type: ignore[union-attr]
    return {"pip": pip, "uv": uv, "fix": fix.partition("#")[0].strip()}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_readmes_lines_install_a_program_that_runs_monitored(tool: str, tmp_path: Path) -> None:
    """After the README's lines the demo runs and has its pages, and ``parsl-visualize`` is ours."""
    venv = tmp_path / "venv"
    make = [sys.executable, "-m", "venv"] if tool == "pip" else [str(_UV), "venv", "--quiet"]
    subprocess.run([*make, str(venv)], check=True)
    path = os.pathsep.join([str(venv / "bin"), str(_UV.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(venv), "CI": "true"}

    def run(line: str, cwd: Path) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(_lines()[tool], _ROOT)
    run(_lines()["fix"], tmp_path)
    printed = run("otel-parsl demo", tmp_path)
    helped = run("parsl-visualize --help", tmp_path)

    assert printed.splitlines()[-1].startswith("dashboard ok")
    assert "--root-path" in helped
