"""Messages reach the hub from its own process at once, and from any other through the pipe."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.queues
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import pytest

from otel_parsl.submit.message_queue import MessageQueue
from tests.support.queue_process import put_all, put_unreadable

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module", autouse=True)
def _no_process_left() -> Iterator[None]:
    """End the process by which multiprocessing minds semaphores: other tests count children."""
    yield
    gc.collect()
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


class _Taken(list[Any]):
    """What a hub took, and from which process and thread."""

    def __init__(self) -> None:
        self.callers: set[tuple[int, int]] = set()

    def take(self, item: Any) -> None:
        self.append(item)
        self.callers.add((os.getpid(), threading.get_ident()))


def _put_in_another_process(queue: MessageQueue, items: list[Any]) -> None:
    process = SPAWN.Process(target=put_all, args=(queue, items))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0


def test_queue_is_what_parsl_checks_for() -> None:
    """It is a real multiprocessing queue, and true even while it is empty."""
    queue = MessageQueue("run", lambda _item: None)
    assert isinstance(queue, multiprocessing.queues.Queue)
    assert bool(queue)
    assert queue.run == "run"
    queue.stop_reading()


def test_put_in_the_hubs_process_is_a_call() -> None:
    """In the hub's process a put is taken by the time it returns, in the thread that puts."""
    taken = _Taken()
    queue = MessageQueue(None, taken.take)
    threads = [
        threading.Thread(target=put_all, args=(queue, [(n, m) for m in range(100)]))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [(n, m) for n in range(4) for m in range(100)]
    queue.put("last", block=False, timeout=1)
    assert taken[-1] == "last"
    queue.stop_reading()


def test_put_in_a_spawned_process_comes_through_the_pipe() -> None:
    """What a process of a user's radio puts on its copy is taken here, whole and in order."""
    taken = _Taken()
    queue = MessageQueue("not for the copy", taken.take)
    items = [("tag", {"n": n, "text": "é" * n}) for n in range(300)]
    _put_in_another_process(queue, items)
    queue.stop_reading()
    assert taken == items
    assert {pid for pid, _ in taken.callers} == {os.getpid()}


def test_two_spawned_processes_share_the_pipe() -> None:
    """Two processes lose nothing of each other's, nor of what this process puts meanwhile."""
    taken = _Taken()
    queue = MessageQueue(None, taken.take)
    processes = [
        SPAWN.Process(target=put_all, args=(queue, [(n, m) for m in range(50)])) for n in range(2)
    ]
    for process in processes:
        process.start()
    put_all(queue, [(2, m) for m in range(50)])
    for process in processes:
        process.join(timeout=60)
    queue.stop_reading()
    assert sorted(taken) == [(n, m) for n in range(3) for m in range(50)]


def test_there_is_no_pipe_until_a_copy_is_made() -> None:
    """A run whose radios are ours has no pipe, no thread that reads it and no process for it."""
    script = (
        "import os, psutil, threading; from otel_parsl.submit.message_queue import MessageQueue;"
        "files = os.listdir('/proc/self/fd'); queue = MessageQueue(None, lambda item: None);"
        "queue.put(1); queue.stop_reading();"
        "print(threading.active_count(), psutil.Process().children(),"
        " files == os.listdir('/proc/self/fd'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 [] True\n"


def test_copy_cannot_be_made_but_by_spawning() -> None:
    """Pickling the queue anywhere else is refused, as by multiprocessing, and starts no thread."""
    queue = MessageQueue(None, lambda _item: None)
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="should only be shared between processes"):
        pickle.dumps(queue)
    assert set(threading.enumerate()) == before
    queue.stop_reading()


def test_message_that_cannot_be_read_is_counted_and_the_next_ones_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One message that cannot be unpickled here, or that nobody can take, ends nothing."""
    taken: list[Any] = []

    def take(item: Any) -> None:
        if item == "odd":
            raise TypeError("no message")
        taken.append(item)

    queue = MessageQueue(None, take)
    process = SPAWN.Process(target=put_unreadable, args=(queue,))
    process.start()
    process.join(timeout=60)
    queue.stop_reading()
    assert taken == ["before", "after"]
    assert queue.unreadable == 2
    assert caplog.messages == ["a message of another process could not be read: LookupError('me')"]
