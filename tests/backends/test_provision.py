"""provision.py keeps its word about what is finished, what is missing, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends import catalogue
from tests.backends.catalogue import JAEGER, OTELCOL

SCRIPT = Path(catalogue.__file__).with_name("provision.py")
# Stands in for the compiler: notes each call and writes what `-o` names.
GOOD_GO = """
echo "$1" >> "$XDG_CACHE_HOME/calls"
while [ $# -gt 0 ]; do
    if [ "$1" = -o ]; then echo program > "$2"; chmod +x "$2"; fi
    shift
done
"""
FAILING_GO = "echo 'no such module' >&2; exit 1"
KILLED_WHILE_BUILDING = (
    GOOD_GO + 'if [ -n "$(find .. -name jaeger -type f)" ]; then kill -9 $PPID; fi'
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of finished builds, empty, for this process and those it starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return catalogue.cache_dir()


def provision(*arguments: str, go: str, ci: str = "") -> tuple[int, list[str]]:
    """Run the script with a go command of the test's; return its exit code and its lines."""
    home = Path(os.environ["XDG_CACHE_HOME"])
    fake = home / "bin" / "go"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(f"#!/bin/sh\n{go}\n")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "CI": ci}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_second_run_builds_nothing(cache: Path) -> None:
    """What was built once is found by the next run, which does not call the compiler."""
    first = provision("--only", "jaeger", go=GOOD_GO)
    calls = (cache.parents[1] / "calls").read_text().split()
    second = provision("--only", "jaeger", go=FAILING_GO)

    program = cache / f"jaeger-{JAEGER.version}" / "jaeger"
    assert (["list", "build"], program) == (calls, JAEGER.find())
    assert (0, f"All ready: jaeger {JAEGER.version}.") == (first[0], first[1][-1])
    expected = [
        f"Backends of the tests, kept in {cache}",
        f"  jaeger {JAEGER.version}    ready: {program}",
        f"All ready: jaeger {JAEGER.version}.",
    ]
    assert (0, expected) == second


@pytest.mark.parametrize(("ci", "exit_code"), [("", 0), ("true", 1)])
def test_failed_build_is_named_last(cache: Path, ci: str, exit_code: int) -> None:
    """The last line names a failed build and its command: no error for a person, one in CI."""
    code, lines = provision("--only", "jaeger", go=FAILING_GO, ci=ci)

    assert exit_code == code
    assert lines[-1] == (
        f"Missing: jaeger {JAEGER.version}: go ended with exit code 1, see {cache}/jaeger.log. "
        "To have it: python tests/backends/provision.py --only jaeger"
    )
    assert any(line.endswith("| no such module") for line in lines)
    assert JAEGER.find() is None


def test_killed_build_is_begun_again(cache: Path) -> None:
    """A build killed halfway is not taken for a finished one, and leaves nothing behind."""
    code, _ = provision("--only", "jaeger", go=KILLED_WHILE_BUILDING)
    after_kill = JAEGER.find()
    again, _ = provision("--only", "jaeger", go=GOOD_GO)

    assert (code, after_kill, again) == (-9, None, 0)
    assert JAEGER.find() is not None
    assert ["jaeger-" + JAEGER.version, "jaeger.lock", "jaeger.log"] == sorted(os.listdir(cache))


def test_changed_recipe_is_built_again(cache: Path) -> None:
    """A build of another go.mod, go.sum or manifest is not taken for today's, and is replaced."""
    provision("--only", "otelcol", go=GOOD_GO)
    (OTELCOL.install_dir / catalogue.RECIPE_FILE).write_text("of another day")
    outdated = OTELCOL.find()
    code, lines = provision("--only", "otelcol", go=GOOD_GO)

    assert (None, 0, f"All ready: otelcol {OTELCOL.version}.") == (outdated, code, lines[-1])
    assert OTELCOL.find() is not None


def test_check_builds_nothing(cache: Path) -> None:
    """With --check the script says what is missing and calls no compiler."""
    code, lines = provision("--only", "jaeger", "--check", go=GOOD_GO, ci="1")

    assert (code, cache.exists()) == (1, False)
    assert lines[-1].startswith(f"Missing: jaeger {JAEGER.version}: not provisioned. To have it: ")


def test_manifest_has_the_versions_of_go_mod() -> None:
    """Each component in the OpenTelemetry Collector's manifest stands in go.mod at its version."""
    manifest = (OTELCOL.module_dir / "manifest.yaml").read_text()
    go_mod = (OTELCOL.module_dir / "go.mod").read_text()

    components = set(re.findall(r"gomod: (\S+ v\S+)", manifest))
    assert components != set()
    assert components == components & set(re.findall(r"^\t(\S+ v\S+)", go_mod, re.MULTILINE))
    assert OTELCOL.version in manifest
