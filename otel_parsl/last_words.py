"""
What is said of a try whose worker dies before it has said anything.

Flow: live -> **Will, words** -> the helper (sampler_process) -> **say** -> agent
A try tells with its result that it ran, or once it has lasted a while. One that ends its process
before, by a crash of C code or for want of memory, can do neither: the helper process beside the
worker does it. What holds for all tries of a process is left with it once, as a will, so that a
try costs no more than a few words.
Workers and their helpers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, NamedTuple

from otel_parsl import relay, semconv, spool, wire
from otel_parsl.direct import DirectSender, Receiver, Unreachable
from otel_parsl.execution_record import try_attributes
from otel_parsl.try_events import running_event
from otel_parsl.wire import LOGS

if TYPE_CHECKING:
    from otel_parsl.worker import TryContext


class Will(NamedTuple):
    """What a worker process leaves of itself for a run; plain values."""

    run: bytes
    """The run's key: see ``identity.run_key``."""
    trace_scope: str
    pid: int
    resource: bytes
    """Sized: of all that the process writes."""
    scope: bytes
    """Likewise."""
    place: tuple[bytes, ...]
    """Attributes that say where its tries run."""
    receiver: tuple[tuple[str, ...], int, str] | None
    """The fields of a ``direct.Receiver``, where news go directly to the agent."""
    channel: relay.Address | None
    """The executor's own channel, if it has one."""

    def encoded(self) -> bytes:
        """Return what ``say`` takes."""
        return pickle.dumps(tuple(self))


def words(which: TryContext, start_ns: int) -> bytes:
    """Return what there is to say of a try, beside the will."""
    return pickle.dumps((which.task_id, which.try_id, which.app, which.executor, start_ns))


def say(will: bytes, words: bytes) -> None:
    """
    Send that a try ran, and where.

    Args:
        will: What ``Will.encoded`` returned.
        words: What ``words`` returned.

    Raises:
        OSError: No way to the submit side is left.
        Unreachable: Likewise, where the only way is the direct one.
    """
    of = Will(*pickle.loads(will))  # noqa: S301 - the worker's own, in memory of this user
    task_id, try_id, app, executor, start_ns = pickle.loads(words)  # noqa: S301 - likewise
    event = running_event(
        of.run,
        task_id,
        try_id,
        start_ns,
        scope=of.trace_scope,
        pid=of.pid,
        attributes=try_attributes(task_id, try_id, app, executor, of.place),
    )
    request = wire.request(of.resource, of.scope, (event,), schema_url=semconv.SCHEMA_URL)
    frames = spool.frame(LOGS, request)
    if of.receiver is not None:
        try:
            DirectSender(Receiver(*of.receiver)).send(frames)
            return
        except Unreachable:
            if of.channel is None:
                raise
    if of.channel is not None:
        relay.put(relay.queue_at(of.channel), frames)
