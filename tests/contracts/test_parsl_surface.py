"""What we hold on to in Parsl. When Parsl moves, this fails first and says where."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import parsl
import parsl.executors.high_throughput.executor as htex
import parsl.executors.high_throughput.interchange as interchange
import parsl.executors.high_throughput.monitoring_info as monitoring_info
import parsl.executors.high_throughput.process_worker_pool as process_worker_pool
import parsl.executors.taskvine.executor as taskvine
import parsl.executors.workqueue.executor as workqueue
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.dataflow.states import States
from parsl.executors.high_throughput.executor import HighThroughputExecutor, HTEXFuture
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.executors.threads import ThreadPoolExecutor
from parsl.jobs.states import JobState, JobStatus
from parsl.monitoring import MonitoringHub
from parsl.monitoring import remote as monitoring_remote
from parsl.monitoring.message_type import MessageType
from parsl.monitoring.radios.filesystem import FilesystemRadio
from parsl.monitoring.radios.htex import HTEXRadio
from parsl.monitoring.radios.multiprocessing import MultiprocessingQueueRadio
from parsl.providers.errors import SubmitException

from otel_parsl import OTelMonitoringHub
from otel_parsl.semconv import FINAL_STATES, STATES
from otel_parsl.submit.executor_watch import submit_words


def _parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def _source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_hub_is_a_monitoring_hub_with_all_its_parameters() -> None:
    """Config type-checks for MonitoringHub, and every parameter of it is one of ours."""
    assert issubclass(OTelMonitoringHub, MonitoringHub)
    theirs = inspect.signature(MonitoringHub).parameters
    ours = inspect.signature(OTelMonitoringHub).parameters
    assert {name: p.default for name, p in theirs.items()} == {
        name: ours[name].default for name in theirs
    }
    assert "monitoring" in _parameters(Config)


def test_kernel_starts_and_uses_the_hub_as_the_seam_expects() -> None:
    """DataFlowKernel.__init__ starts the hub, and says who it is before it adds executors."""
    source = _source(DataFlowKernel.__init__)
    start = source.index("self.monitoring.start(self.run_dir, self.config.run_dir")
    said = source.index("MessageType.WORKFLOW_INFO")
    added = source.index("self.add_executors(config.executors)")
    assert source.index("self.monitoring = config.monitoring") < start < said < added
    assert ["self", "dfk_run_dir", "config_run_dir", "log_config"] == _parameters(
        MonitoringHub.start
    )
    assert source.index("self.add_executors([parsl_internal_executor])") < source.index(
        "self.tasks"
    )
    assert ["self", "executors"] == _parameters(DataFlowKernel.add_executors)
    assert "self.monitoring.close()" in _source(DataFlowKernel.cleanup)


def test_kernel_reads_only_the_attributes_that_the_hub_has() -> None:
    """The DataFlowKernel reads nothing of a hub but what ours has."""
    import re

    source = Path(inspect.getfile(DataFlowKernel)).read_text()
    assert set(re.findall(r"self\.monitoring\.(\w+)", source)) == {
        "close",
        "monitoring_debug",
        "resource_monitoring_enabled",
        "resource_monitoring_interval",
        "resource_msgs",
        "start",
        "workflow_name",
        "workflow_version",
    }


def test_wrapper_passes_the_ids_and_keeps_the_function() -> None:
    """monitor_wrapper passes task and try id by keyword and keeps the bare function."""

    def function() -> None:
        pass

    wrapped, args, kwargs = monitoring_remote.monitor_wrapper(
        f=function,
        args=(1,),
        kwargs={"a": 2},
        x_try_id=3,
        x_task_id=4,
        radio_config=HTEXRadio(),
        run_id="run",
        logging_level=0,
        sleep_dur=0,
        monitor_resources=False,
        run_dir=".",
    )
    assert wrapped.__wrapped__ is function
    assert (1,) == args
    assert {
        "a": 2,
        "_parsl_monitoring_task_id": 4,
        "_parsl_monitoring_try_id": 3,
    } == kwargs


def test_kernel_launches_each_try_by_launch_task() -> None:
    """Without the wrapper, which try an executor is handed is known from launch_task alone."""
    assert ["self", "task_record"] == _parameters(DataFlowKernel.launch_task)
    source = Path(inspect.getfile(DataFlowKernel)).read_text()
    assert source.count("executor.submit(") == 1
    launch = _source(DataFlowKernel.launch_task)
    assert "exec_fu = executor.submit(function, " in launch
    assert "task_id = task_record['id']" in launch
    assert "try_id = task_record['fail_count']" in launch
    assert source.count("self.launch_task(task_record)") == 1


def test_htex_runs_a_task_executor_of_ours() -> None:
    """submit_payload takes a context whose task_executor names a function, and gives a future."""
    assert ["self", "context", "buffer"] == _parameters(HighThroughputExecutor.submit_payload)
    assert 7 == HTEXFuture(7).parsl_executor_task_id
    worker = _source(process_worker_pool.worker)
    for expected in ('ctxt.get("task_executor"', 'task_executor["f"]', 'task_executor.get("a"'):
        assert expected in worker
    assert "validate_resource_spec(resource_specification)" in _source(
        HighThroughputExecutor.submit
    )


def test_htex_asks_for_its_receiver_by_the_name_that_is_replaced() -> None:
    """HTEX starts its receiver by a module name, with the arguments that the agent needs."""
    source = _source(HighThroughputExecutor.start)
    assert "start_zmq_receiver(monitoring_messages=self.monitoring_messages" in source
    assert "self.hub_zmq_port = self.zmq_monitoring.port" in source
    assert {"monitoring_messages", "loopback_address", "port_range", "logdir"} <= set(
        _parameters(htex.start_zmq_receiver)
    )
    assert "self.zmq_monitoring.close()" in _source(HighThroughputExecutor.shutdown)
    assert "logdir=self.logdir" in source
    executor = HighThroughputExecutor(label="big_nodes")
    executor.run_dir = "/runs/000"
    assert executor.logdir == "/runs/000/big_nodes"


def test_htex_says_how_much_memory_a_worker_has() -> None:
    """In GB, and none by default."""
    assert HighThroughputExecutor(mem_per_worker=0.5).mem_per_worker == 0.5
    assert HighThroughputExecutor().mem_per_worker is None


def test_default_radios_are_those_that_are_replaced() -> None:
    """The constructors put in these radios in place of None."""
    assert type(HighThroughputExecutor().remote_monitoring_radio) is HTEXRadio
    assert type(ThreadPoolExecutor().remote_monitoring_radio) is MultiprocessingQueueRadio
    for module in (workqueue, taskvine):  # what they start is not on PyPI
        assert module.FilesystemRadio is FilesystemRadio
        assert "self.remote_monitoring_radio = FilesystemRadio()" in _source(module)


def test_executors_say_of_themselves_what_is_asked() -> None:
    """A block's submission can be watched, and a dead interchange told from one shut down."""
    assert ["self", "block_id"] == _parameters(BlockProviderExecutor._launch_block)
    scale_out = _source(BlockProviderExecutor.scale_out_facade)
    assert "job_id = self._launch_block(block_id)" in scale_out
    assert "except Exception as ex:" in scale_out
    executor = HighThroughputExecutor(heartbeat_threshold=7)
    assert (executor.heartbeat_threshold, executor.interchange_proc) == (7, None)
    assert (executor.status_facade, executor.blocks_to_job_id, executor.tasks) == ({}, {}, {})
    assert (executor.bad_state_is_set, executor.executor_exception) == (False, None)
    shutdown = _source(HighThroughputExecutor.shutdown)
    said = shutdown.index("self._result_queue_thread_exit.set()")
    assert said < shutdown.index("self.interchange_proc.terminate()")
    status = JobStatus(JobState.FAILED, "words", 3, "out", "err")
    assert (status.status_name, *vars(status).values()) == (
        *("FAILED", JobState.FAILED),
        *("words", 3, "out", "err"),
    )
    refused = SubmitException("job", "what", stdout="", stderr="sbatch: error: no", retcode=1)
    assert submit_words(refused) == "sbatch: error: no"


def test_interchange_reports_a_manager_that_it_gives_up() -> None:
    """It says so once, with the time of the last heartbeat, when the threshold is past."""
    source = _source(interchange.Interchange.expire_bad_managers)
    late = source.index("time.time() - m['last_heartbeat'] > self.heartbeat_threshold")
    assert late < source.index("m['active'] = False") < source.index("_send_monitoring_info")


def test_interchange_is_a_program_that_ours_stands_in_for() -> None:
    """HTEX runs it as a program whose last lines make one Interchange and start it."""
    assert HighThroughputExecutor().interchange_launch_cmd == ["interchange.py"]
    assert htex.DEFAULT_INTERCHANGE_LAUNCH_CMD == ["interchange.py"]
    launch = _source(HighThroughputExecutor._start_local_interchange_process)
    assert "Popen(self.interchange_launch_cmd, stdin=subprocess.PIPE)" in launch
    *_, last = ast.parse(Path(interchange.__file__).read_text()).body
    assert "Interchange(**config)" in ast.unparse(last)
    assert ast.unparse(last).startswith("if __name__ == '__main__':")
    send = interchange.Interchange._send_monitoring_info
    assert ["self", "monitoring_radio", "manager"] == _parameters(send)


def test_messages_have_the_keys_that_are_read() -> None:
    """The dicts that become events have the keys that messages.py reads."""
    task = _source(DataFlowKernel._create_task_log_info)
    for key in (
        "task_status_name",
        "tasks_failed_count",
        "tasks_completed_count",
        "task_inputs",
        "task_outputs",
        "task_stdin",
        "task_stdout",
        "task_stderr",
        "task_fail_history",
        "task_depends",
        "task_joins",
    ):
        assert f"task_log_info['{key}']" in task
    block = _source(BlockProviderExecutor.create_monitoring_info)
    for key in ("run_id", "status", "timestamp", "executor_label", "job_id", "block_id"):
        assert f'"{key}"' in block
    manager = _source(interchange.Interchange._send_monitoring_info)
    assert "d['timestamp'] = datetime.datetime.now()" in manager
    assert "d['last_heartbeat']" in manager


def test_kinds_of_message_and_states_are_the_known_ones() -> None:
    """No kind of message and no state of a task has come that we do not know."""
    assert {
        "TASK_INFO": 0,
        "RESOURCE_INFO": 1,
        "WORKFLOW_INFO": 2,
        "NODE_INFO": 3,
        "BLOCK_INFO": 4,
        "WORKER_TASK_INFO": 5,
    } == {kind.name: kind.value for kind in MessageType}
    assert {state.name for state in States} <= set(STATES)
    assert {s.name for s in parsl.dataflow.states.FINAL_STATES} == FINAL_STATES


def test_worker_has_the_channel_that_live_news_take() -> None:
    """A worker's way to the interchange is where live.py looks for it."""
    assert monitoring_info.result_queue is None
    assert "mi.result_queue = monitoring_queue" in _source(process_worker_pool.worker)
    assert "type == 'monitoring':" in _source(interchange.Interchange)


def test_htex_says_how_its_workers_reach_this_host() -> None:
    """HTEX tells its workers every address of this host, or the one given, and if it encrypts."""
    source = _source(HighThroughputExecutor)
    assert 'addresses=",".join(self.all_addresses)' in source
    given = HighThroughputExecutor(address="10.1.0.5", encrypted=False)
    assert ("10.1.0.5", {"10.1.0.5"}, False) == (
        given.address,
        given.all_addresses,
        given.encrypted,
    )
