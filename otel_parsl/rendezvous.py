"""
What hub and agent tell each other: small files in the spool's directory.

Files outlive either side, so a new agent finds what the one before it was asked for.
Every file is replaced whole, and only its owner may read it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from otel_parsl.spool import sync_names

SETTINGS = "agent.json"
"""Hub to agent: the run, the database, the destinations."""
RUN = "run.json"
"""Hub to agent: which run it is, and the attributes of the submit process."""
HEARD = "heard.json"
"""For the next agent: how far the stream of the interchanges has been read."""
RECEIVER = "receiver.json"
"""Hub to agent: the host and port to receive OTLP on, and the run's token."""
RECEIVING = "receiving.json"
"""Agent to hub: that it receives OTLP there, or why it cannot."""
CLOSING = "closing.json"
"""Hub to agent: the run is over; the place behind its last event."""
STATUS = "status.json"
"""Agent to hub: how far it has come."""
LOG_CONFIG = "log_config.pickle"
"""Hub to agent: Parsl's LogConfig, where the user has set one."""
LOG = "database_manager.log"
"""In the run's own directory: the name that Parsl gives the log of what keeps the database."""
OUTPUT = "agent.out"
"""What the agent's process prints: empty, unless it could not begin to log."""
UNFIT = "refused-store.otlp"
"""What no row can hold, as spool frames."""

MESSAGE_TAG = "otel_parsl"
"""First item of what a worker puts on its executor's monitoring channel; the second is frames."""

SUBMIT, AGENT, DIRECT, DERIVED = "submit", "agent", "direct", "derived"
"""The streams: what the hub says, what the agent says and reads of interchanges, what comes
directly, and the spans that it derives."""
INTERCHANGES = "interchange"
"""One more, of the hub's: what interchanges sent, which the agent makes telemetry of, once."""


def write(directory: Path, name: str, content: Any, *, is_durable: bool = False) -> None:
    """
    Replace a file whole, by JSON.

    Args:
        directory: Of the spool.
        name: The file's.
        content: What json takes.
        is_durable: Whether it must outlive a power cut: what cannot be found out again.
    """
    write_bytes(directory, name, json.dumps(content).encode(), is_durable=is_durable)


def write_bytes(directory: Path, name: str, content: bytes, *, is_durable: bool = False) -> None:
    """Replace a file whole; see ``write``."""
    temporary = directory / f"{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            if is_durable:
                file.flush()
                os.fdatasync(file.fileno())
        os.replace(temporary, directory / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if is_durable:
        sync_names(directory)


def read(directory: Path, name: str) -> Any:
    """Return a file's content; None while it is not there, or after a power cut has emptied it."""
    try:
        return json.loads((directory / name).read_text())
    except (FileNotFoundError, ValueError):
        return None
