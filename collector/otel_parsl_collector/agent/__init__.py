"""
The agent: the collector embedded in a run, a process beside the DataFlowKernel's.

    python -m otel_parsl_collector.agent DIRECTORY
"""
