"""
The ways from what pipelines receive to exporters: through processors, over connectors.

Flow: config -> **routes** -> service
What a pipeline receives is a stream of the spool, and each exporter reads it at its own pace; so a
pipeline that a connector feeds has no stream: it lengthens the ways of those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

from otel_parsl_collector.errors import ConfigError


class Pipeline(Protocol):
    """What a pipeline names."""

    @property
    def receivers(self) -> tuple[str, ...]:
        """Receivers, and connectors that feed it."""

    @property
    def processors(self) -> tuple[str, ...]:
        """In the order in which they work."""

    @property
    def exporters(self) -> tuple[str, ...]:
        """Exporters, and connectors that it feeds."""


class Station(NamedTuple):
    """What stands on a way."""

    pipeline: str
    """Whose processor it is, or which ends with it."""
    kind: str
    """``processors`` or ``connectors``."""
    name: str


class Route(NamedTuple):
    """A way to an exporter."""

    pipeline: str
    """Whose receivers it begins with."""
    stations: tuple[Station, ...]
    end: str
    """The pipeline whose exporter it ends with."""
    exporter: str


def find_routes(pipelines: Mapping[str, Pipeline], connectors: AbstractSet[str]) -> list[Route]:
    """
    Return all ways through pipelines.

    Args:
        pipelines: By name, as ``traces/site``.
        connectors: The names that stand for connectors.

    Raises:
        ConfigError: A connector leads nowhere, in a circle, to another signal, or twice to the
            same exporter; or nothing comes into a pipeline.
    """
    for name in connectors:
        _check_ends(name, pipelines)
    found = [
        route
        for name, pipeline in pipelines.items()
        if not connectors >= set(pipeline.receivers)
        for route in _onwards(Route(name, (), name, ""), (name,), pipelines, connectors)
    ]
    _check_whole(found, pipelines)
    return found


def _onwards(
    way: Route,
    passed: tuple[str, ...],
    pipelines: Mapping[str, Pipeline],
    connectors: AbstractSet[str],
) -> Iterator[Route]:
    """Yield the ways on from a way's last pipeline."""
    at = way.end
    own = tuple(Station(at, "processors", name) for name in pipelines[at].processors)
    stations = way.stations + own
    for exporter in pipelines[at].exporters:
        if exporter not in connectors:
            yield way._replace(stations=stations, exporter=exporter)
            continue
        joined = (*stations, Station(at, "connectors", exporter))
        for name in _fed_by(exporter, pipelines):
            if name in passed:
                raise _error(f"{name}.receivers", exporter, "leads back into its own pipeline")
            if _signal(name) != _signal(at):
                raise _error(
                    f"{name}.receivers",
                    exporter,
                    f"joins pipelines of one signal, and {at} has another",
                )
            onwards = way._replace(stations=joined, end=name)
            yield from _onwards(onwards, (*passed, name), pipelines, connectors)


def _fed_by(connector: str, pipelines: Mapping[str, Pipeline]) -> list[str]:
    return [name for name, pipeline in pipelines.items() if connector in pipeline.receivers]


def _signal(pipeline: str) -> str:
    return pipeline.partition("/")[0]


def _check_ends(connector: str, pipelines: Mapping[str, Pipeline]) -> None:
    fed = _fed_by(connector, pipelines)
    feeding = [name for name, pipeline in pipelines.items() if connector in pipeline.exporters]
    if feeding and not fed:
        raise _error(f"{feeding[0]}.exporters", connector, "is among the receivers of no pipeline")
    if fed and not feeding:
        raise _error(f"{fed[0]}.receivers", connector, "is among the exporters of no pipeline")


def _check_whole(routes: list[Route], pipelines: Mapping[str, Pipeline]) -> None:
    ends: dict[tuple[str, str], Route] = {}
    for route in routes:
        other = ends.setdefault((route.pipeline, route.exporter), route)
        if other is not route:
            raise ConfigError(
                f"collector config: what service.pipelines.{route.pipeline} receives would come to"
                f" {route.exporter!r} twice, by {other.end} and by {route.end}; name it in one"
            )
    reached = {name for route in routes for name in _pipelines_of(route)}
    for name in pipelines:
        if name not in reached:
            raise ConfigError(
                f"collector config: nothing comes into service.pipelines.{name}: only connectors"
                " feed it, and no receiver feeds these"
            )


def _pipelines_of(route: Route) -> set[str]:
    return {route.pipeline, route.end, *(station.pipeline for station in route.stations)}


def _error(path: str, connector: str, what: str) -> ConfigError:
    return ConfigError(
        f"collector config: service.pipelines.{path}: the connector {connector!r} {what}"
    )
