"""What a try has used: exact on a fake /proc, and against psutil on a real one."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_parsl.sampling.process_usage import boot_clock_s
from otel_parsl.sampling.sampler import ProcessReading, Sample, TrySampler

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
GIB = 1 << 30

# Prints its process id, uses what it is asked to use, and ends.
BURN = """
import sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
"""


class FakeProc:
    """A folder that looks like /proc; every process is described by a few numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "meminfo").write_text(f"MemTotal:       {GIB // 1024} kB\nMemFree: 1 kB\n")
        self._cpu: dict[int, tuple[int, int, int, int]] = {}

    def process(
        self,
        pid: int,
        *,
        parent: int = 1,
        children: str = "",
        cpu: tuple[int, int, int, int] = (0, 0, 0, 0),
        io: tuple[int, int] = (0, 0),
        switches: tuple[int, int] = (0, 0),
        pages: int = 1,
        peak_pages: int | None = None,
        start: int = 5,
        name: str = "python",
    ) -> None:
        """Write a process; ``cpu`` is utime, stime, cutime and cstime in ticks."""
        folder = self.folder / str(pid)
        task = folder / "task" / str(pid)
        task.mkdir(parents=True, exist_ok=True)
        (folder / "fd").mkdir(exist_ok=True)
        for number in ("0", "1", "2"):
            (folder / "fd" / number).touch()
        times = " ".join(map(str, cpu))
        (folder / "stat").write_text(
            f"{pid} ({name}) S {parent} 0 0 0 -1 0 0 0 0 0 {times} 20 0 2 0 {start} "
            f"0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0\n"
        )
        (folder / "statm").write_text(f"{pages * 10} {pages} 1 1 0 1 0\n")
        peak = peak_pages or pages
        (folder / "status").write_text(
            f"Name:\t{name}\nVmHWM:\t{peak * PAGE // 1024:8d} kB\nThreads:\t2\n"
            f"voluntary_ctxt_switches:\t{switches[0]}\n"
            f"nonvoluntary_ctxt_switches:\t{switches[1]}\n"
        )
        (folder / "io").write_text(f"rchar: {io[0]}\nwchar: {io[1]}\nsyscr: 7\nsyscw: 8\n")
        (task / "children").write_text(children)

    def end(self, pid: int) -> None:
        """Take a process away."""
        for path in sorted((self.folder / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.folder / str(pid)).rmdir()

    def refuse(self, pid: int, file: str) -> None:
        """Make a file unreadable, for root too."""
        (self.folder / str(pid) / file).unlink()
        (self.folder / str(pid) / file).mkdir()

    def sampler(self, **settings: object) -> TrySampler:
        """Return a sampler of process 100."""
        return TrySampler(100, proc=str(self.folder), **settings)  # type: ignore[arg-type]


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def run_python(program: str, *arguments: str) -> str:
    """Run a program in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    return done.stdout


def test_sample_counts_from_the_start_of_the_try(proc: FakeProc) -> None:
    """Counters count from begin, what a process holds is as it is now."""
    proc.process(100, cpu=(500, 300, 40, 30), io=(1000, 2000), switches=(10, 20), pages=8)
    sampler = proc.sampler()
    sampler.begin()
    before_ns = time.time_ns()
    proc.process(100, cpu=(530, 310, 42, 30), io=(1500, 2600), switches=(11, 27), pages=6)
    sample = sampler.sample()
    assert sample == Sample(
        time_ns=sample.time_ns,
        pid=100,
        cpu_user_s=0.32,
        cpu_system_s=0.1,
        memory_resident_bytes=6 * PAGE,
        memory_virtual_bytes=60 * PAGE,
        memory_percent=6 * PAGE / GIB * 100,
        memory_peak_bytes=8 * PAGE,
        children_count=0,
        read_bytes=500,
        write_bytes=600,
        context_switches_voluntary=1,
        context_switches_involuntary=7,
        status="sleeping",
        cpu_num=3,
    )
    assert before_ns <= sample.time_ns <= time.time_ns()


def test_process_is_cumulative_and_alone(proc: FakeProc) -> None:
    """process() counts from the start of the process and leaves children out."""
    proc.process(100, cpu=(500, 300, 40, 30), io=(1, 2), switches=(3, 4), pages=8, children="101 ")
    proc.process(101, parent=100, cpu=(9, 9, 9, 9), io=(9, 9), switches=(9, 9), pages=9)
    sampler = proc.sampler()
    sampler.begin()
    reading = sampler.process()
    assert reading == ProcessReading(
        reading.time_ns, 5.0, 3.0, 8 * PAGE, 80 * PAGE, 1, 2, 3, 4, 2, 3
    )


def test_name_may_look_like_fields(proc: FakeProc) -> None:
    """Blanks, parentheses and newlines in a process's name move no field."""
    proc.process(100, cpu=(100, 200, 0, 0), name="a) R (b 1 2) Z 3 (")
    sampler = proc.sampler()
    sampler.begin()
    assert sampler.process()[1:3] == (1.0, 2.0)
    assert sampler.sample().status == "sleeping"


def test_descendants_are_summed_in(proc: FakeProc) -> None:
    """Children and grandchildren count, with what they had reaped, but for ignored ones."""
    proc.process(100, pages=1)
    sampler = proc.sampler(ignore_pids=(103,))
    sampler.begin()
    proc.process(100, pages=1, children="101 103 ")
    proc.process(103, parent=100, cpu=(900, 900, 900, 900), pages=900)
    proc.process(
        101, parent=100, pages=2, children="102 ", cpu=(10, 20, 3, 4), io=(1, 2), switches=(5, 6)
    )
    proc.process(102, parent=101, pages=4, cpu=(100, 200, 30, 40), io=(10, 20), switches=(50, 60))
    sample = sampler.sample()
    assert sample == Sample(
        time_ns=sample.time_ns,
        pid=100,
        cpu_user_s=1.43,
        cpu_system_s=2.64,
        memory_resident_bytes=7 * PAGE,
        memory_virtual_bytes=70 * PAGE,
        memory_percent=7 * PAGE / GIB * 100,
        memory_peak_bytes=7 * PAGE,
        children_count=2,
        read_bytes=11,
        write_bytes=22,
        context_switches_voluntary=55,
        context_switches_involuntary=66,
        status="sleeping",
        cpu_num=3,
    )


def counters(sample: Sample) -> tuple[float | None, ...]:
    """Return the fields that only grow."""
    return (
        sample.cpu_user_s,
        sample.cpu_system_s,
        sample.read_bytes,
        sample.write_bytes,
        sample.context_switches_voluntary,
        sample.context_switches_involuntary,
    )


def test_child_that_ended_is_counted_once_and_in_its_own_try(proc: FakeProc) -> None:
    """What a child used stays when it was waited for, and the next try begins at nothing."""
    proc.process(100)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, children="101 ")
    proc.process(101, parent=100, cpu=(100, 200, 0, 0), io=(10, 20), switches=(5, 6))
    used = (1.0, 2.0, 10, 20, 5, 6)
    assert counters(sampler.sample()) == used
    proc.end(101)
    proc.process(100, cpu=(0, 0, 100, 200), io=(10, 20))
    assert counters(sampler.sample()) == used
    sampler.begin()
    assert counters(sampler.sample()) == (0, 0, 0, 0, 0, 0)


def test_child_left_over_counts_from_the_start_of_the_next_try(proc: FakeProc) -> None:
    """A child that outlives its try adds to the next one only what it uses there."""
    proc.process(100, children="101 ")
    proc.process(101, parent=100, cpu=(100, 200, 0, 0), io=(10, 20), switches=(5, 6))
    sampler = proc.sampler()
    sampler.begin()
    proc.process(101, parent=100, cpu=(110, 200, 0, 0), io=(10, 25), switches=(6, 6))
    assert counters(sampler.sample()) == (0.1, 0.0, 0, 5, 1, 0)
    proc.end(101)
    proc.process(100, cpu=(0, 0, 120, 200), io=(10, 25))
    assert counters(sampler.sample()) == (0.2, 0.0, 0, 5, 1, 0)


def test_orphan_is_followed_in_its_try_and_dropped_after(proc: FakeProc) -> None:
    """A grandchild whose parent ended first is counted to its end, and no longer in the next."""
    proc.process(100)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, children="101 ")
    proc.process(101, parent=100, children="102 ")
    proc.process(102, parent=101, cpu=(100, 0, 0, 0), io=(10, 0), switches=(5, 0), pages=4)
    sampler.sample()
    proc.process(100)
    proc.end(101)
    proc.process(102, parent=1, cpu=(150, 0, 0, 0), io=(15, 0), switches=(7, 0), pages=4)
    sample = sampler.sample()
    assert counters(sample) == (1.5, 0.0, 15, 0, 7, 0)
    assert (sample.children_count, sample.memory_resident_bytes) == (1, 5 * PAGE)
    proc.end(102)
    sample = sampler.sample()
    assert counters(sample) == (1.5, 0.0, 15, 0, 7, 0)
    assert (sample.children_count, sample.memory_resident_bytes) == (0, PAGE)
    proc.process(100, cpu=(20, 0, 0, 0))
    assert counters(sampler.sample())[0] == 1.7
    sampler.begin()
    assert counters(sampler.sample()) == (0, 0, 0, 0, 0, 0)


def test_orphan_that_lives_on_is_not_of_the_next_try(proc: FakeProc) -> None:
    """A daemon that an app started is left out from the next begin on."""
    proc.process(100, children="101 ")
    proc.process(101, parent=100, children="102 ")
    proc.process(102, parent=101, pages=4)
    sampler = proc.sampler()
    sampler.begin()
    proc.end(101)
    proc.process(100)
    assert sampler.sample().children_count == 1
    sampler.begin()
    proc.process(102, parent=1, cpu=(100, 0, 0, 0), pages=4)
    sample = sampler.sample()
    assert (sample.children_count, sample.cpu_user_s) == (0, 0.0)
    assert sample.memory_resident_bytes == PAGE


def test_reused_process_id_is_another_process(proc: FakeProc) -> None:
    """A process that got an ended child's id is not taken for it."""
    proc.process(100, children="101 ")
    proc.process(101, parent=100, cpu=(100, 0, 0, 0), switches=(5, 0), start=5)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, cpu=(0, 0, 100, 0))
    proc.process(101, parent=1, cpu=(900, 0, 0, 0), switches=(900, 0), start=6)
    sample = sampler.sample()
    assert (sample.children_count, *counters(sample)) == (0, 0.0, 0.0, 0, 0, 0, 0)


def test_child_with_the_id_of_one_that_ended_is_another_child(proc: FakeProc) -> None:
    """The context switches of both count."""
    proc.process(100, children="101 ")
    proc.process(101, parent=100, switches=(5, 0), start=5)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(101, parent=100, switches=(7, 0), start=5)
    sampler.sample()
    proc.process(101, parent=100, switches=(1, 0), start=6)
    assert sampler.sample().context_switches_voluntary == 3


def test_counters_never_fall(proc: FakeProc) -> None:
    """Where a child's use is lost (SIGCHLD ignored), what was said is not taken back."""
    proc.process(100)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, children="101 ")
    proc.process(101, parent=100, cpu=(100, 0, 0, 0), io=(10, 0))
    sampler.sample()
    proc.end(101)
    proc.process(100)
    assert counters(sampler.sample()) == (1.0, 0.0, 10, 0, 0, 0)


@pytest.mark.parametrize("pid", [100, 101])
def test_what_is_refused_is_none(proc: FakeProc, pid: int) -> None:
    """I/O that may not be read, of the process or of a child, is None and not a part."""
    proc.process(100, children="101 ", cpu=(100, 0, 0, 0), io=(10, 20))
    proc.process(101, parent=100, cpu=(100, 0, 0, 0), io=(10, 20))
    proc.refuse(pid, "io")
    sampler = proc.sampler()
    sampler.begin()
    sample = sampler.sample()
    assert counters(sample) == (0.0, 0.0, None, None, 0, 0)


def test_hidden_child_makes_sums_unknown(proc: FakeProc) -> None:
    """A child that is listed but never there (hidepid) is counted, and its use is unknown."""
    proc.process(100, children="101 ", cpu=(100, 0, 0, 0))
    sampler = proc.sampler()
    sampler.begin()
    sample = sampler.sample()
    assert sample == Sample(
        time_ns=sample.time_ns,
        pid=100,
        cpu_user_s=None,
        cpu_system_s=None,
        memory_resident_bytes=None,
        memory_virtual_bytes=None,
        memory_percent=None,
        memory_peak_bytes=None,
        children_count=1,
        read_bytes=None,
        write_bytes=None,
        context_switches_voluntary=None,
        context_switches_involuntary=None,
        status="sleeping",
        cpu_num=3,
    )
    assert sampler.process().cpu_user_s == 1.0


@pytest.mark.parametrize("file", ["stat", "statm", "status", "io"])
def test_garbled_file_is_unknown(proc: FakeProc, file: str) -> None:
    """A file that is cut short raises nothing and makes no zero."""
    proc.process(100, io=(1, 1))
    (proc.folder / "100" / file).write_text("100 (x")
    sampler = proc.sampler()
    sampler.begin()
    sample = sampler.sample()
    expected = {
        "stat": (None, None, 0, 0, 0, 0),
        "statm": (0.0, 0.0, 0, 0, 0, 0),
        "status": (0.0, 0.0, 0, 0, None, None),
        "io": (0.0, 0.0, None, None, 0, 0),
    }
    assert counters(sample) == expected[file]
    assert sample.memory_resident_bytes == (None if file == "statm" else PAGE)


def test_process_that_is_gone_raises_lookup_error(proc: FakeProc) -> None:
    """Only the end of the sampled process itself is an error, and has a name."""
    proc.process(100)
    sampler = proc.sampler()
    sampler.begin()
    proc.end(100)
    (proc.folder / "100").mkdir()
    other = proc.sampler()
    with pytest.raises(ProcessLookupError):
        other.sample()


def test_kernel_without_lists_of_children(proc: FakeProc) -> None:
    """Where the kernel lists no children they are found by their parents."""
    proc.process(100, pages=1)
    proc.process(101, parent=100, pages=2)
    proc.process(102, parent=101, pages=4)
    proc.process(103, parent=1, pages=8)
    for pid in (100, 101, 102, 103):
        (proc.folder / str(pid) / "task" / str(pid) / "children").unlink()
    sample = proc.sampler().sample()
    assert (sample.children_count, sample.memory_resident_bytes) == (2, 7 * PAGE)


def test_peak_is_reset_by_begin(proc: FakeProc) -> None:
    """begin writes 5 to clear_refs, and the peak from then on counts."""
    proc.process(100, pages=2, peak_pages=50)
    (proc.folder / "100" / "clear_refs").touch()
    sampler = proc.sampler()
    sampler.begin()
    assert (proc.folder / "100" / "clear_refs").read_text() == "5"
    proc.process(100, pages=2, peak_pages=7)
    assert sampler.sample().memory_peak_bytes == 7 * PAGE


def test_peak_that_cannot_be_reset_counts_once_it_is_passed(proc: FakeProc) -> None:
    """A peak from before the try is not the try's; one above it is."""
    proc.process(100, pages=2, peak_pages=50)
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, pages=3, peak_pages=50)
    assert sampler.sample().memory_peak_bytes == 3 * PAGE
    proc.process(100, pages=3, peak_pages=51)
    assert sampler.sample().memory_peak_bytes == 51 * PAGE


def test_peak_of_a_child_counts_if_it_began_in_the_try(proc: FakeProc) -> None:
    """A child's own peak counts, unless it may have had it before the try."""
    proc.process(100, children="101 102 ")
    proc.process(101, parent=100, peak_pages=90)
    proc.process(102, parent=100, peak_pages=70, start=int((boot_clock_s() + 9) * TICKS))
    sampler = proc.sampler()
    sampler.begin()
    assert sampler.sample().memory_peak_bytes == 70 * PAGE


def test_include_raises_what_only_grows(proc: FakeProc) -> None:
    """What the helper saw of a try is never more than the worker says at its end."""
    proc.process(100, pages=2, cpu=(0, 100, 0, 0))
    sampler = proc.sampler()
    sampler.begin()
    proc.process(100, pages=2, cpu=(100, 200, 0, 0))
    sample = sampler.sample()
    seen = sample._replace(cpu_user_s=0.5, cpu_system_s=1.5, memory_peak_bytes=9 * PAGE)
    sampler.include(seen._replace(memory_resident_bytes=9 * PAGE))
    after = sampler.sample()
    assert after == sample._replace(
        time_ns=after.time_ns, cpu_system_s=1.5, memory_peak_bytes=9 * PAGE
    )
    sampler.begin()
    assert sampler.sample().memory_peak_bytes == 2 * PAGE


@given(steps=st.lists(st.tuples(st.sampled_from(["here", "beside", "late"]), st.integers(0, 3))))
def test_no_sample_has_less_than_one_before_it(steps: list[tuple[str, int]]) -> None:
    """Read here or beside, to the hundredth, heard late: CPU time never falls along the samples."""
    with tempfile.TemporaryDirectory() as folder:
        proc = FakeProc(Path(folder))
        proc.process(100)
        sampler = proc.sampler()
        sampler.begin()
        samples = [sampler.sample()]
        ticks = 0
        for where, more in steps:
            ticks += more
            beside = samples[0]._replace(
                time_ns=time.time_ns(), cpu_user_s=max(0, ticks - 1) / TICKS
            )
            proc.process(100, cpu=(ticks, 0, 0, 0))
            if where != "beside":
                samples.append(sampler.sample())
            if where != "here":
                samples.append(sampler.include(beside))
    used = [sample.cpu_user_s for sample in sorted(samples, key=lambda each: each.time_ns)]
    assert used == sorted(used, key=lambda each: each or 0.0)


def test_own_process_agrees_with_psutil() -> None:
    """What the own process holds is what psutil says, within a page or two of counting."""
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    sampler = TrySampler(ignore_pids=others)
    sampler.begin()
    sample, totals = sampler.sample(), sampler.process()
    process = psutil.Process()
    memory, switches, io = process.memory_info(), process.num_ctx_switches(), process.io_counters()
    assert sample.pid == os.getpid()
    assert (sample.status, sample.children_count) == (
        "running",
        0,
    )
    assert totals.cpu_user_s == pytest.approx(process.cpu_times().user, abs=0.1)
    assert totals.cpu_system_s == pytest.approx(process.cpu_times().system, abs=0.1)
    assert totals.memory_resident_bytes == pytest.approx(memory.rss, rel=0.05)
    assert totals.memory_virtual_bytes == pytest.approx(memory.vms, rel=0.05)
    assert totals.read_bytes == pytest.approx(io.read_chars, abs=200_000)
    assert totals.write_bytes == pytest.approx(io.write_chars, abs=20_000)
    assert totals.context_switches_voluntary == pytest.approx(switches.voluntary, abs=50)
    assert totals.context_switches_involuntary == pytest.approx(switches.involuntary, abs=500)
    assert totals.thread_count == process.num_threads()
    # psutil counts the descriptor that it reads the folder with.
    assert totals.fd_count == process.num_fds() - 1
    assert sample.memory_percent == pytest.approx(process.memory_percent(), rel=0.05)
    assert sample.cpu_num in range(os.cpu_count() or 1)


def test_tree_agrees_with_psutil() -> None:
    """A child and its child are summed in as psutil would read them one by one."""
    program = f"import subprocess, sys; subprocess.run(['{sys.executable}', '-c', 'input()'])"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        process = psutil.Process(child.pid)
        wait_until(lambda: process.children() and process.children()[0].status() == "sleeping")
        wait_until(lambda: process.status() == "sleeping")
        sample = TrySampler(child.pid).sample()
        both = [process, *process.children(recursive=True)]
        assert sample.children_count == len(both) - 1 == 1
        assert sample.status == process.status()
        assert sample.memory_resident_bytes == sum(one.memory_info().rss for one in both)
        assert sample.memory_virtual_bytes == sum(one.memory_info().vms for one in both)
        assert sample.memory_percent == pytest.approx(sum(one.memory_percent() for one in both))
    finally:
        child.communicate(b"\n")


def wait_until(happened: object, timeout_s: float = 20.0) -> None:
    """Poll until a claim holds, and fail when it does not in time."""
    assert callable(happened)
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def test_cpu_of_a_child_counts_once_and_in_its_try_alone() -> None:
    """0.3 s burnt by a child that has ended are in its try as the system says, not in the next."""
    sampler = TrySampler()
    sampler.begin()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.Popen([sys.executable, "-c", BURN, "0.3"])
    while child.poll() is None:
        sampler.sample()
        time.sleep(0.02)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sample = sampler.sample()
    sampler.begin()
    following = sampler.sample()
    burnt_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert sample.cpu_user_s is not None
    assert sample.cpu_system_s is not None
    assert burnt_s >= 0.3
    # Besides the child: the polling of this process.
    assert burnt_s <= sample.cpu_user_s + sample.cpu_system_s <= burnt_s + 0.25
    assert following.cpu_user_s == pytest.approx(0, abs=0.05)


def test_context_switches_of_a_child_count_once() -> None:
    """500 waits of a child are in its try, while it lives, after its end, and never seen."""
    program = "import time\nfor _ in range(500): time.sleep(0.0005)\nprint(flush=True)\ninput()\n"
    sampler = TrySampler()
    sampler.begin()
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    living = sampler.sample().context_switches_voluntary
    child.communicate(b"\n")
    ended = sampler.sample().context_switches_voluntary
    assert living is not None
    assert ended is not None
    assert 500 <= living <= ended < 900
    sampler.begin()
    subprocess.run([sys.executable, "-c", program], input=b"\n", check=True, capture_output=True)
    unseen = sampler.sample().context_switches_voluntary
    assert unseen is not None
    assert 500 <= unseen < 900


def test_cpu_of_a_grandchild_counts_once_seen_from_beside() -> None:
    """A process that reads another one's tree counts a grandchild that has ended once."""
    program = (
        "import subprocess, sys, resource\n"
        "input()\n"
        f"subprocess.run([sys.executable, '-c', {BURN!r}, '0.3'])\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, flush=True)\n"
        "input()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    sampler = TrySampler(child.pid)
    sampler.begin()
    child.stdin.write("\n")
    child.stdin.flush()
    wait_until(lambda: sampler.sample().children_count == 1)
    wait_until(lambda: sampler.sample().children_count == 0)
    burnt_s = float(child.stdout.readline())
    sample = sampler.sample()
    child.communicate("\n")
    assert sample.cpu_user_s is not None
    assert sample.cpu_system_s is not None
    assert burnt_s - 0.05 <= sample.cpu_user_s + sample.cpu_system_s <= burnt_s + 0.25


def test_peak_of_memory_that_was_freed_is_seen_in_its_try_alone() -> None:
    """50 MB that came and went are the peak of their try; the next try knows nothing of them."""
    program = (
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "sampler = TrySampler()\n"
        "sampler.begin()\n"
        "block = bytearray(50_000_000)\n"
        "block[:] = b'1' * len(block)\n"
        "del block\n"
        "first = sampler.sample()\n"
        "sampler.begin()\n"
        "second = sampler.sample()\n"
        "print([s.memory_peak_bytes - s.memory_resident_bytes for s in (first, second)])\n"
    )
    first, second = json.loads(run_python(program))
    assert first >= 50_000_000
    assert second < 5_000_000


def test_short_reading_says_what_the_whole_one_does() -> None:
    """Where no more was held before the try than now a reading is made by half of the work."""
    program = (
        "import json, subprocess, sys\n"
        # Started by a small process: the peak of that one counts as this one's own.
        "if sys.argv[1:]:\n"
        "    sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1]]))\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "sampler = TrySampler()\n"
        "samples = []\n"
        "for size in (0, 0, 80_000_000):\n"
        "    sampler.begin()\n"
        "    block = bytearray(size)\n"
        "    block[:] = b'1' * size\n"
        "    del block\n"
        "    print(end=' ' * 1000, file=sys.stderr, flush=True)\n"
        "    assert sampler._tree.read_own() is not None\n"
        "    samples.append(sampler.sample())\n"
        "    short, sampler._tree.read_own = sampler._tree.read_own, lambda: None\n"
        "    samples.append(sampler.sample())\n"
        "    sampler._tree.read_own = short\n"
        "print(json.dumps([sample._asdict() for sample in samples]))\n"
    )
    samples = json.loads(run_python(program, program))
    for short, whole in zip(samples[::2], samples[1::2], strict=True):
        near = {
            "time_ns": 1e9,
            "cpu_user_s": 0.05,
            "cpu_system_s": 0.05,
            "read_bytes": 5000,
            "memory_resident_bytes": 1 << 20,
            "memory_virtual_bytes": 1 << 20,
            "memory_percent": 0.01,
            "memory_peak_bytes": 1 << 20,
            "context_switches_voluntary": 5,
            "context_switches_involuntary": 50,
            "cpu_num": 64,
        }
        for name, value in whole.items():
            assert short[name] == (pytest.approx(value, abs=near[name]) if name in near else value)
    assert all(sample["write_bytes"] >= 1000 for sample in samples)
    assert samples[4]["memory_peak_bytes"] - samples[4]["memory_resident_bytes"] >= 80_000_000


@pytest.mark.parametrize("freed", [0, 80_000_000])
def test_peak_is_never_below_what_the_try_began_with(freed: int) -> None:
    """A try that lets go of what the worker held before has held it for a while."""
    program = (
        "import subprocess, sys\n"
        "size, *inner = sys.argv[1:]\n"
        # Started by a small process: the peak of that one counts as this one's own.
        "if inner:\n"
        "    sys.exit(subprocess.call([sys.executable, '-c', *inner, size]))\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "block = bytearray(int(size))\n"
        "block[:] = b'1' * len(block)\n"
        "sampler = TrySampler()\n"
        "sampler.begin()\n"
        "held = sampler._tree._root.resident_bytes()\n"
        "del block\n"
        "print(held, sampler.sample().memory_peak_bytes)\n"
    )
    held, peak = map(int, run_python(program, str(freed), program).split())
    assert peak >= held >= freed


def test_forked_child_samples_itself() -> None:
    """A sampler that was carried over a fork measures the process it is in."""
    program = (
        "import os, sys, time\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "sampler = TrySampler()\n"
        "sampler.begin()\n"
        "while time.process_time() < 0.2: pass\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        "    sample = sampler.sample()\n"
        "    print(int(sample.pid == os.getpid()), sample.cpu_user_s, flush=True)\n"
        "    os._exit(0)\n"
    )
    is_own, cpu_user_s = run_python(program).split()
    assert is_own == "1"
    assert float(cpu_user_s) < 0.1


def test_program_that_closes_our_files_loses_none_of_its_own(tmp_path: Path) -> None:
    """After closerange the sampler opens its files anew, and leaves the user's alone."""
    program = (
        "import os, sys\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "sampler = TrySampler()\n"
        "sampler.begin()\n"
        "os.closerange(3, 64)\n"
        "names = [os.path.join(sys.argv[1], str(n)) for n in range(20)]\n"
        "for name in names: open(name, 'w').write('yours')\n"
        "files = [open(name, 'r+') for name in names]\n"
        "sampler.begin()\n"
        "sample = sampler.sample()\n"
        "del sampler\n"
        "for file in files: file.write('still '); file.close()\n"
        "print(None not in sample, {open(name).read() for name in names})\n"
    )
    assert run_python(program, str(tmp_path)) == "True {'still '}\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root has a process that others may not read")
def test_other_users_process_is_read_as_far_as_allowed() -> None:
    """Of root's process a stranger gets CPU and memory, and None for I/O, not 0."""
    program = (
        "import os\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "parent = os.getpid()\n"
        "TrySampler()  # loads what a stranger may not be able to load\n"
        "if child := os.fork():\n"
        "    os.waitpid(child, 0)\n"
        "else:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "    sampler = TrySampler(parent)\n"
        "    sampler.begin()\n"
        "    sample = sampler.sample()\n"
        "    print(sample.cpu_user_s, sample.memory_resident_bytes > 0, sample.read_bytes,\n"
        "          sample.write_bytes, sample.context_switches_voluntary, flush=True)\n"
        "    os._exit(0)\n"
    )
    assert run_python(program).split()[1:4] == ["True", "None", "None"]


def test_without_proc_psutil_answers(tmp_path: Path) -> None:
    """Where there is no /proc every field comes from psutil, and children are summed in."""
    child = subprocess.Popen([sys.executable, "-c", BURN, "0.2"])
    sampler = TrySampler(proc=str(tmp_path))
    sampler.begin()
    living = sampler.sample()
    child.wait()
    sample = sampler.sample()
    assert living.children_count is not None
    assert sample.children_count == living.children_count - 1
    assert sample.cpu_user_s is not None
    assert sample.cpu_system_s is not None
    # Besides the child: psutil, which is slow, and loaded by the first of these calls.
    assert 0.18 <= sample.cpu_user_s + sample.cpu_system_s <= 0.6
    assert None not in sample
    sampler.begin()
    assert sampler.sample().cpu_user_s == pytest.approx(0, abs=0.1)


def test_import_is_light() -> None:
    """Sampling loads nothing but the standard library, and psutil only where it must."""
    program = (
        "import sys\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "TrySampler().sample()\n"
        "heavy = {'psutil', 'parsl', 'google', 'opentelemetry', 'json', 'subprocess'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run_python(program) == "[]\n"


def test_short_try_is_cheap() -> None:
    """A try without children is begun and sampled in well under 60 microseconds each."""
    program = (
        "import time\n"
        "from otel_parsl.sampling.sampler import TrySampler\n"
        "sampler = TrySampler()\n"
        "for step in (sampler.begin, sampler.sample):\n"
        "    best = 1.0\n"
        "    for _ in range(2000):\n"
        "        start = time.perf_counter()\n"
        "        step()\n"
        "        best = min(best, time.perf_counter() - start)\n"
        "    print(best * 1e6)\n"
    )
    assert max(map(float, run_python(program).split())) < 60
