"""
Write what a Parsl of an earlier year records of a small run, as SQL: a file here for each schema.

Since 1.1.0 the tables have gained task.task_fail_cost (1.2.0), lost the CPU percentages of resource
(1.3.0a0; here 2023.12.25), and gained its context switches and CPU number (2024.3.11).

Run it with that Parsl, its environment activated, in an empty folder: it prints the SQL. The
environments were made by ``pip install 'parsl[monitoring]==1.1.0' 'typeguard<3' 'sqlalchemy<1.4'``
under Python 3.8, the same with 1.2.0, and under 3.11 with 2023.12.25 and 2024.3.11, but there with
``'sqlalchemy<2'``.
"""

import getpass
import os
import platform
import socket
import sqlite3

import parsl
from parsl import join_app, python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.monitoring import MonitoringHub
from parsl.providers import LocalProvider

DATABASE = "monitoring.db"


@python_app
def inc(x, lasts_s=0.1):
    import time

    time.sleep(lasts_s)
    return x + 1


@python_app(cache=True)
def remember(x):
    return x


@python_app
def fail(x):
    raise ValueError(x)


@join_app
def join(x):
    return inc(x)


def run():
    """Run tasks that succeed, fail twice, wait for another, are memoised and join."""
    slow = inc(1, lasts_s=2.5)
    failing = fail("no luck")
    tasks = [inc(slow), failing, inc(failing)]
    remember(7).result()
    tasks += [remember(7), join(8)]
    for each in tasks:
        each.exception()


def main():
    """Run it under Parsl's own hub, and print the database."""
    config = Config(
        executors=[
            HighThroughputExecutor(
                label="htex",
                address="127.0.0.1",
                provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
                max_workers=2,
            )
        ],
        monitoring=MonitoringHub(
            hub_address="127.0.0.1",
            resource_monitoring_interval=1,
            workflow_name="old.py",
            logging_endpoint=f"sqlite:///{DATABASE}",
        ),
        retries=1,
        strategy=None,
    )
    parsl.load(config)
    run()
    parsl.dfk().cleanup()
    version = ".".join(platform.python_version_tuple()[:2])
    print(f"-- Recorded by Parsl {parsl.__version__} under Python {version}: see write.py.")
    for line in sqlite3.connect(DATABASE).iterdump():
        for mine, theirs in (
            (os.getcwd(), "/home/me"),
            (socket.gethostname(), "node1"),
            (f"'{getpass.getuser()}'", "'me'"),
        ):
            line = line.replace(mine, theirs)
        print("\n".join(part.rstrip() for part in line.split("\n")))


if __name__ == "__main__":
    main()
