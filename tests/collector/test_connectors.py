"""How pipelines are joined by connectors, and which joins are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.config import load_config
from otel_parsl_collector.errors import ConfigError

from tests.support.collector import collector_config, running, span_names
from tests.support.server_process import wait_for
from tests.support.span_traffic import run_of_two_tasks, send_spans

_ALL = ["app0", "app0", "app0", "app1", "app1", "app1", "processed.py"]
_SAMPLED = ["app1", "app1", "app1", "processed.py"]


def _config(directory: Path, pipelines: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with these pipelines, and all that they name."""
    files = {
        f"file/{name}": {"path": str(directory / f"{name}.jsonl")} for name in ("one", "all", "end")
    }
    config = collector_config(directory, exporters=files)
    config["receivers"]["otlp/more"] = config["receivers"]["otlp"]
    config["processors"] = {"parsl_sampling": {"sampling_percentage": 0}}
    config["connectors"] = {"forward": None, "forward/more": None}
    config["service"]["pipelines"] = {
        name: dict(zip(("receivers", "processors", "exporters"), parts, strict=True))
        for name, parts in pipelines.items()
    }
    return config


def test_forward_joins_pipelines(tmp_path: Path) -> None:
    """Each way has the processors of all its pipelines, and no other; a restart loses nothing."""
    executions, derived = run_of_two_tasks()
    config = _config(
        tmp_path,
        {
            "traces/one": (["otlp"], [], ["file/one", "forward"]),
            "traces/sampled": (["otlp/more"], ["parsl_sampling"], ["forward"]),
            "traces/all": (["forward"], [], ["file/all", "forward/more"]),
            "traces/end": (["forward/more"], ["parsl_sampling"], ["file/end"]),
        },
    )
    wanted = {"one": _ALL, "all": sorted(_ALL + _SAMPLED), "end": sorted(_SAMPLED + _SAMPLED)}

    for payloads in (executions[:1], [*executions[1:], *derived]):
        with running(config) as collector:
            for ports in collector.service.addresses().values():
                send_spans(f"127.0.0.1:{ports[0]}", payloads)
    with running(config):
        for name, names in wanted.items():
            wait_for(
                lambda name=name, names=names: (
                    len(span_names(tmp_path / f"{name}.jsonl")) >= len(names) or None
                ),
                what=name,
            )

    assert {name: sorted(span_names(tmp_path / f"{name}.jsonl")) for name in wanted} == wanted


_JOINS: dict[str, tuple[dict[str, Any], str]] = {
    "to nowhere": (
        {"traces": (["otlp"], [], ["forward"])},
        "service.pipelines.traces.exporters: the connector 'forward' is among the receivers of no"
        " pipeline",
    ),
    "from nowhere": (
        {"traces": (["forward"], [], ["file/one"])},
        "service.pipelines.traces.receivers: the connector 'forward' is among the exporters of no"
        " pipeline",
    ),
    "in a circle": (
        {
            "traces": (["otlp", "forward/more"], [], ["forward"]),
            "traces/all": (["forward"], [], ["forward/more", "file/all"]),
        },
        "service.pipelines.traces.receivers: the connector 'forward/more' leads back into its own"
        " pipeline",
    ),
    "in a circle of its own": (
        {
            "traces": (["otlp"], [], ["file/one"]),
            "traces/all": (["forward"], [], ["forward", "file/all"]),
        },
        "nothing comes into service.pipelines.traces/all: only connectors feed it, and no receiver"
        " feeds these",
    ),
    "to another signal": (
        {"traces": (["otlp"], [], ["forward"]), "logs": (["forward"], [], ["file/one"])},
        "service.pipelines.logs.receivers: the connector 'forward' joins pipelines of one signal,"
        " and traces has another",
    ),
    "twice": (
        {
            "traces": (["otlp"], [], ["forward", "file/one"]),
            "traces/all": (["forward"], [], ["file/one"]),
        },
        "what service.pipelines.traces receives would come to 'file/one' twice, by traces/all and"
        " by traces; name it in one",
    ),
    "to none": (
        {"traces": (["otlp"], [], ["forwards"])},
        "unknown exporter 'service.pipelines.traces.exporters.forwards'. Did you mean"
        " 'service.pipelines.traces.exporters.forward'?; each stands under exporters: first",
    ),
}


@pytest.mark.parametrize("join", _JOINS)
def test_a_join_that_cannot_be_is_refused(join: str, tmp_path: Path) -> None:
    """A connector that would lose or repeat something ends the start, with what is wrong."""
    pipelines, message = _JOINS[join]

    with pytest.raises(ConfigError) as refused:
        load_config(json.dumps(_config(tmp_path, pipelines)))

    assert str(refused.value) == f"collector config: {message}"


def test_sampling_before_a_database_is_refused_over_a_connector(tmp_path: Path) -> None:
    """Tables are made of everything, however it comes to them."""
    config = _config(
        tmp_path,
        {
            "traces/sampled": (["otlp"], ["parsl_sampling"], ["forward"]),
            "traces": (["forward"], [], ["parsl_sql"]),
        },
    )
    config["exporters"]["parsl_sql"] = {"url": "sqlite:///x.db"}

    with pytest.raises(ConfigError, match=r"traces/sampled\.processors has 'parsl_sampling'"):
        load_config(json.dumps(config))
