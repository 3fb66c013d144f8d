"""The command line as a whole: its commands, its exit codes and how it behaves as a program."""

from __future__ import annotations

import datetime
import importlib
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from otel_parsl import __version__
from otel_parsl.cli.main import COMMANDS
from tests.support.command_line import (
    PROGRAM,
    otel_parsl,
    otel_parsl_by_path,
    otel_parsl_on_terminal,
)
from tests.support.stored_run import BEGAN, RUN_ID, StoredRun

READING = ("status", "tasks", "failures", "show")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a run leaves it: a database in runinfo/ with one failed task."""
    (tmp_path / "runinfo").mkdir()
    with StoredRun(f"sqlite:///{tmp_path}/runinfo/monitoring.db") as run:
        run.task(0, "pending", "launched", "failed", app="größe", fail_history="ValueError('x')")
        run.ended()
    return tmp_path


def test_help_lists_every_command() -> None:
    """``--help`` names all commands and what the exit codes mean."""
    ran = otel_parsl("--help")

    assert ran.code == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command.name}\s+{re.escape(command.help)}$", ran.output, re.M)
    assert "exit code:\n  0    done, and nothing is wrong\n" in ran.output


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_its_two_functions_and_its_help(command: str) -> None:
    """Each entry of the table names a module that can be asked for its arguments and run."""
    (entry,) = [each for each in COMMANDS if each.name == command]
    module = importlib.import_module(entry.module)

    ran = otel_parsl(command, "--help")

    assert callable(module.add_arguments)
    assert callable(module.run)
    assert (ran.code, ran.error) == (0, "")
    assert ran.output.startswith(f"usage: otel-parsl {command} ")


def test_nothing_asked_shows_the_help() -> None:
    """Without a command the help is shown, as an error."""
    ran = otel_parsl()

    assert (ran.code, ran.output) == (2, "")
    assert ran.error == otel_parsl("--help").output


def test_version_is_told() -> None:
    """``--version`` names program and version."""
    assert otel_parsl("--version")[:2] == (0, f"otel-parsl {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stauts",), "argument COMMAND: invalid choice: 'stauts' (choose from "),
        (("status", "--jsno"), "unrecognized arguments: --jsno"),
        (("tasks", "--state", "sleeping"), "argument --state: invalid choice: 'sleeping'"),
        (
            ("tasks", "--limit", "many"),
            "argument --limit: 'many' is not a number of rows",
        ),
        (("failures", "--limit", "-1"), "argument --limit: "),
    ],
)
def test_wrong_usage_is_code_2(arguments: tuple[str, ...], said: str) -> None:
    """What cannot be understood is told, with the usage and code 2."""
    ran = otel_parsl(*arguments)

    assert (ran.code, ran.output) == (2, "")
    assert ran.error.startswith("usage: ")
    assert said in ran.error


@pytest.mark.parametrize("command", READING)
def test_missing_database_is_code_3(command: str, tmp_path: Path) -> None:
    """A database that is not there is one line on standard error and code 3."""
    assert otel_parsl(command, "--db", tmp_path / "no.db", "--json") == (
        3,
        "",
        f"otel-parsl: database {tmp_path}/no.db: no such file."
        " Parsl keeps it in runinfo/monitoring.db by default\n",
    )


@pytest.mark.parametrize("command", READING)
def test_wrong_database_is_told_with_how_to_name_another(command: str, tmp_path: Path) -> None:
    """A file that is no database is said to be none, with the option that names another."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than the header of one: " * 20)

    assert otel_parsl(command, "--db", path) == (
        3,
        "",
        f"otel-parsl: database {path}: not an SQLite database."
        f" Name another by its path or URL: otel-parsl {command} --db PATH\n",
    )


@pytest.mark.parametrize("command", READING)
def test_unknown_run_is_code_2(command: str, folder: Path) -> None:
    """A run that is not there is told with those that are, and code 2."""
    ran = otel_parsl(command, "nosuch", "--db", folder)

    assert (ran.code, ran.output) == (2, "")
    assert ran.error.startswith("otel-parsl: no run 'nosuch'. There are:\n  8f1d2a4e-")


@pytest.mark.parametrize("command", [*READING, "report"])
def test_name_of_several_runs_is_the_latest(command: str, tmp_path: Path) -> None:
    """A workflow's name stands for its latest run; standard error says which, and of how many."""
    database, latest = tmp_path / "monitoring.db", "c0000000-0000-4000-8000-000000000000"
    for hours, run_id in ((0, RUN_ID), (1, latest)):
        began, rundir = BEGAN + datetime.timedelta(hours=hours), f"/x/runinfo/00{hours}"
        with StoredRun(f"sqlite:///{database}", run_id=run_id, began=began, rundir=rundir) as run:
            run.task(hours, "pending")
            run.ended()
    more = ("-o", tmp_path / "report.html") if command == "report" else ()

    by_name = otel_parsl(command, "corridor.py", *more, "--db", database)

    assert by_name.output == otel_parsl(command, latest, *more, "--db", database).output
    assert (by_name.code, by_name.error) == (
        0,
        f"otel-parsl: 2 runs are named 'corridor.py'; this is the latest, 001 ({latest})\n",
    )


@pytest.mark.parametrize("command", READING)
def test_command_works_by_its_path(command: str, folder: Path) -> None:
    """Without an activated environment, a terminal or input, the current folder's run is shown."""
    ran = otel_parsl_by_path(command, cwd=folder)

    assert (ran.code, ran.error) == (0 if command == "tasks" else 1, "")
    assert "\x1b" not in ran.output
    assert ran.output == otel_parsl(command, "--db", folder).output or command in ("status", "show")


def test_reading_leaves_the_folder_as_it_was(folder: Path) -> None:
    """No command makes a file."""
    before = sorted(folder.rglob("*"))

    for command in (*READING, "doctor"):
        otel_parsl_by_path(command, cwd=folder)

    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", READING)
def test_command_loads_nothing_heavy(command: str, folder: Path) -> None:
    """Neither Parsl nor pandas, numpy, Panel, gRPC or OpenTelemetry is loaded to read a run."""
    code = (
        "import sys; from otel_parsl.cli.main import main; main(sys.argv[1:]);"
        " print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, command, "--db", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )

    heavy = {"parsl", "pandas", "numpy", "panel", "holoviews", "bokeh", "grpc", "opentelemetry"}
    assert heavy & set(ran.stderr.split()) == set()


def test_status_is_quick(folder: Path) -> None:
    """``status`` takes less than half a second of CPU time, Python's own start included."""
    best = 9.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        otel_parsl_by_path("status", cwd=folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert best < 0.5


def test_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """A pipe that is closed early, as by head, ends the command without a word."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for task_id in range(3000):
            run.task(task_id, "pending")
    head = shutil.which("head")
    assert head is not None

    ran = subprocess.run(
        f"'{PROGRAM}' tasks --limit 0 | '{head}' -n 1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.split() == [
        *("task", "app", "state", "tries", "executor", "host"),
        *("queued", "run", "cpu", "memory", "error"),
    ]
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("environment", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals(
    folder: Path, environment: dict[str, str], has_colours: bool
) -> None:
    """A terminal has colours, unless NO_COLOR is set or it has none."""
    ran = otel_parsl_on_terminal("tasks", "--db", folder, columns=100, **environment)

    assert ("\x1b[31mfailed\x1b[0m" in ran.output) is has_colours
    assert ("\x1b[" in ran.output) is has_colours


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_table_fits_the_terminal(folder: Path, columns: int) -> None:
    """No line is longer than the terminal; what is left out for that is said."""
    ran = otel_parsl_on_terminal("tasks", "--db", folder, columns=columns, NO_COLOR="1")

    assert max(len(line) for line in ran.lines) <= columns
    assert ("(no room for " in ran.output) is (columns < 200)


def test_output_that_has_no_unicode_is_escaped(folder: Path) -> None:
    """Where the output takes ASCII alone, other letters are escaped and nothing breaks."""
    ran = otel_parsl_by_path("tasks", cwd=folder, PYTHONIOENCODING="ascii", LC_ALL="C")

    assert (ran.code, ran.error) == (0, "")
    assert "gr\\xf6\\xdfe" in ran.output


def test_control_characters_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    """A message with terminal codes or line breaks in it stays on its line, harmless."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched", "failed", fail_history="ValueError('a\x1b[2Jb\nc')")

    ran = otel_parsl("tasks", "--db", tmp_path)

    assert "\x1b" not in ran.output
    assert len(ran.lines) == 2
