"""
HTEX's interchange, with less to say of its managers.

Flow: seam (``interchange_launch_cmd``) -> **htex_interchange** -> submit.interchange_channel
Parsl's own reports a manager twice for each task, and each time writes all that it knows of it into
its log and its message, every package of the workers' environment too. With 135 packages it and
those who read the messages spend 7 % of all the processor time of a no-op task on that, and the
rows need none of it.

Run by path: a workflow depends on this process, so that it finds whatever Parsl's finds, and where
Parsl's is not as it was, Parsl's it is.
"""

from __future__ import annotations

import ast
import datetime
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parsl.executors.high_throughput import interchange
from parsl.monitoring.message_type import MessageType

_REPORTS = "_send_monitoring_info"


class Interchange(interchange.Interchange):  # type: ignore[misc]  # Parsl is untyped here
    """Parsl's, but for what it reports of managers."""

    def _send_monitoring_info(self, monitoring_radio: Any, manager: Mapping[str, Any]) -> None:
        if monitoring_radio is None:
            return
        report = {
            **manager,
            "timestamp": datetime.datetime.now(),  # noqa: DTZ005 - naive and local, as Parsl's
            "last_heartbeat": datetime.datetime.fromtimestamp(manager["last_heartbeat"]),  # noqa: DTZ006
            "run_id": self.run_id,
        }
        report.pop("packages", None)
        interchange.logger.debug("Sending message %s to MonitoringHub", report)
        monitoring_radio.send((MessageType.NODE_INFO, report))


def main() -> None:
    """Do what Parsl's file does as a program: its own last lines, with the class above."""
    path = interchange.__file__
    *_, last = ast.parse(Path(path).read_bytes()).body
    if not (isinstance(last, ast.If) and hasattr(interchange.Interchange, _REPORTS)):
        runpy.run_path(path, run_name="__main__")
        return
    own = {"__name__": "__main__", "Interchange": Interchange}
    exec(compile(ast.Module([last], []), path, "exec"), {**vars(interchange), **own})


if __name__ == "__main__":
    # Our modules' names are nobody else's business.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path = [folder for folder in sys.path if os.path.abspath(folder) != here]
    main()
