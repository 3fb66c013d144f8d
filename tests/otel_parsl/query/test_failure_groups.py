"""Why tasks failed, by cause, against SQL written by hand."""

from __future__ import annotations

import datetime
from pathlib import Path

from otel_parsl.query.engine import open_database
from otel_parsl.query.failure_groups import FailedTry, FailureGroup, GroupMembers, roots_by_edges
from otel_parsl.query.failure_members import select_group_members
from otel_parsl.query.failures import select_failure_groups
from otel_parsl.query.runs import find_run
from tests.support.recorded_databases import first_run_id, rows
from tests.support.stored_run import BEGAN, StoredRun

PROPAGATED = ("dependency", "join")
STACK = """Traceback (most recent call last):
  File "/home/me/flow.py", line 7, in {function}
    raise {kind}({message!r})
{kind}: {message}
"""


def _groups(path: Path | str, which: str = "000") -> list[FailureGroup]:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, which, has_otel=database.has_otel)
        return select_failure_groups(connection, run)


def _store_failures(url: str) -> None:
    """Store two causes with dependents, a retried task and one that is not tried again yet."""
    with StoredRun(url) as run:
        for task_id in (0, 1, 2):
            message = f"sample {task_id} is empty"
            run.task(task_id, "pending", "launched", "failed", at_s=task_id + 1.0, app="read")
            run.execution(
                task_id,
                at_s=task_id + 1.0,
                run_s=0.5,
                app="read",
                host=f"node{task_id % 2}",
                exception_type="ValueError",
                message=message,
                stacktrace=STACK.format(function="read", kind="ValueError", message=message),
            )
        for task_id, cause in ((3, "0"), (4, "0"), (5, "1")):
            text = f"DependencyError([(ValueError('x'), 'task {cause}')], {task_id})"
            run.task(task_id, "pending", "dep_fail", app="sum", depends=cause, fail_history=text)
        nested = "DependencyError([(ValueError('x'), 'task 0')], 3)"
        text = f"DependencyError([({nested}, 'task 3')], 6)"
        run.task(6, "pending", "dep_fail", app="plot", depends="3", fail_history=text)
        run.task(7, "pending", "launched", "fail_retryable", fail_history="OSError(28, 'full')")
        run.task(7, "pending", "launched", "exec_done", try_id=1, at_s=9)
        run.task(8, "pending", "launched", "fail_retryable", fail_history="OSError(28, 'full')")


def _check_failures(groups: list[FailureGroup]) -> None:
    empty, full = groups
    assert empty._replace(fingerprint="", stacktrace=None) == FailureGroup(
        fingerprint="",
        fate="app_exception",
        exception_type="ValueError",
        frame="flow.py:read",
        template="sample <number> is empty",
        message="sample 0 is empty",
        tries=3,
        tasks=3,
        failed_tasks=3,
        recovered_tasks=0,
        dependents=4,
        apps=("read",),
        hosts=(("node0", 2), ("node1", 1)),
        first_at=BEGAN + datetime.timedelta(seconds=1.5),
        last_at=BEGAN + datetime.timedelta(seconds=3.5),
        example_task=0,
        example_try=0,
        stacktrace=None,
    )
    assert empty.stacktrace == STACK.format(
        function="read", kind="ValueError", message="sample 0 is empty"
    )
    assert (full.fate, full.exception_type, full.tries, full.tasks) == (
        "app_exception",
        "OSError",
        2,
        2,
    )
    assert (full.failed_tasks, full.recovered_tasks, full.dependents, full.hosts) == (0, 1, 0, ())


def test_failures_are_grouped_and_dependents_folded(tmp_path: Path) -> None:
    """Each cause is one group with its dependents, to any depth, and who recovered from it."""
    _store_failures(f"sqlite:///{tmp_path}/monitoring.db")

    _check_failures(_groups(tmp_path / "monitoring.db"))


def test_failures_are_grouped_in_postgresql(postgres_url: str) -> None:
    """The same holds on a server."""
    _store_failures(postgres_url)

    _check_failures(_groups(postgres_url))


def test_groups_have_every_failed_try_once(otel_database: Path) -> None:
    """The tries and tasks of all groups are those of otel_failure, without what is folded."""
    run_id = first_run_id(otel_database)
    expected = rows(
        otel_database,
        "SELECT fingerprint, count(*), count(DISTINCT task_id), sum(is_final) FROM otel_failure"
        " WHERE run_id = ? AND fate NOT IN ('dependency', 'join') GROUP BY 1",
        run_id,
    )
    groups = _groups(otel_database)

    assert {
        group.fingerprint: (group.tries, group.tasks, group.failed_tasks) for group in groups
    } == {fingerprint: tuple(numbers) for fingerprint, *numbers in expected}
    assert sum(group.dependents for group in groups) == len(
        rows(
            otel_database,
            "SELECT task_id FROM otel_failure"
            " WHERE run_id = ? AND is_final AND fate IN ('dependency', 'join')",
            run_id,
        )
    )


def test_both_hubs_lead_to_the_same_failures(otel_database: Path, parsl_database: Path) -> None:
    """What Parsl's text tells leads to the same failed tasks, dependents and recoveries."""
    sums = []
    for path in (otel_database, parsl_database):
        groups = _groups(path)
        assert not any(group.fate in PROPAGATED for group in groups)
        sums.append(
            (
                sum(group.failed_tasks for group in groups),
                sum(group.dependents for group in groups),
                sum(group.recovered_tasks for group in groups),
            )
        )

    assert sums[0] == sums[1]


def test_dependents_of_a_list_are_folded_too(recorded_database: Path) -> None:
    """A failed task inside a list, which Parsl's text does not name, is found by who needed it."""
    groups = {group.message: group for group in _groups(recorded_database)}

    assert groups["final, and others depend on it"].dependents == 1
    assert groups["final beside it"].dependents == 1
    assert groups["final inside a join"].dependents == 1


def test_cause_that_is_not_known_stays_a_group(tmp_path: Path) -> None:
    """Dependents whose root is in no row are not lost: they are a group of their own."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        text = "DependencyError([(ValueError('x'), 'task 5')], 6)"
        run.task(6, "pending", "dep_fail", depends="5", fail_history=text)

    (group,) = _groups(path)

    assert (group.fate, group.tries, group.failed_tasks, group.dependents) == (
        "dependency",
        1,
        1,
        0,
    )


def _members(path: Path, *, limit: int = 1000) -> list[tuple[FailureGroup, GroupMembers]]:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        return [
            (group, select_group_members(connection, run, group, limit=limit))
            for group in select_failure_groups(connection, run)
        ]


def test_members_are_as_many_as_their_group_counts(recorded_database: Path) -> None:
    """The tries and dependents that are listed are those counted, and each is in one group."""
    found = _members(recorded_database)

    assert [
        (len(members.tries), sum(each.is_final for each in members.tries), len(members.dependents))
        for _, members in found
    ] == [(group.tries, group.failed_tasks, group.dependents) for group, _ in found]
    listed = [each[:2] for _, members in found for each in members.tries]
    assert len(listed) == len(set(listed))


def test_members_are_the_first_ones_those_given_up_before_others(tmp_path: Path) -> None:
    """A limit keeps the first tries that tasks were given up with, and the first dependents."""
    _store_failures(f"sqlite:///{tmp_path}/monitoring.db")

    (_, empty), (_, full) = _members(tmp_path / "monitoring.db", limit=3)

    assert empty == GroupMembers([FailedTry(number, 0, True) for number in (0, 1, 2)], [3, 4, 5])
    assert full == GroupMembers([FailedTry(7, 0, False), FailedTry(8, 0, False)], [])


def test_members_of_a_cause_that_is_not_known_are_listed(tmp_path: Path) -> None:
    """What goes back to no row is listed as its own group."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        text = "DependencyError([(ValueError('x'), 'task 5')], 6)"
        run.task(6, "pending", "dep_fail", depends="5", fail_history=text)

    ((_, members),) = _members(path)

    assert members == GroupMembers([FailedTry(6, 0, True)], [])


def test_run_without_failures_has_no_groups(recorded_database: Path) -> None:
    """A run in which nothing failed has nothing to group."""
    assert _groups(recorded_database, "002") == []


def test_roots_are_found_over_several_tasks_and_not_around_circles() -> None:
    """The walk ends at a task that failed by itself, takes the first of several, and ends."""
    failed = {1: True, 2: True, 3: False, 4: False, 5: False, 6: False}
    edges = {3: [2, 1], 4: [3], 5: [6], 6: [5], 7: [8]}

    assert roots_by_edges([3, 4, 5, 7], edges, failed) == {3: 1, 4: 1}
