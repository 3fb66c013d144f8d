"""
Write docs/reference/ from the code: names, tables, settings, the collector's file, commands.

    python docs/generate.py

``tests/docs/test_reference.py`` fails when the pages are not what this makes.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_type_hints

import otel_parsl_collector
from otel_parsl_collector import config as collector_config
from otel_parsl_collector import connectors, exporters, extensions, processors, receivers
from sqlalchemy import Column, Table

import otel_parsl
from otel_parsl import schema, semconv
from otel_parsl.cli.exit_codes import EPILOG
from otel_parsl.cli.main import COMMANDS
from otel_parsl.destination import SIGNALS, Destination
from otel_parsl.failures.fates import Fate
from otel_parsl.hub import OTelMonitoringHub

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Made by docs/generate.py: change the code instead. -->\n"


class Variable(NamedTuple):
    """An environment variable that the hub reads."""

    name: str
    meaning: str
    example: str


VARIABLES = (
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "a destination, where the argument `endpoint` is not given",
        "http://localhost:4318",
    ),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", "`grpc` or `http/protobuf`", "http/protobuf"),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "`key=value` pairs joined by commas, percent-encoded",
        "api-key=secret",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "path of the certificates to trust",
        "/etc/ssl/site.pem",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "path of your own certificate, for an endpoint that asks who you are",
        "/home/me/me.pem",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "path of its key, where that is a file of its own",
        "/home/me/me.key",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "`none` or `gzip`, and for `http/protobuf` `deflate`",
        "gzip",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_INSECURE",
        "`true` speaks without TLS to an endpoint without `http://` or `https://`, as gRPC takes"
        " one",
        "true",
    ),
    Variable("OTEL_EXPORTER_OTLP_TIMEOUT", "seconds for one request", "30"),
    *(
        Variable(
            f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT",
            f"as above, for {signal} alone; so may each of those be given. For `http/protobuf` it"
            " is the whole URL",
            f"http://localhost:4318/v1/{signal}",
        )
        for signal in SIGNALS
    ),
    *(
        Variable(
            f"OTEL_{signal.upper()}_EXPORTER",
            f"`none` sends no {signal} to any destination but those of `forward_to` whose mapping"
            " has `signals` of its own",
            "none",
        )
        for signal in SIGNALS
    ),
    Variable("OTEL_SERVICE_NAME", "`service.name`, in the workflow name's place", "fit"),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "`key=value` pairs joined by commas, percent-encoded; what is no pair is left out with a"
        " warning",
        "project=p42",
    ),
    Variable(
        "OTEL_TRACES_SAMPLER",
        "which tasks' spans are forwarded: `always_on`, `always_off` or `traceidratio`, each with"
        " or without `parentbased_` before it; the tables have every task",
        "always_off",
    ),
    Variable(
        "OTEL_TRACES_SAMPLER_ARG", "the share of tasks for `traceidratio`, from 0 to 1", "0.1"
    ),
    Variable(
        "OTEL_PROPAGATORS",
        "in which forms an app is given its context, joined by commas: `tracecontext` and"
        " `baggage`, which is the default, `none`, or what an installed package provides",
        "tracecontext",
    ),
    Variable(
        "TRACEPARENT",
        "the span that the program was started in: the run's span links to it, and"
        " `parentbased_` samplers, such as the default, follow its flag",
        f"00-{'1f' * 16}-{'2e' * 8}-00",
    ),
    Variable("BAGGAGE", "what every app of the run finds in its context", "user=ada"),
    Variable(
        "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
        "`logs` forwards exceptions as log records in place of span events, `logs/dup` as both",
        "logs",
    ),
    Variable(
        "OTEL_SDK_DISABLED",
        "`true` forwards nothing and makes no spans of yours; the tables are written",
        "true",
    ),
)
"""Each with a value that makes a difference: the test of this page tries them."""

_DIAGRAM = """\
workflow                     one row a run                      key: run_id
  │
  ├─< task                   one row an app call                key: run_id, task_id
  │     │
  │     ├─< try              one row a time it was tried        key: run_id, task_id, try_id
  │     │     │
  │     │     ├─< status     one row a state it went through    … and task_status_name, timestamp
  │     │     ├─< resource   one row a sample                   … and timestamp
  │     │     ├── otel_try      what it used, where it ran
  │     │     ├── otel_failure  why it failed, if it did
  │     │     └── otel_pending  begun, and not yet launched as far as is known here
  │     │
  │     ├── otel_task           its state now
  │     └─< otel_edge           what it waited for
  │
  ├─< block                  one row a change of a batch job    key: run_id, block_id, …
  │     └── otel_block          its status now, in the provider's words
  │
  ├─< node                   one row a report of a manager      key: id
  │     ├── otel_manager        its latest report
  │     └── otel_pending_report  come in part, and not yet written as a row of node
  │
  ├── otel_run                  how the run stands
  ├─< otel_count                tasks by app and state
  └─< otel_bucket               work done, by app and 10 seconds

─< one to many   ── one to one"""

_OF_PARSL = {
    "workflow": "A run.",
    "task": "A call of an app.",
    "try": "One time that a task was tried: the first, or a retry.",
    "status": "A state that a try went through, with its time.",
    "resource": "A sample of what a try uses.",
    "node": "A report of a manager, the pool of workers on a node: it reports often.",
    "block": "A change of status of a block, which is a batch job of the provider's.",
}


def pages() -> dict[str, str]:
    """Return every page of the reference by its file name."""
    return {
        "names.md": _names(),
        "tables.md": _tables(),
        "settings.md": _settings(),
        "collector.md": _collector(),
        "cli.md": _cli(),
    }


def _page(title: str, *parts: str) -> str:
    return "\n".join([f"# {title}\n", _NOTE, *parts]).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _code(value: object) -> str:
    return f"`{value}`"


def _cell(text: str) -> str:
    """Return a docstring's text as one line of a table."""
    return re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


# names.md


def _names() -> str:
    written = _written_names()
    parts = [
        "Every name that is written, and what it means.",
        "Names that begin with `parsl.` are this project's.",
        "The others are OpenTelemetry's semantic conventions, version 1.44.0.\n",
    ]
    titles = {
        "resource": "Resource attributes: who writes, and of which run",
        "attribute": "Attributes of spans, events and metric points",
        "event": "Events: log records, and events on spans",
        "metric": "Metrics",
    }
    for kind, title in titles.items():
        terms = [term for term in semconv.TERMS.values() if term.kind == kind]
        parts += [f"## {title}\n", _terms(kind, (term for term in terms if term.name in written))]
    reserved = [term for term in semconv.TERMS.values() if term.name not in written]
    if reserved:
        parts.append("## Reserved\n")
        parts.append("These have their meaning fixed, and nothing writes them yet.\n")
        rows = ([_code(term.name), term.kind, _cell(term.meaning)] for term in reserved)
        parts.append(_table(("name", "kind", "meaning"), rows))
    meanings = _field_docstrings(Fate)
    fates = ([_code(fate.value), _cell(meanings[fate.name])] for fate in Fate)
    parts += ["## Fates\n", "Why a try failed: `otel_failure.fate`.\n"]
    parts.append(_table(("fate", "meaning"), fates))
    return _page("Telemetry names", *parts)


def _terms(kind: str, terms: Iterable[semconv.Term]) -> str:
    if kind == "metric":
        rows = ([_code(t.name), t.instrument, t.unit, _cell(t.meaning), t.source] for t in terms)
        return _table(("name", "instrument", "unit", "meaning", "source"), rows)
    if kind == "event":
        rows = ([_code(t.name), _cell(t.meaning), t.source] for t in terms)
        return _table(("name", "meaning", "source"), rows)
    rows = ([_code(t.name), _cell(t.meaning), t.unit, t.source] for t in terms)
    return _table(("name", "meaning", "unit", "source"), rows)


def _written_names() -> set[str]:
    """Return the names that code outside of semconv refers to, by constant or by text."""
    constants = {value: name for name, value in vars(semconv).items() if isinstance(value, str)}
    sources = "\n".join(
        path.read_text()
        for package in (otel_parsl, otel_parsl_collector)
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))
        if path.name != "semconv.py"
    )
    words = set(re.findall(r"\w+", sources))
    return {name for name in semconv.TERMS if constants[name] in words or f'"{name}"' in sources}


# tables.md


def _tables() -> str:
    parts = [
        "A database has Parsl's seven tables, column for column, and ours beside them.",
        "Ours are named `otel_…`; Parsl and its tools do not look at them.\n",
        "Times in Parsl's tables are local times of the submit host, without a zone.",
        "The zone is `otel_run.time_zone`.",
        "Columns that end in `_ns` are nanoseconds since 1970, UTC.",
        "What could not be measured is NULL, never 0.\n",
        f"```text\n{_DIAGRAM}\n```\n",
        "## Parsl's tables\n",
        *(_of_table(table, _OF_PARSL[table.name]) for table in schema.PARSL_TABLES),
        "## Ours\n",
        *(_of_table(table, table.comment or "") for table in schema.OTEL_TABLES),
    ]
    return _page("Tables", *parts)


def _of_table(table: Table, comment: str) -> str:
    if table.name == "otel_schema":
        comment = "The version of our tables."
    comment = comment.replace("BUCKET_S", str(schema.BUCKET_S))
    head = ("column", "type", "NULL", "key")
    return f"### {table.name}\n\n{comment}\n\n{_table(head, map(_column, table.columns))}"


def _column(column: Column[Any]) -> list[str]:
    key = "primary" if column.primary_key else ""
    for foreign in column.foreign_keys:
        key = ", ".join(filter(None, [key, f"of {foreign.target_fullname}"]))
    kind = type(column.type).__name__.lower()
    return [_code(column.name), kind, "yes" if column.nullable else "", key]


# settings.md


def _settings() -> str:
    described = _described_arguments(inspect.getdoc(OTelMonitoringHub) or "")
    parameters = inspect.signature(OTelMonitoringHub).parameters
    rows = [
        [_code(name), _code(repr(p.default)), _cell(described[name])]
        for name, p in parameters.items()
        if p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    fields = ([_code(name), default, meaning] for name, default, meaning in _fields(Destination))
    variables = ([_code(v.name), v.meaning, _code(v.example)] for v in VARIABLES)
    parts = [
        "## OTelMonitoringHub\n",
        "The first nine are those of Parsl's `MonitoringHub`, with their meaning and default.\n",
        _table(("argument", "default", "meaning"), rows),
        "Every argument beyond the ninth is given by its name.",
        "Arguments that `MonitoringHub` once had are accepted, with a warning.\n",
        "## A destination in forward_to, or a collector\n",
        "A URL, or a mapping with these keys.",
        "`headers` is itself a mapping here.\n",
        _table(("key", "default", "meaning"), fields),
        "## Environment variables\n",
        "OpenTelemetry's own.",
        "An argument wins over a variable.\n",
        _table(("variable", "meaning", "example"), variables),
        "An endpoint whose protocol nobody says is spoken to by HTTP on port 4318,"
        " and by gRPC on any other.\n",
    ]
    return _page("Settings", *parts)


def _described_arguments(text: str) -> dict[str, str]:
    section = text.split("Args:\n")[1].split("\nRaises:")[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        match = re.match(r"^    (\w+): (.*)", line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif line.strip():
            found[name] += " " + line.strip()
    return found


def _fields(settings: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of each field of a dataclass."""
    meanings = _field_docstrings(settings)
    for field in dataclasses.fields(settings):
        yield field.name, _default(field), _cell(meanings.get(field.name, ""))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _shown(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _shown(field.default_factory())
    return "needed"


def _shown(value: object) -> str:
    if value is None or value in ({}, ()):
        return ""
    if isinstance(value, float):
        return _code(f"{value:g}")
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return _code(", ".join(map(str, value)))
    return _code(value)


def _field_docstrings(described: type[Any]) -> dict[str, str]:
    """Return the texts that stand below the fields of a class."""
    (definition,) = ast.parse(inspect.getsource(described)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in pairwise(definition.body):
        if isinstance(field, (ast.Assign, ast.AnnAssign)) and isinstance(below, ast.Expr):
            target = field.target if isinstance(field, ast.AnnAssign) else field.targets[0]
            assert isinstance(target, ast.Name)
            found[target.id] = str(ast.literal_eval(below.value))
    return found


# collector.md


def _collector() -> str:
    parts = [
        "`otel-parsl collector --config FILE` reads YAML in the OpenTelemetry Collector's shape.",
        "`${env:NAME}` and `${env:NAME:-default}` stand for variables of the environment.",
        "`--set a.b=value` overrides a setting; a value is YAML where it is a list, a mapping or in"
        " quotes, and else text as it stands.",
        "An unknown key is an error that names the nearest known one.\n",
        "Without a file the collector runs with this:\n",
        f"```yaml\n{collector_config.DEFAULT}```\n",
    ]
    for package in (receivers, processors, connectors, exporters, extensions):
        kind = package.__name__.rpartition(".")[2]
        for name, module in _components(package):
            about = _first_paragraph(module)
            parts.append(f"## {kind}: {name}\n\n{about}\n")
            settings = module.COMPONENT.settings
            parts.append(
                _setting_rows(settings) if dataclasses.fields(settings) else "It has no settings.\n"
            )
    about = "What of all that is defined runs, and how it is joined."
    parts.append(f"## service\n\n{about}\n")
    parts.append(_setting_rows(collector_config.ServiceSettings))
    return _page("The collector's file", *parts)


def _components(package: ModuleType) -> Iterator[tuple[str, Any]]:
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        if hasattr(module, "COMPONENT"):
            yield found.name, module


def _first_paragraph(module: ModuleType) -> str:
    text = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    return text[0].upper() + text[1:]


def _setting_rows(settings: type[Any]) -> str:
    rows = [[_code(path), default, meaning] for path, default, meaning in _paths(settings, "")]
    return _table(("setting", "default", "meaning"), rows)


def _paths(settings: type[Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield the settings of a component, those within others by their path."""
    hints = get_type_hints(settings)
    meanings = _field_docstrings(settings)
    for field in dataclasses.fields(settings):
        path = f"{prefix}{field.name}"
        nested = _nested(hints[field.name])
        if nested is None:
            yield path, _default(field), _cell(meanings.get(field.name, ""))
            continue
        inner, step = nested
        is_optional = field.default is None
        for below, default, meaning in _paths(inner, f"{path}{step}."):
            if default == "needed" and is_optional:
                default = f"needed with `{field.name}`"
            yield below, default, meaning


def _nested(hint: Any) -> tuple[type[Any], str] | None:
    """Return the dataclass that a setting holds, and how it is reached."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint, ""
    for part in get_args(hint):
        if dataclasses.is_dataclass(part) and isinstance(part, type):
            origin = getattr(hint, "__origin__", None)
            return part, {tuple: "[]", dict: ".<name>"}.get(origin, "")  # type: ignore[arg-type]
    return None


# cli.md


def _cli() -> str:
    parts = [
        "Commands never ask a question, and work by their path without an activated environment.\n"
    ]
    for command in COMMANDS:
        parser = argparse.ArgumentParser(add_help=False)
        importlib.import_module(command.module).add_arguments(parser)
        actions = parser._actions  # argparse has no other list of what was declared
        parts.append(f"## otel-parsl {command.name}\n")
        parts.append(f"{command.help[0].upper()}{command.help[1:]}.\n")
        parts.append(f"```text\n{_usage(command.name, actions)}\n```\n")
        if actions:
            rows = ([_code(_spelled(a)), _cell(a.help or "")] for a in actions)
            parts.append(_table(("argument", "meaning"), rows))
    parts.append("## Exit codes\n")
    for line in re.sub(r"\n {7}", " ", EPILOG).splitlines()[1:]:
        code, meaning = line.split(maxsplit=1)
        parts.append(f"- `{code}`: {meaning}")
    return _page("Commands", *parts)


def _usage(name: str, actions: Iterable[argparse.Action]) -> str:
    words = [f"[{_spelled(a)}]" if not a.required else _spelled(a) for a in actions]
    return " ".join(["otel-parsl", name, *words])


def _spelled(action: argparse.Action) -> str:
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else _placeholder(action)
    )
    if action.option_strings:
        takes_value = action.nargs != 0
        return f"{action.option_strings[0]} {value}" if takes_value else action.option_strings[0]
    return f"{value} …" if action.nargs == "+" else str(value)


def _placeholder(action: argparse.Action) -> str:
    return action.dest.upper() if action.option_strings else action.dest


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        sys.stdout.write(f"{REFERENCE / name}\n")


if __name__ == "__main__":
    main()
