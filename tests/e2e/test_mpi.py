"""MPI applications on Parsl's MPIExecutor, started by a real MPI launcher."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.programs import ALL_FIVE, query, run


def test_mpi_applications_are_traced_and_not_sampled(tmp_path: Path) -> None:
    """Each rank that mpiexec starts runs, every try has its states and totals, none a sample."""
    nodes = tmp_path / "nodes"
    nodes.write_text("localhost\n127.0.0.1\n")
    program = run(
        tmp_path,
        f"""
        from parsl.executors import MPIExecutor
        from parsl.launchers import SimpleLauncher

        @bash_app
        def ranks(stdout, parsl_resource_specification):
            # mpiexec dies of a broken pipe, now and then, of ranks that end at once.
            say = "echo rank $PMI_RANK of $PMI_SIZE in $TRACEPARENT; sleep 1"
            return f"$PARSL_MPI_PREFIX sh -c '{{say}}' < /dev/null"

        @python_app
        def prefix(parsl_resource_specification):
            return os.environ["PARSL_MPI_PREFIX"]

        @bash_app
        def broken(parsl_resource_specification):
            return "$PARSL_MPI_PREFIX sh -c 'sleep 1; false' < /dev/null"

        provider = LocalProvider(
            launcher=SimpleLauncher(), init_blocks=1, min_blocks=1, max_blocks=1,
            worker_init="export PBS_NODEFILE={nodes} HYDRA_LAUNCHER=fork",
        )
        mpi = MPIExecutor(label="mpi", max_workers_per_block=2, provider=provider)
        small = dict(num_nodes=1, ranks_per_node=2, num_ranks=2)
        wide = dict(num_nodes=2, ranks_per_node=1, num_ranks=2)
        with parsl.load(Config(executors=[mpi],
                               monitoring=OTelMonitoringHub(resource_monitoring_interval=1))):
            futures = [ranks(stdout=f"ranks{{n}}.txt", parsl_resource_specification=given)
                       for n, given in enumerate([small, wide])]
            assert [future.result() for future in futures] == [0, 0]
            failed = broken(parsl_resource_specification=small)
            assert failed.exception().exitcode == 1
            try:
                prefix(parsl_resource_specification={{}}).result()
            except Exception as error:
                print(type(error).__name__)
        """,
    )
    said = [(tmp_path / f"ranks{n}.txt").read_text().splitlines() for n in range(2)]
    tries = query(
        program.database,
        "SELECT task_id, resource_specification, memory_peak_bytes > 1000000"
        " FROM otel_try ORDER BY task_id",
    )

    assert "InvalidResourceSpecification" in program.output
    assert [["rank 0 of 2", "rank 1 of 2"]] * 2 == [
        sorted(line.partition(" in ")[0] for line in lines) for lines in said
    ]
    assert all(len({line.partition(" in ")[2] for line in lines}) == 1 for lines in said)
    assert [
        (0, {"num_nodes": 1, "ranks_per_node": 2, "num_ranks": 2}, 1),
        (1, {"num_nodes": 2, "ranks_per_node": 1, "num_ranks": 2}, 1),
        (2, {"num_nodes": 1, "ranks_per_node": 2, "num_ranks": 2}, 1),
    ] == [(task, json.loads(given), *rest) for task, given, *rest in tries[:3]]
    assert [(2, "bash_exit_code", "parsl.app.errors.BashExitFailure")] == query(
        program.database, "SELECT task_id, fate, exception_type FROM otel_failure WHERE task_id < 3"
    )
    assert [] == query(program.database, "SELECT 1 FROM resource")
    assert [("mpi", 3)] == query(
        program.database,
        "SELECT task_executor, count(*) FROM try WHERE hostname IS NOT NULL GROUP BY 1",
    )
    states = query(program.database, "SELECT task_status_name FROM status WHERE task_id = 1")
    assert sorted(ALL_FIVE) == sorted(state for (state,) in states)
