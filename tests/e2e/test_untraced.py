"""Workers that cannot trace: whose environment has only Parsl, or another version of otel_parsl."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_parsl_collector.signals import BY_NAME

from otel_parsl import worker
from tests.support.command_line import otel_parsl
from tests.support.otlp_sink import grpc_sink
from tests.support.programs import query, run

PROGRAM = '''
import concurrent.futures, subprocess
from parsl.executors.base import ParslExecutor
from parsl.serialize import deserialize, pack_apply_message, serialize

RUN = """
import sys
from parsl.app.errors import RemoteExceptionWrapper
from parsl.serialize import serialize, unpack_apply_message
BEFORE
try:
    function, args, kwargs = unpack_apply_message(sys.stdin.buffer.read())
    result = function(*args, **kwargs)
except Exception:
    result = RemoteExceptionWrapper(*sys.exc_info())
sys.stdout.buffer.write(serialize(result))
"""

class ProcessExecutor(ParslExecutor):
    """A process for each task; it hands failures over as Work Queue's does, or as its cause."""

    def __init__(self, label, before, raises):
        super().__init__()
        self.label, self.code, self.raises = label, RUN.replace("BEFORE", before), raises
        self.sent = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
    def submit(self, func, resource_specification, *args, **kwargs):
        self.sent += 1
        data = pack_apply_message(func, args, kwargs)
        def call():
            done = subprocess.run([sys.executable, "-c", self.code], input=data,
                                  capture_output=True, check=True)
            result = deserialize(done.stdout)
            if self.raises and type(result).__name__ == "RemoteExceptionWrapper":
                raise RuntimeError("the task could not be run") from result.get_exception()
            return result
        return self.pool.submit(call)
    def shutdown(self):
        self.pool.shutdown()

bare = "sys.modules['otel_parsl'] = None"
other = "import otel_parsl.worker as w; w.TryContext = type('T', (w.TryContext,),"
other += " {'__new__': lambda cls, one: None, '_fields': ('one', 'two')})"
executors = [ProcessExecutor("bare", bare, True), ProcessExecutor("other", other, False)]
hub = OTelMonitoringHub(endpoint=os.environ["ENDPOINT"])
with parsl.load(Config(executors=executors, monitoring=hub)):
    for executor in executors:
        app = python_app(nothing.func, executors=[executor.label])
        assert app().result() is None
        failing = python_app(lambda: int("no number"), executors=[executor.label])
        assert type(failing().exception()).__name__ in ("ValueError", "RuntimeError")
print("sent:", [executor.sent for executor in executors])
'''


def test_executor_whose_workers_cannot_trace_is_marked(tmp_path: Path) -> None:
    """Its tasks run, one of them is sent twice; database, trace and status say what is missing."""
    with grpc_sink() as sink:
        program = run(tmp_path, PROGRAM, ENDPOINT=sink.url)
        requests = [
            BY_NAME[name].request.FromString(body)
            for name, body in sink.received
            if name == "traces"
        ]

    assert "sent: [3, 3]" in program.output
    rows = query(
        program.database,
        "select executor_label, state, message, untraced from otel_executor order by 1",
    )
    assert [(label, state, message) for label, state, message, _ in rows] == [
        ("bare", "untraced", None),
        ("other", "untraced", None),
    ]
    whys = {label: why for label, *_, why in rows}
    assert "No module named 'otel_parsl" in whys["bare"]
    assert "cannot read what the submit side sent" in whys["other"]
    states = dict(
        query(program.database, "select task_status_name, count(*) from status group by 1")
    )
    assert {"pending": 4, "launched": 4, "exec_done": 2, "failed": 2} == states
    assert [(0,)] == query(program.database, "select max(try_id) from try")

    failures = query(
        program.database,
        "select exception_type, message, stacktrace, fate, is_final from otel_failure order by 1",
    )
    assert [(kind, is_final) for kind, _, _, _, is_final in failures] == [
        ("RuntimeError", 1),
        ("ValueError", 1),
    ]
    assert all('int("no number")' in stacktrace for _, _, stacktrace, _, _ in failures)

    of_run = [
        event
        for request in requests
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
        for event in span.events
        if event.name == "parsl.executor.untraced"
    ]
    assert len(of_run) == 2
    found = otel_parsl("status", "--db", program.database, "--json").json
    assert [each["executor"] for each in found["untraced_executors"]] == ["bare", "other"]
    assert found["executors"] == []
    for command in ("status", "show"):
        said = otel_parsl(command, "--db", program.database).output
        assert "bare: seen from the submit side only" in said


def test_worker_that_cannot_read_the_submit_side_says_so_before_anything_runs() -> None:
    """An older submit side sends too little: an ImportError, at which the task is sent again."""
    with pytest.raises(ImportError, match="cannot read what the submit side sent") as raised:
        worker.execute_task(b"never unpacked", ("run id",), (1, 0))
    assert raised.value.name == "otel_parsl.worker"
