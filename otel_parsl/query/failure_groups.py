"""
Add up failed tries by their cause, and fold what failed with them.

Flow: failures, told_failures -> **failure_groups** -> command line, pages
Pure: no clock, no I/O.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_parsl.failures.fates import Fate

PROPAGATED = (Fate.DEPENDENCY.value, Fate.JOIN.value)
"""Fates of tasks that failed because another one did."""


class FailureGroup(NamedTuple):
    """Failed tries that have their cause in common."""

    fingerprint: str
    fate: str
    exception_type: str | None
    frame: str | None
    template: str
    """The message without what differs between the tries."""
    message: str | None
    """That of the example."""
    tries: int
    tasks: int
    failed_tasks: int
    """Tasks that were given up with it."""
    recovered_tasks: int
    """Tasks that were tried again and succeeded."""
    dependents: int
    """Tasks that failed because one of these did."""
    apps: tuple[str, ...]
    hosts: tuple[tuple[str, int], ...]
    """Hosts and how many of the tries were there, the most first; some tries never had one."""
    first_at: datetime.datetime | None
    last_at: datetime.datetime | None
    example_task: int
    example_try: int
    stacktrace: str | None
    """That of the example."""

    def with_example(
        self,
        *,
        try_id: int,
        exception_type: str | None,
        message: str | None,
        template: str | None,
        frame: str | None,
        stacktrace: str | None,
    ) -> FailureGroup:
        """Return the group with what one of its tries says."""
        return self._replace(
            example_try=try_id,
            exception_type=exception_type,
            message=message,
            template=template or "",
            frame=frame,
            stacktrace=stacktrace,
        )


class FailedTry(NamedTuple):
    """One of the tries of a group."""

    task_id: int
    try_id: int
    is_final: bool
    """Whether its task was given up with it."""


class GroupMembers(NamedTuple):
    """The tries of a group, and what is folded under it: the first of each."""

    tries: list[FailedTry]
    """Those that tasks were given up with come first; then by task."""
    dependents: list[int]
    """Tasks that failed because one of the group's did, by id."""


class Propagated(NamedTuple):
    """Failed tries of one group that go back to the failure of one other task."""

    fingerprint: str
    root: int
    """The task that failed by itself."""
    tries: int
    tasks: int
    """Those that were given up."""


@dataclass
class GroupSums:
    """What a group comes to while its tries are added up."""

    fate: str
    tries: int = 0
    tasks: int = 0
    failed_tasks: int = 0
    recovered_tasks: int = 0
    dependents: int = 0
    apps: set[str] = field(default_factory=set)
    hosts: Counter[str] = field(default_factory=Counter)
    first_at: datetime.datetime | None = None
    last_at: datetime.datetime | None = None
    example_task: int | None = None

    def add(
        self,
        *,
        app: str | None,
        tries: int,
        tasks: int,
        failed_tasks: int,
        first_at: datetime.datetime | None,
        last_at: datetime.datetime | None,
        example_task: int,
    ) -> None:
        """Add tries of one app."""
        if app is not None:
            self.apps.add(app)
        self.tries += tries
        self.tasks += tasks
        self.failed_tasks += failed_tasks
        firsts = [time for time in (self.first_at, first_at) if time is not None]
        lasts = [time for time in (self.last_at, last_at) if time is not None]
        self.first_at = min(firsts, default=None)
        self.last_at = max(lasts, default=None)
        if self.example_task is None or example_task < self.example_task:
            self.example_task = example_task


def grouped(
    sums: dict[str, GroupSums],
    propagated: Iterable[Propagated],
    final_fingerprints: Mapping[int, str],
) -> list[FailureGroup]:
    """
    Return the groups, those that cost most tasks first, without what is folded under another.

    Args:
        sums: All groups by fingerprint; they are changed.
        propagated: The tries that failed because of other tasks.
        final_fingerprints: The groups that the roots were given up in; of those that are missing
            nothing is known, and what goes back to them stays a group of its own.
    """
    for failure in propagated:
        cause = final_fingerprints.get(failure.root)
        if cause is None or sums[cause].fate in PROPAGATED:
            continue
        sums[cause].dependents += failure.tasks
        own = sums[failure.fingerprint]
        own.tries -= failure.tries
        own.tasks -= failure.tasks
        own.failed_tasks -= failure.tasks
    groups = [_group(name, group) for name, group in sums.items() if group.tries > 0]
    return sorted(
        groups,
        key=lambda group: (
            -(group.failed_tasks + group.dependents),
            -group.tries,
            group.example_task,
        ),
    )


def _group(fingerprint: str, sums: GroupSums) -> FailureGroup:
    return FailureGroup(
        fingerprint=fingerprint,
        fate=sums.fate,
        exception_type=None,
        frame=None,
        template="",
        message=None,
        tries=sums.tries,
        tasks=max(sums.tasks, 0),
        failed_tasks=sums.failed_tasks,
        recovered_tasks=sums.recovered_tasks,
        dependents=sums.dependents,
        apps=tuple(sorted(sums.apps)),
        hosts=tuple(sorted(sums.hosts.items(), key=lambda item: (-item[1], item[0]))),
        first_at=sums.first_at,
        last_at=sums.last_at,
        example_task=sums.example_task or 0,
        example_try=0,
        stacktrace=None,
    )


def roots_by_edges(
    tasks: Iterable[int], edges: Mapping[int, Iterable[int]], failed: Mapping[int, bool]
) -> dict[int, int]:
    """
    Return the task that each of some failed tasks goes back to, by who depends on whom.

    Parsl's text does not name it where the failed task was inside a list or a dictionary.

    Args:
        tasks: Tasks that failed because another did.
        edges: The tasks that each of them, and of those above them, depends on or has joined.
        failed: Tasks that were given up, and whether by themselves.
    """
    found: dict[int, int] = {}
    for task_id in tasks:
        at, seen = task_id, {task_id}
        while True:
            above = [other for other in edges.get(at, ()) if other in failed and other not in seen]
            if not above:
                break
            by_itself = [other for other in above if failed[other]]
            at = min(by_itself or above)
            seen.add(at)
            if by_itself:
                found[task_id] = at
                break
    return found
