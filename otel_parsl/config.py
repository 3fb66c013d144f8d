"""
What a user sets about forwarding: arguments of the hub, and OpenTelemetry's own variables.

An argument wins over a variable. The variables are those of the OTLP exporter specification
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_parsl.destination import (
    SIGNALS,
    Destination,
    given_destination,
    guess_protocol,
    header_pairs,
    split_pairs,
    with_scheme,
)
from otel_parsl.errors import ConfigError
from otel_parsl.trace_sampling import is_disabled

logger = logging.getLogger(__name__)


def destinations(
    *,
    endpoint: str | None,
    forward_to: Sequence[str | Mapping[str, Any]],
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
    environment: Mapping[str, str] = os.environ,
) -> list[Destination]:
    """
    Return where to forward to.

    Args:
        endpoint: The hub's argument; the variables name a destination where it is None.
        forward_to: Further ones, each a URL or a mapping of a Destination's fields, whose
            ``signals`` win over the variables.
        protocol: Of ``endpoint``.
        headers: Of ``endpoint``.
        certificate: Of ``endpoint``.
        environment: The variables.

    Raises:
        ConfigError: A value cannot be used.
    """
    if is_disabled(environment):
        return []
    signals = _wanted_signals(environment)
    found = _from_environment(endpoint, protocol, headers, certificate, environment, signals)
    for further in forward_to:
        destination = given_destination("forward_to", further)
        if isinstance(further, str) or "signals" not in further:
            destination = replace(destination, signals=signals)
        found.append(destination)
    return [destination for destination in found if destination.signals]


def site_collector(
    collector: str | Mapping[str, Any] | None,
    *,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
) -> Destination | None:
    """
    Return the collector that keeps the database; None where the run's own agent does.

    Args:
        collector: The hub's argument: a URL or a mapping of a Destination's fields. It is sent
            every signal and every task, whatever a variable says: the tables are made of them.
        protocol: For what the mapping does not say.
        headers: Likewise.
        certificate: Likewise.

    Raises:
        ConfigError: A value cannot be used.
    """
    if collector is None:
        return None
    given = {"protocol": protocol, "headers": headers, "certificate": certificate}
    settings = {"endpoint": collector} if isinstance(collector, str) else collector
    filled = {name: value for name, value in given.items() if value is not None}
    unknown = ("is_whole", "sampling", "signals")
    return given_destination("collector", {**filled, **settings}, unknown)


def given_attributes(given: Any) -> dict[str, str | int | float | bool] | None:
    """
    Return the hub's ``resource_attributes``, checked.

    Raises:
        ConfigError: They are no mapping, or one is of a name or a value that there may not be.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"resource_attributes: a {type(given).__name__}; expected a mapping of names to values"
        )
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise ConfigError(
                f"resource_attributes: {name!r} is no name of an attribute; expected a text"
            )
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(
                f"resource_attributes: the value of {name!r} is of type {type(value).__name__};"
                " expected a str, int, float or bool"
            )
    return dict(given)


def resource_attributes(
    given: Mapping[str, str | int | float | bool] | None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str | int | float | bool]:
    """
    Return ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` overlaid by the argument.

    What is no pair in the variable is left out with a warning, as OpenTelemetry's SDK does.
    """
    found: dict[str, str | int | float | bool] = {}
    for name, value in split_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")):
        if name and value is not None:
            found[name] = value
        else:
            logger.warning(
                "OTEL_RESOURCE_ATTRIBUTES: %r is left out; expected key=value pairs joined by"
                " commas",
                name,
            )
    if service := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = service
    return {**found, **(given or {})}


def exception_signals(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the signals that exceptions are told by: ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN``."""
    wanted = environment.get("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "")
    named = {name.strip().lower() for name in wanted.split(",")}
    if "logs/dup" in named:
        return ["traces", "logs"]
    return ["logs"] if "logs" in named else ["traces"]


def _wanted_signals(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the signals but those that ``OTEL_TRACES_EXPORTER`` and its kin take off."""
    return tuple(
        signal
        for signal in SIGNALS
        if environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() != "none"
    )


def _from_environment(
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
    environment: Mapping[str, str],
    wanted: Sequence[str],
) -> list[Destination]:
    """
    Return the destination of each signal; signals that share all settings share one.

    A variable of one signal names the whole URL for http/protobuf: where that ends in the usual
    path it is a base as any other.
    """
    by_settings: dict[Destination, list[str]] = {}
    for signal in wanted:

        def variable(name: str, signal: str = signal) -> str | None:
            own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
            return own or environment.get(f"OTEL_EXPORTER_OTLP_{name}") or None

        url = endpoint or variable("ENDPOINT")
        if url is None:
            continue
        of_protocol = protocol or variable("PROTOCOL") or guess_protocol(url)
        is_insecure = (variable("INSECURE") or "").lower() == "true"
        is_own = url == environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        is_whole = False
        if of_protocol == "http/protobuf" and is_own and endpoint is None:
            is_whole = not url.endswith(f"/v1/{signal}")
            url = url.removesuffix(f"/v1/{signal}")
        destination = Destination(
            endpoint=with_scheme(url, of_protocol, is_insecure=is_insecure),
            protocol=of_protocol,
            headers=header_pairs(
                variable("HEADERS") or "" if headers is None else headers,
                "OTEL_EXPORTER_OTLP_HEADERS" if headers is None else "headers",
            ),
            certificate=certificate or variable("CERTIFICATE"),
            compression=variable("COMPRESSION") or "none",
            timeout=_seconds(variable("TIMEOUT") or "10", "OTEL_EXPORTER_OTLP_TIMEOUT"),
            signals=(signal,),
            client_certificate=variable("CLIENT_CERTIFICATE"),
            client_key=variable("CLIENT_KEY"),
            is_whole=is_whole,
        )
        shared = destination if is_whole else replace(destination, signals=SIGNALS)
        by_settings.setdefault(shared, []).append(signal)
    return [
        replace(destination, signals=tuple(signals)) for destination, signals in by_settings.items()
    ]


def _seconds(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r}; expected a number of seconds") from None
