"""
Read Parsl's ``task_fail_history`` back into the type and the message of the exception.

Flow: task_fail_history -> **fail_history** -> fates, failures
Pure: no clock, no I/O.
Parsl writes ``repr(exception)`` there, and where no worker could tell (a lost worker, a failed
dependency) nothing else is known.
The message is rebuilt as ``str(exception)`` would give it, so that a failure falls into the same
group whichever way it became known.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import signal
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_parsl.failures.causes import chain_of_history
from otel_parsl.wire import utf8

# The history of a failed block holds the repr() of a whole executor; a chain of failed
# dependencies nests one repr() a link.
_HISTORY_LIMIT: Final = 16_384

_CALL: Final = re.compile(r"\s*([^\W\d][\w.]*)\((.*)", re.DOTALL)
_STRING: Final = r"""[bB]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LITERAL: Final = re.compile(rf"({_STRING}|-?\d+|None)(?:, |$)", re.DOTALL)
# Escapes that repr() writes; any other would make the parser warn.
_UNKNOWN_ESCAPE: Final = re.compile(r"""\\[^\\'"nrtxuU]""", re.DOTALL)
_BYTES_AFTER_LOSS: Final = re.compile(r"""[bB]['"](.*)['"]""", re.DOTALL)
_INNER_EXCEPTION: Final = re.compile(r"\), (?=[^\W\d]\w*\()")
_LABEL: Final = re.compile(r"""\blabel=['"]([^'"]*)['"]""")

_Argument = str | bytes | int | None


class ToldFailure(NamedTuple):
    """An exception as far as its ``repr()`` tells it."""

    exception_type: str | None
    """Class name, bare; None where the text is no call of a class."""
    message: str
    """What ``str()`` of it says, or the text itself where that cannot be rebuilt."""


def failure_from_history(fail_history: str) -> ToldFailure:
    """
    Rebuild type and message from the ``repr()`` of an exception.

    Example:
        >>> failure_from_history("BashExitFailure('align', 1)").message
        'bash_app align failed with unix exit code 1'
    """
    if len(fail_history) <= _HISTORY_LIMIT:
        return _read_and_kept(fail_history)
    # The tasks that a failed dependency goes back to stand at the end.
    is_propagated = fail_history.startswith(("DependencyError(", "JoinError("))
    return _read(fail_history if is_propagated else fail_history[:_HISTORY_LIMIT])


# Every task of a failed executor has the same text, of several kilobytes.
@functools.lru_cache(maxsize=256)
def _read_and_kept(text: str) -> ToldFailure:
    return _read(text)


def _read(text: str) -> ToldFailure:
    call = _CALL.match(text)
    if call is None:
        return ToldFailure(None, text.strip())
    exception_type, inside = call[1], call[2].rstrip().rstrip(",")
    inside = inside[:-1] if inside.endswith(")") else inside
    name = exception_type.rpartition(".")[2]
    rebuilt = _REBUILD.get(name, _str_of_builtin)(name, inside)
    return ToldFailure(exception_type, inside if rebuilt is None else rebuilt)


def _arguments(inside: str) -> list[_Argument] | None:
    """Evaluate flat arguments, without a parser's cost for the usual single string."""
    arguments: list[_Argument] = []
    position = 0
    while position < len(inside):
        found = _LITERAL.match(inside, position)
        if found is None:
            return None
        arguments.append(_evaluated(found[1]))
        position = found.end()
    return arguments


def _evaluated(literal: str) -> _Argument:
    if literal == "None":
        return None
    if literal[-1] not in "'\"":
        # Python refuses to convert integers beyond a few thousand digits.
        return int(literal) if len(literal) < 1000 else literal
    quoted = literal.lstrip("bB")
    if ("\\" not in literal and quoted is literal) or not _is_written_by_repr(quoted):
        return quoted[1:-1]
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return quoted[1:-1]
    # The repr of a lone surrogate makes one again, which no database takes.
    return value if isinstance(value, bytes) else utf8(str(value)).decode()


def _is_written_by_repr(quoted: str) -> bool:
    # Anything else would make Python's parser fail, or warn.
    return quoted.isprintable() and _UNKNOWN_ESCAPE.search(quoted) is None


def _str_of_builtin(name: str, inside: str) -> str | None:
    arguments = _arguments(inside)
    if arguments is None:
        return None
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            return str(kind(*arguments))
        except (TypeError, ValueError):
            return None
    if not arguments:
        return ""
    return str(arguments[0]) if len(arguments) == 1 else f"({inside})"


def _bash_exit(_name: str, inside: str) -> str | None:
    arguments = _arguments(inside)
    if arguments is None or len(arguments) != 2:
        return None
    return f"bash_app {arguments[0]!s} failed with unix exit code {arguments[1]!s}"


def _lost(name: str, inside: str) -> str | None:
    who, _, host = inside.rpartition(", ")
    manager = _BYTES_AFTER_LOSS.fullmatch(who)
    who = manager[1] if manager else who
    role = "manager" if name == "ManagerLost" else "worker"
    return f"Task failure due to loss of {role} {who} on host {host.strip(_QUOTES)}"


_QUOTES: Final = "'\""


def _missing_outputs(_name: str, inside: str) -> str | None:
    reason = _LITERAL.match(inside)
    if reason is None:
        return None
    return f"Missing Outputs: {inside[reason.end() :]}, Reason: {_evaluated(reason[1])!s}"


def _bad_specification(_name: str, inside: str) -> str | None:
    keys, brace, rest = inside.rpartition("}")
    arguments = _arguments(rest.removeprefix(", "))
    explanation = arguments[0] if arguments else ""
    return f"Invalid Resource Specification Supplied: {keys}{brace}. {explanation!s}"


def _called_process(_name: str, inside: str) -> str | None:
    code = _LITERAL.match(inside)
    number = _evaluated(code[1]) if code else None
    if code is None or not isinstance(number, int):
        return None
    command = f"Command {_command(inside[code.end() :])}"
    if number >= 0:
        return f"{command} returned non-zero exit status {number}."
    try:
        return f"{command} died with {signal.Signals(-number)!r}."
    except ValueError:
        return f"{command} died with unknown signal {-number}."


def _command(shown: str) -> str:
    return shown if shown.startswith("'") else f"'{shown}'"


def _bad_state(_name: str, inside: str) -> str | None:
    label = _LABEL.search(inside)
    inner = _INNER_EXCEPTION.search(inside)
    if label is None or inner is None:
        return None
    return f"Executor {label[1]} failed due to: {_read(inside[inner.end() :]).message}"


def _propagated(name: str, inside: str) -> str | None:
    chain = chain_of_history(f"{name}({inside})")
    task = inside.rpartition("], ")[2]
    if not chain or not task.isdecimal():
        return None
    what = "Join" if name == "JoinError" else "Dependency"
    return f"{what} failure for task {task}. The representative cause is via {' <- '.join(chain)}"


def _with(beginning: str, ending: str = "") -> Callable[[str, str], str | None]:
    def rebuild(_name: str, inside: str) -> str | None:
        arguments = _arguments(inside)
        if arguments is None or len(arguments) != 1:
            return None
        return f"{beginning}{arguments[0]!s}{ending}"

    return rebuild


_REBUILD: Final[dict[str, Callable[[str, str], str | None]]] = {
    "BashExitFailure": _bash_exit,
    "WorkerLost": _lost,
    "ManagerLost": _lost,
    "DependencyError": _propagated,
    "JoinError": _propagated,
    "MissingOutputs": _missing_outputs,
    "InvalidResourceSpecification": _bad_specification,
    "CalledProcessError": _called_process,
    "BadStateException": _bad_state,
    "BadStdStreamFile": _with("Bad Stream File: "),
    "DeserializationError": _with("Failed to deserialize objects. Reason: "),
    "SerializationError": _with(
        "Failed to serialize objects for an invocation of function ",
        ". Refer https://parsl.readthedocs.io/en/latest/faq.html#addressing-serializationerror",
    ),
}
