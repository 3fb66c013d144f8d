"""Check whether the OTLP endpoints that a hub would forward to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from otel_parsl.cli.finding import Finding, Verdict
from otel_parsl.cli.otlp_probe import Answer, probe
from otel_parsl.config import destinations
from otel_parsl.destination import PROTOCOLS, SIGNALS, Destination
from otel_parsl.errors import ConfigError
from otel_parsl.trace_sampling import is_disabled


def check_endpoints(endpoint: str | None) -> Iterator[Finding]:
    """
    Yield what was found of the endpoint that was named, or of those that variables name.

    Both protocols are tried, since an endpoint that takes the other one is the usual mistake.
    """
    try:
        wanted = destinations(
            endpoint=endpoint, forward_to=(), protocol=None, headers=None, certificate=None
        )
    except (ConfigError, ValueError) as error:
        yield Finding("OTLP endpoint", Verdict.BAD, str(error), "mend the argument or variable")
        return
    if not wanted:
        yield _nothing_to_try(endpoint)
    for destination in wanted:
        yield from _check(destination)


def _nothing_to_try(endpoint: str | None) -> Finding:
    if is_disabled():
        return Finding(
            "OTLP endpoint",
            Verdict.WARNING if endpoint else Verdict.NOTE,
            "OTEL_SDK_DISABLED is set, so nothing is forwarded",
            "unset OTEL_SDK_DISABLED" if endpoint else "",
        )
    return Finding(
        "OTLP endpoint",
        Verdict.NOTE,
        "none is named: runs go to their databases alone",
        "to send them to Jaeger too: OTelMonitoringHub(endpoint='http://HOST:4317')",
    )


def _check(destination: Destination) -> Iterator[Finding]:
    other = next(name for name in PROTOCOLS if name != destination.protocol)
    answers = _probe(destination, destination.protocol)
    others = _probe(destination, other)
    subject = f"OTLP endpoint {destination.endpoint}"
    if any(answer.is_taken for answer in answers):
        yield _of_taker(subject, destination, answers)
        if any(answer.is_taken for answer in others):
            yield Finding(subject, Verdict.NOTE, f"answers OTLP over {other} too")
        return
    said = answers[0].said
    if any(answer.is_taken for answer in others):
        yield Finding(
            subject,
            Verdict.BAD,
            f"does not answer OTLP over {destination.protocol} ({said}), but over {other}",
            f"give protocol={other!r}, or set OTEL_EXPORTER_OTLP_PROTOCOL={other}",
        )
    elif answers[0].is_reached:
        yield Finding(
            subject,
            Verdict.BAD,
            f"refuses OTLP over {destination.protocol}: {said}",
            "where it asks who you are: give headers={'authorization': 'Bearer …'}, or set"
            " OTEL_EXPORTER_OTLP_HEADERS",
        )
    else:
        yield Finding(
            subject,
            Verdict.BAD,
            f"does not answer OTLP over {destination.protocol}: {said}"
            f"\nnor over {other}: {others[0].said}",
            "start the backend, or mend host and port: gRPC is usually at 4317, HTTP at 4318",
        )


def _probe(destination: Destination, protocol: str) -> list[Answer]:
    if protocol != destination.protocol:
        destination = replace(destination, protocol=protocol, compression="none", is_whole=False)
    if not destination.is_whole:
        destination = replace(destination, signals=SIGNALS)
    try:
        return probe(destination)
    except OSError as error:  # the certificates to trust
        return [Answer("traces", is_taken=False, is_reached=False, said=str(error))]


def _of_taker(subject: str, destination: Destination, answers: list[Answer]) -> Finding:
    taken = [answer.signal for answer in answers if answer.is_taken]
    left_out = [answer.signal for answer in answers if not answer.is_taken]
    found = f"answers OTLP over {destination.protocol} and takes {', '.join(taken)}"
    if left_out:
        found += f"; it does not take {', '.join(left_out)}, which are not sent there then"
    if "traces" in left_out:
        return Finding(subject, Verdict.WARNING, found, "forward traces to another endpoint")
    return Finding(subject, Verdict.OK, found)
