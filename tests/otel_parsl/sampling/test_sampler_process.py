"""The helper process: samples while C code holds the GIL, and ends with its worker."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from otel_parsl_collector.signals import BY_NAME

from otel_parsl import live, semconv
from otel_parsl.last_words import words
from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.sampling.proc_files import ProcFiles
from otel_parsl.sampling.sampler import Sample, TrySampler
from otel_parsl.sampling.sampler_client import SamplerProcess
from otel_parsl.spool import payloads
from otel_parsl.wire import LOGS
from otel_parsl.worker import RunContext, TryContext, Writer

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 30.0


def wait_until(happened: Callable[[], object]) -> None:
    """Poll until a claim holds, and fail when it does not in time."""
    deadline = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, whether or not anyone has waited for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def samples_of(helper: SamplerProcess, count: int) -> list[tuple[str, Sample]]:
    """Wait for a number of samples."""
    found: list[tuple[str, Sample]] = []
    deadline = time.monotonic() + TIMEOUT_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} samples; {helper.failure}"
        select.select([helper.fileno()], [], [], 1.0)
        found += helper.read()
    return found


@pytest.fixture
def helper() -> Iterator[SamplerProcess]:
    helper = SamplerProcess()
    assert helper.failures == 0, helper.failure
    assert helper.helper_pid is not None
    yield helper
    helper.close()
    pid = helper.helper_pid
    wait_until(lambda: has_ended(pid))


class Worker:
    """A worker process that runs a program with a helper beside it."""

    def __init__(self, program: str) -> None:
        start = (
            "import os, signal, subprocess, sys, time\n"
            "from otel_parsl.sampling.sampler_client import SamplerProcess\n"
            "helper = SamplerProcess()\n"
            "print(helper.helper_pid, flush=True)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", start + program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.helper_pid = int(self.line())

    def line(self) -> str:
        """Return the next line that the program prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def run_worker() -> Iterator[Callable[[str], Worker]]:
    workers: list[Worker] = []

    def run(program: str) -> Worker:
        workers.append(Worker(program))
        return workers[-1]

    yield run
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def hold_the_gil(seconds: float) -> None:
    """Run one C call that never gives the GIL away, for at least so long."""
    count = 2_000_000
    while True:
        start = time.monotonic()
        sum(range(count))
        took_s = time.monotonic() - start
        if took_s >= seconds:
            return
        count = int(count * max(1.5, min(20, 1.3 * seconds / took_s)))


def test_samples_go_on_while_c_code_holds_the_gil(helper: SamplerProcess) -> None:
    """Of a try stuck in C code samples are there at the interval, each with its own time."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.1):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    hold_the_gil(0.1)
    sampler = TrySampler()
    start_ns = time.time_ns()
    helper.begin("7/0", 0.2, sampler.begin())
    hold_the_gil(2.0)
    helper.end()
    final = sampler.sample()
    end_ns = time.time_ns()
    stop.set()
    thread.join()
    found = helper.read()
    assert {token for token, _ in found} == {"7/0"}
    samples = [sample for _, sample in found]
    times = [start_ns, *(sample.time_ns for sample in samples), end_ns]
    # The machine is shared: of one sample every 0.2 s not all need to be punctual.
    assert len(samples) >= (end_ns - start_ns) / 0.2e9 / 2
    assert times == sorted(times)
    gaps_s = [(b - a) / 1e9 for a, b in pairwise(times)]
    stuck_s = max(b - a for a, b in pairwise(ticks))
    assert stuck_s > 1.5, "nothing was stuck: the test proves nothing"
    assert max(gaps_s) < stuck_s
    used = [sample.cpu_user_s for sample in (*samples, final)]
    assert all(isinstance(seconds, float) for seconds in used)
    assert used == sorted(used, key=lambda seconds: seconds or 0.0)
    assert {sample.pid for sample in samples} == {os.getpid()}


def test_sample_from_beside_is_that_of_the_worker(helper: SamplerProcess) -> None:
    """The helper's sample has every field, and says of memory what the worker says."""
    sampler = TrySampler()
    helper.begin("1/2", 0.05, sampler.begin())
    _, sample = samples_of(helper, 1)[0]
    ours = sampler.sample()
    assert None not in sample
    assert sample.memory_virtual_bytes == ours.memory_virtual_bytes
    assert sample.memory_resident_bytes == pytest.approx(ours.memory_resident_bytes, rel=0.05)
    assert sample.memory_peak_bytes == pytest.approx(ours.memory_peak_bytes, rel=0.05)
    assert sample.children_count == ours.children_count
    assert sample.cpu_user_s == pytest.approx(0, abs=0.2)
    assert sample.pid == os.getpid()


def test_two_tries_in_sequence_do_not_mix(helper: SamplerProcess) -> None:
    """Samples carry the token of their try and count from its start."""
    sampler = TrySampler()
    helper.begin("first", 0.1, sampler.begin())
    while not (first := helper.read()):
        sum(range(100_000))
    while not (more := helper.read()):
        sum(range(100_000))
    helper.end()
    used_s = cpu_s(sampler.sample())
    helper.begin("second", 0.05, sampler.begin())
    token, sample = samples_of(helper, 1)[-1]
    assert {token for token, _ in first + more} == {"first"}
    assert token == "second"
    assert cpu_s(sample) < max(0.02, used_s / 2)


def test_child_that_ended_is_counted_once_from_beside(helper: SamplerProcess) -> None:
    """What a bash app's child burnt is in the samples after its end, once."""
    sampler = TrySampler()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    helper.begin("bash", 0.05, sampler.begin())
    subprocess.run([sys.executable, "-c", burn], check=True)
    helper.read()
    _, sample = samples_of(helper, 2)[-1]
    ours = sampler.sample()
    assert sample.children_count == ours.children_count
    # Seen from beside each of four counters is rounded down to a hundredth of a second.
    assert cpu_s(sample) == pytest.approx(cpu_s(ours), abs=0.08)
    assert cpu_s(sample) >= 0.25


def cpu_s(sample: Sample) -> float:
    """Return all CPU time of a sample."""
    assert sample.cpu_user_s is not None
    assert sample.cpu_system_s is not None
    return sample.cpu_user_s + sample.cpu_system_s


def test_by_default_a_try_begins_now(helper: SamplerProcess) -> None:
    """Without a baseline the helper's end takes one."""
    helper.begin("x", 0.05)
    token, sample = samples_of(helper, 1)[0]
    assert token == "x"
    assert sample.cpu_user_s == pytest.approx(0, abs=0.2)


def test_token_may_be_any_text(helper: SamplerProcess) -> None:
    """Blanks, quotes, newlines and lone surrogates in a token come back as they were."""
    token = 'a "b"\n\\ end ü \ud800'
    helper.begin(token, 0.05)
    assert samples_of(helper, 1)[0][0] == token


def test_token_may_be_of_any_length(helper: SamplerProcess) -> None:
    """A token longer than a pipe takes at once comes back as it was."""
    token = "x" * 100_000
    helper.begin(token, 0.05)
    assert samples_of(helper, 1)[0][0] == token
    assert helper.failures == 0


def test_sample_of_a_try_long_past_is_left_out(helper: SamplerProcess) -> None:
    """What arrives of a try after a thousand others is given up, and is no failure."""
    helper.begin("past", 0.05)
    assert select.select([helper.fileno()], [], [], 60.0)[0]
    baseline = TrySampler().begin()
    for number in range(1000):
        helper.begin(str(number), 30.0, baseline)
    helper.end()
    assert (helper.read(), helper.failures) == ([], 0)


def test_thousands_of_short_tries_wake_nobody(helper: SamplerProcess) -> None:
    """Short tries fill no pipe and cost the helper a look a second; a long one is still seen."""
    assert helper.helper_pid is not None
    process = psutil.Process(helper.helper_pid)
    baseline = TrySampler().begin()
    start = time.monotonic()
    before = process.num_ctx_switches().voluntary
    for number in range(5000):
        helper.begin(str(number), 30.0, baseline)
        helper.end()
    # Two for each look, and a few to come up.
    assert process.num_ctx_switches().voluntary - before < 20 + 4 * (time.monotonic() - start)
    helper.begin("long", 0.1)
    assert samples_of(helper, 1)[0][0] == "long"


def test_no_interval_no_samples(helper: SamplerProcess) -> None:
    """An interval of 0 ends the sampling of the try before."""
    helper.begin("sampled", 0.05)
    samples_of(helper, 1)
    for interval_s in (0, -1.0):
        helper.begin("not sampled", interval_s)
        wait_until_it_looked(helper)
        helper.read()
        wait_until_it_looked(helper)
        assert helper.read() == []


def wait_until_it_looked(helper: SamplerProcess) -> None:
    """Wait until the helper has looked twice what it is to do."""
    process = psutil.Process(helper.helper_pid)
    before = process.num_ctx_switches().voluntary
    wait_until(lambda: process.num_ctx_switches().voluntary >= before + 2)


@pytest.fixture
def channel() -> Iterator[Any]:
    """A queue as HTEX's manager gives its workers: in a process of its own."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        yield manager.Queue()


def left(channel: Any, *tries: TryContext) -> str:
    """Return a worker's program that begins tries, each with its last words, sampled and not."""
    writer = Writer(RunContext("run", (), "run", 0.0, "service"))
    address = bytes(multiprocessing.current_process().authkey), pickle.dumps(channel)
    will = live.will_of(writer)._replace(channel=address).encoded()
    return f"helper.leave({will!r})\n" + "".join(
        f"helper.begin('{number}', {number % 2}, None, {words(which, START_NS)!r})\n"
        for number, which in enumerate(tries)
    )


START_NS = 1_700_000_000_000_000_000
TRIES = [TryContext(7, 1, "größe", "htex", True), TryContext(8, 0, "model", "htex", True)]


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
@pytest.mark.parametrize("tries", [TRIES, TRIES[:1]])
def test_last_words_are_said_of_the_try_that_a_worker_died_with(
    run_worker: Callable[[str], Worker], channel: Any, tries: list[TryContext], end: str
) -> None:
    """A worker that dies at once has had said that its last try ran, sampled or not."""
    run_worker(left(channel, *tries) + end)

    message = pickle.loads(channel.get(timeout=TIMEOUT_S))
    tag, frames = message["payload"]
    assert (message["type"], tag) == ("monitoring", MESSAGE_TAG)
    ((signal_, payload),) = payloads(frames)
    (record,) = (
        record
        for group in BY_NAME["logs"].request.FromString(payload).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    )
    said = {pair.key: pair.value for pair in record.attributes}
    which = tries[-1]
    assert (signal_, record.event_name) == (LOGS, semconv.EVENT_TRY_RUNNING)
    assert record.time_unix_nano == START_NS
    assert said[semconv.TASK_ID].int_value == which.task_id
    assert said[semconv.TRY_ID].int_value == which.try_id
    assert said[semconv.APP_NAME].string_value == which.app
    assert said[semconv.HOST_NAME].string_value == platform.node()


def test_worker_that_ends_between_tries_has_no_last_words(
    run_worker: Callable[[str], Worker], channel: Any
) -> None:
    """Of a try that has ended nothing is said: it left with its result."""
    worker = run_worker(left(channel, *TRIES) + "helper.end()\nos._exit(3)\n")

    wait_until(lambda: has_ended(worker.helper_pid))
    assert channel.empty()


def wait_until_asleep(helper: SamplerProcess) -> None:
    """Wait until the helper has been in one wait for longer than any timeout of it."""
    process = psutil.Process(helper.helper_pid)
    system_call = Path(f"/proc/{helper.helper_pid}/syscall")
    seen: list[str] = []

    def is_asleep() -> bool:
        seen.append(system_call.read_text() + str(process.num_ctx_switches()))
        time.sleep(0.1)
        return len(seen) > 15 and len(set(seen[-15:])) == 1

    wait_until(is_asleep)


def test_idle_helper_uses_nothing(helper: SamplerProcess) -> None:
    """Between tries the helper is not woken once, and it holds less than 10 MB."""
    assert helper.helper_pid is not None
    helper.begin("x", 0.05)
    samples_of(helper, 1)
    helper.end()
    wait_until_asleep(helper)
    process = psutil.Process(helper.helper_pid)
    assert process.status() == psutil.STATUS_SLEEPING
    assert process.memory_info().rss < 10_000_000


def test_helper_is_out_of_the_workers_way(helper: SamplerProcess) -> None:
    """It is no child of the worker, in no session of it, and waits in no folder of it."""
    assert helper.helper_pid is not None
    process = psutil.Process(helper.helper_pid)
    assert process.ppid() != os.getpid()
    assert os.getsid(helper.helper_pid) != os.getsid(0)
    assert process.cwd() == "/"
    assert helper.helper_pid not in [child.pid for child in psutil.Process().children()]


def test_worker_that_waits_for_all_its_children_is_not_held_up(
    run_worker: Callable[[str], Worker],
) -> None:
    """A program that waits until it has no children left ends."""
    worker = run_worker(
        "subprocess.Popen(['true'])\n"
        "while True:\n"
        "    try: os.wait()\n"
        "    except ChildProcessError: break\n"
        "print('done', flush=True)\n"
    )
    assert worker.line() == "done"


@pytest.mark.parametrize("begin", ["", "helper.begin('x', 0.05)\n"])
def test_kill_of_the_worker_ends_the_helper(
    run_worker: Callable[[str], Worker], begin: str
) -> None:
    """SIGKILL of the worker, idle or in a try, ends the helper."""
    worker = run_worker(begin + "print('ready', flush=True)\ntime.sleep(600)\n")
    worker.line()
    assert not has_ended(worker.helper_pid)
    worker.process.kill()
    wait_until(lambda: has_ended(worker.helper_pid))


def test_forked_children_of_the_worker_keep_no_helper_alive(
    run_worker: Callable[[str], Worker],
) -> None:
    """The helper ends with its worker, though a forked child holds the pipes open."""
    worker = run_worker(
        "child = os.fork()\n"
        "if not child:\n"
        "    time.sleep(600)\n"
        "print(child, flush=True)\n"
        "time.sleep(600)\n"
    )
    child = int(worker.line())
    try:
        worker.process.kill()
        wait_until(lambda: has_ended(worker.helper_pid))
    finally:
        os.kill(child, signal.SIGKILL)


def test_forked_child_has_no_helper(run_worker: Callable[[str], Worker]) -> None:
    """Calls in a forked child of the worker do nothing to the worker's try."""
    worker = run_worker(
        "helper.begin('parent', 0.05)\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        "    helper.begin('child', 0.05); helper.end(); helper.read(); helper.close()\n"
        "    os._exit(0)\n"
        "helper.read()\n"
        "while not (found := helper.read()): time.sleep(0.01)\n"
        "print(found[0][0], helper.failures, flush=True)\n"
    )
    assert worker.line() == "parent 0"


def test_end_of_the_helper_is_counted_and_harms_nothing() -> None:
    """A helper that was killed is noticed by read and counted; every call goes on working."""
    helper = SamplerProcess()
    assert helper.helper_pid is not None
    helper.begin("x", 0.05)
    os.kill(helper.helper_pid, signal.SIGKILL)
    pid = helper.helper_pid
    wait_until(lambda: has_ended(pid))
    helper.begin("y", 0.05)
    helper.end()
    helper.read()
    assert (helper.failures, helper.is_running, helper.fileno()) == (1, False, -1)
    assert helper.failure == f"sampler process of worker {os.getpid()}: ended by itself"
    helper.begin("z", 0.05)
    helper.end()
    assert helper.read() == []
    helper.close()
    helper.close()
    assert helper.failures == 1


@pytest.mark.parametrize("executable", ["/nowhere/python", "", "/bin/false"])
def test_helper_that_cannot_be_started_is_counted(
    monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """Without a Python to start the worker goes on, and the failure is counted."""
    descriptors = os.listdir("/proc/self/fd")
    monkeypatch.setattr(sys, "executable", executable)
    helper = SamplerProcess()
    assert (helper.failures, helper.is_running) == (1, False)
    assert "could not be started" in helper.failure
    helper.begin("x", 0.05)
    helper.end()
    assert helper.read() == []
    helper.close()
    assert os.listdir("/proc/self/fd") == descriptors


def test_samples_nobody_reads_are_thinned_and_counted(helper: SamplerProcess) -> None:
    """Of a worker stuck for very long the helper keeps samples of the whole try, and counts."""
    assert helper.helper_pid is not None
    process = psutil.Process(helper.helper_pid)
    sampler = TrySampler()
    # How much it has done by when: a busy machine may let it do nothing for most of the time.
    done: list[tuple[int, float]] = []
    found: list[Sample] = []

    def has_done(cpu_s: float) -> bool:
        done.append((time.time_ns(), sum(process.cpu_times()[:2])))
        return done[-1][1] >= cpu_s

    def done_between(begin_ns: int, end_ns: int) -> float:
        within = [cpu_s for time_ns, cpu_s in done if begin_ns <= time_ns <= end_ns]
        return within[-1] - within[0] if within else 0.0

    def has_caught_up() -> bool:
        found.extend(sample for _, sample in helper.read())
        return bool(found) and found[-1].time_ns > end_ns

    assert not has_done(1.0)
    # Some 40,000 samples, or a tenth of them where this process has many threads by now: the pipe
    # takes 200, the helper keeps 1024.
    helper.begin("stuck", 0.0001, sampler.begin())
    wait_until(lambda: has_done(5.0))
    end_ns = time.time_ns()
    wait_until(has_caught_up)
    times = [sample.time_ns for sample in found]
    assert helper.dropped > 1000
    assert times == sorted(times)
    assert max(done_between(a, b) for a, b in pairwise([done[0][0], *times])) < 0.3


def start_script(pid: int, start_ticks: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Start the helper's script on a kernel without pidfd, and return its starter and its pid."""
    program = (
        "import os, runpy, sys\n"
        "del os.pidfd_open\n"
        "os.set_blocking(0, False)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    script = str(ROOT / "otel_parsl" / "sampling" / "sampler_process.py")
    starter = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, script, str(pid), str(start_ticks), "-1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    return starter, int(starter.stdout.readline())


def test_helper_without_pidfd_looks_for_its_worker() -> None:
    """On an old kernel the helper ends with its worker too, though its pipes stay open."""
    worker = subprocess.Popen(["sleep", "600"])
    start_ticks = ProcFiles(f"/proc/{worker.pid}", is_real=True).read().start_ticks
    starter, pid = start_script(worker.pid, start_ticks)
    try:
        time.sleep(0.5)
        assert not has_ended(pid)
        worker.kill()
        wait_until(lambda: has_ended(pid))
    finally:
        worker.kill()
        worker.wait()
        starter.communicate()


def test_helper_of_a_worker_that_has_ended_ends() -> None:
    """A process that began at another time than the worker is not it."""
    starter, pid = start_script(os.getpid(), 1)
    wait_until(lambda: has_ended(pid))
    starter.communicate()
