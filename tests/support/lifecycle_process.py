"""A process that derives a run's spans and is killed between spooling them and saying so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from otel_parsl_collector.connectors.lifecycle import Lifecycle

from otel_parsl.spool import Frame, Place, SpoolReader, SpoolWriter


def main() -> None:
    """Derive from stream ``submit`` of a directory; die at the given emission, or never."""
    directory, run_id, dies_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    writer = SpoolWriter(directory, "derived")
    emissions = 0

    def emit(frames: Iterable[bytes]) -> None:
        nonlocal emissions
        writer.append(frames)
        emissions += 1
        if emissions == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    lifecycle = Lifecycle(directory / "lifecycle.db", run_id, scope="auto", emit=emit)
    for item in SpoolReader(directory, "submit", lifecycle.places.get("submit", Place())).read():
        assert isinstance(item, Frame)
        lifecycle.consume([item], {"submit": item.end})


if __name__ == "__main__":
    main()
