"""The collector's configuration: the shape, what is refused, and the words it is refused with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from otel_parsl_collector.config import DEFAULT, Config, load_config
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.exporters.file import FileSettings
from otel_parsl_collector.exporters.otlp_grpc import OtlpSettings
from otel_parsl_collector.exporters.parsl_sql import ParslSqlSettings
from otel_parsl_collector.receivers.otlp import GrpcSettings, HttpSettings
from otel_parsl_collector.registry import find
from otel_parsl_collector.service import Service

BASE = """\
receivers:
  otlp:
    protocols:
      grpc:
      http:
exporters:
  file:
    path: out.jsonl
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [file]
"""


def load(text: str = BASE, *sets: str, **environment: str) -> Config:
    return load_config(text, name="test.yaml", sets=sets, environment=environment)


def refusal(text: str = BASE, *sets: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *sets, **environment)
    return str(caught.value)


def test_the_default_is_a_store_here_and_both_transports_on_loopback() -> None:
    """Without a file: OTLP on 127.0.0.1:4317 and :4318 into monitoring.db, health on 13133."""
    config = load(DEFAULT)
    protocols = config.receivers["otlp"].settings.protocols
    assert (protocols.grpc.endpoint, protocols.http.endpoint) == (
        Endpoint("127.0.0.1", 4317),
        Endpoint("127.0.0.1", 4318),
    )
    assert config.exporters["parsl_sql"].settings == ParslSqlSettings(url="sqlite:///monitoring.db")
    assert config.extensions["health_check"].settings.endpoint == Endpoint("127.0.0.1", 13133)
    assert sorted(config.service.pipelines) == ["logs", "metrics", "traces"]
    assert config.service.telemetry.metrics.endpoints() == {
        "--set service.telemetry.metrics.address=HOST:PORT": Endpoint("127.0.0.1", 8888)
    }


def test_a_protocol_that_is_named_has_its_defaults() -> None:
    """``grpc:`` with nothing behind it is gRPC with all its defaults, as in Go."""
    protocols = load().receivers["otlp"].settings.protocols
    assert (protocols.grpc, protocols.http) == (GrpcSettings(), HttpSettings())


def test_the_shape_of_the_opentelemetry_collector_is_read() -> None:
    """Named components, TLS, authentication, durations and readers stand where they do there."""
    config = load(
        """
receivers:
  otlp/site:
    protocols:
      grpc:
        endpoint: "[::1]:14317"
        max_recv_msg_size_mib: 8
exporters:
  otlphttp/jaeger:
    endpoint: http://127.0.0.1:4318
    compression: none
    timeout: 500ms
    headers: {x-scope: "1"}
    auth: {authenticator: bearertokenauth/out}
extensions:
  bearertokenauth/out: {token: secret}
service:
  extensions: [bearertokenauth/out]
  pipelines:
    logs/site: {receivers: [otlp/site], exporters: [otlphttp/jaeger]}
  telemetry:
    metrics:
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 18888}}}}]
    logs: {level: warn}
"""
    )
    grpc = config.receivers["otlp/site"].settings.protocols.grpc
    assert grpc == GrpcSettings(endpoint=Endpoint("::1", 14317), max_recv_msg_size_mib=8)
    exporter = config.exporters["otlphttp/jaeger"].settings
    assert (exporter.url(), exporter.timeout, exporter.headers, exporter.auth.authenticator) == (
        "http://127.0.0.1:4318",
        0.5,
        {"x-scope": "1"},
        "bearertokenauth/out",
    )
    assert config.service.telemetry.metrics.endpoints() == {
        "service.telemetry.metrics.readers[0].pull.exporter.prometheus": Endpoint(
            "127.0.0.1", 18888
        )
    }
    assert config.service.telemetry.logs.level == "warn"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("endpoint: jaeger:4317, tls: {insecure: true}", "http://jaeger:4317"),
        ("endpoint: jaeger:4317", "https://jaeger:4317"),
        ("endpoint: 'https://jaeger:4317', tls: {ca_file: x}", "https://jaeger:4317"),
    ],
)
def test_an_exporter_without_a_scheme_speaks_tls_unless_told(settings: str, url: str) -> None:
    """``host:port`` is TLS, as in the OpenTelemetry Collector, unless ``tls.insecure``."""
    text = BASE.replace("  file:\n", f"  otlp: {{{settings}}}\n  file:\n")
    config = load(text, "service.pipelines.traces.exporters=[otlp]")
    found: OtlpSettings = config.exporters["otlp"].settings
    assert found.url() == url


def test_anchors_and_merges_are_yaml() -> None:
    """A key that overrides one of a merged mapping does not stand twice."""
    text = BASE.replace("  file:\n", "  otlp: {<<: {endpoint: a}, endpoint: b}\n  file:\n")
    config = load(text, "service.pipelines.traces.exporters=[otlp]")
    assert config.exporters["otlp"].settings.endpoint == "b"


def test_components_that_nothing_names_do_not_run() -> None:
    """What is defined and in no pipeline is checked, and not started."""
    config = load(BASE.replace("exporters:\n", "exporters:\n  debug: {}\n", 1))
    assert list(config.exporters) == ["file"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("${env:NAME}", "value"),
        ("a-${env:NAME}-b", "a-value-b"),
        ("${env:OTHER:-else}", "else"),
        ("${env:OTHER:-}", ""),
        ("${env:NAME:-else}", "value"),
        ("$${env:NAME}", "${env:NAME}"),
        ("no $$ sign", "no $ sign"),
    ],
)
def test_variables_are_put_in(line: str, expected: str) -> None:
    """``${env:NAME}`` and ``${env:NAME:-default}`` are replaced, ``$$`` is a dollar sign."""
    config = load(BASE.replace("out.jsonl", f'"{line}"'), NAME="value")
    assert config.exporters["file"].settings == FileSettings(path=expected)


def test_a_variables_text_cannot_add_settings() -> None:
    """What a variable holds is a value, however it looks."""
    config = load(BASE.replace("out.jsonl", "${env:NAME}"), NAME="x\nreceivers: {}")
    assert config.exporters["file"].settings == FileSettings(path="x\nreceivers: {}")


def test_text_becomes_what_the_setting_is() -> None:
    """Numbers and switches may come from a variable or from --set."""
    config = load(
        BASE.replace("      grpc:\n", "      grpc: {max_recv_msg_size_mib: '${env:SIZE}'}\n"),
        "exporters.otlp.endpoint=x:1",
        "exporters.otlp.tls.insecure=true",
        "service.pipelines.traces.exporters=[otlp]",
        "service.spool.max_size_mib=7",
        SIZE="5",
    )
    assert config.receivers["otlp"].settings.protocols.grpc.max_recv_msg_size_mib == 5
    assert config.exporters["otlp"].settings.tls.insecure is True
    assert config.service.spool.max_size_mib == 7


REFUSALS: dict[str, tuple[Any, str]] = {
    "unknown section": (
        BASE.replace("exporters:\n  file", "exporter:\n  file", 1),
        "unknown setting 'exporter'. Did you mean 'exporters'?",
    ),
    "unknown setting": (
        BASE.replace("      grpc:\n", "      grpc: {endpont: x}\n"),
        "unknown setting 'receivers.otlp.protocols.grpc.endpont'."
        " Did you mean 'receivers.otlp.protocols.grpc.endpoint'?",
    ),
    "unknown setting like no other": (
        BASE.replace("path: out.jsonl", "path: x\n    rotation: {}"),
        "unknown setting 'exporters.file.rotation'; expected one of path",
    ),
    "unknown exporter": (
        BASE.replace("  file:", "  parsl_sq:"),
        "unknown exporter 'exporters.parsl_sq'. Did you mean 'exporters.parsl_sql'?",
    ),
    "unknown receiver": (
        BASE.replace("  otlp:\n", "  jaeger:\n"),
        "unknown receiver 'receivers.jaeger'; expected one of otlp",
    ),
    "a module that is no component": (
        BASE.replace("  otlp:\n", "  codec:\n"),
        "unknown receiver 'receivers.codec'; expected one of otlp",
    ),
    "undefined reference": (
        BASE.replace("exporters: [file]", "exporters: [fil]"),
        "unknown exporter 'service.pipelines.traces.exporters.fil'."
        " Did you mean 'service.pipelines.traces.exporters.file'?; each stands under exporters:"
        " first",
    ),
    "unknown pipeline": (
        BASE.replace("    traces:", "    trace:"),
        "unknown pipeline 'service.pipelines.trace'. Did you mean 'service.pipelines.traces'?",
    ),
    "no pipelines": (
        BASE.split("service:")[0] + "service: {pipelines: {}}",
        "service.pipelines is empty; expected one, as traces:",
    ),
    "no service": (BASE.split("service:")[0], "service is missing"),
    "empty pipeline": (
        BASE.replace("receivers: [otlp]", "receivers: []"),
        "service.pipelines.traces.receivers is empty; expected at least one",
    ),
    "no protocol": (
        BASE.replace("      grpc:\n      http:\n", "      {}\n"),
        "receivers.otlp.protocols.grpc or http has to be named, or both",
    ),
    "no endpoint": (
        BASE.replace("      grpc:\n", "      grpc: {endpoint: abc}\n"),
        "receivers.otlp.protocols.grpc.endpoint is 'abc';"
        " expected host:port, such as 127.0.0.1:4317",
    ),
    "a port that is none": (
        BASE.replace("      grpc:\n", "      grpc: {endpoint: 'x:70000'}\n"),
        "receivers.otlp.protocols.grpc.endpoint is 'x:70000';"
        " expected host:port, such as 127.0.0.1:4317",
    ),
    "no integer": (
        BASE.replace("      grpc:\n", "      grpc: {max_recv_msg_size_mib: abc}\n"),
        "receivers.otlp.protocols.grpc.max_recv_msg_size_mib is 'abc'; expected an integer",
    ),
    "no text": (
        BASE.replace("path: out.jsonl", "path: 5"),
        "exporters.file.path is 5; expected text; write it in quotes",
    ),
    "no list": (
        BASE.replace("[otlp]", "otlp"),
        "service.pipelines.traces.receivers is 'otlp'; expected a list",
    ),
    "no choice": (
        BASE + "  telemetry: {logs: {level: loud}}\n",
        "service.telemetry.logs.level is 'loud'; expected one of debug, info, warn, error",
    ),
    "no time": (
        BASE + "  shutdown_timeout: 5\n",
        "service.shutdown_timeout is 5; expected a time such as 500ms, 5s, 10m or 168h",
    ),
    "missing": (BASE.replace("\n    path: out.jsonl", " {}"), "exporters.file.path is missing"),
    "no settings": (
        BASE.replace("  file:\n    path: out.jsonl", "  file: x"),
        "exporters.file is 'x'; expected settings",
    ),
    "both": (
        BASE + "extensions: {bearertokenauth: {token: a, filename: b}}\n",
        "extensions.bearertokenauth.token or filename has to be set, and not both",
    ),
    "unset variable": (
        BASE.replace("out.jsonl", "${env:NAME}"),
        "exporters.file.path names the variable NAME, which is not set."
        " Set it, or write ${env:NAME:-default}",
    ),
    "unknown reference": (
        BASE.replace("out.jsonl", "${file:x}"),
        "exporters.file.path has '${file:x}'; expected ${env:NAME} or ${env:NAME:-default},"
        " or $$ for a dollar sign",
    ),
}


@pytest.mark.parametrize(("text", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_used_is_refused(text: str, words: str) -> None:
    """Each mistake is refused with its path, what was found, and what is allowed."""
    assert refusal(text) == f"collector config: {words}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("receivers: [", "collector config test.yaml: no YAML: "),
        ("[1, 2]", "collector config test.yaml: the file is [1, 2]; expected settings such as"),
        ("a: 2026-13-45", "collector config test.yaml: no YAML: month must be in 1..12"),
        ("a: 1\na: 2", "collector config test.yaml: no YAML: 'a' stands twice"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, words: str) -> None:
    """A file that is no YAML, or no settings, is refused with its name and the place."""
    assert refusal(text).startswith(words)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("exporters", "--set exporters: expected a.b=value"),
        ("exporters..x=1", "--set exporters..x=1: expected a.b=value"),
        (
            "exporters.file.path.x=1",
            "--set exporters.file.path.x=1: 'path' is 'out.jsonl', which has no settings",
        ),
        ("service.extensions=[", "collector config: service.extensions is '['; expected a list"),
    ],
)
def test_an_assignment_that_cannot_be_used_is_refused(assignment: str, words: str) -> None:
    """--set wants a path and a value."""
    assert refusal(BASE, assignment).startswith(words)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("[::1]:4317", "[::1]:4317"),
        ('"[a, b]"', "[a, b]"),
        ("'7'", "7"),
        ("a 'b'", "a 'b'"),
        ("'a", "'a"),
    ],
)
def test_an_assigned_text_may_begin_as_yaml(given: str, path: str) -> None:
    """What --set gives is YAML where it is a list, settings or in quotes, and text elsewhere."""
    config = load(BASE, f"exporters.file.path={given}")
    assert config.exporters["file"].settings == FileSettings(path=path)


def test_a_secret_is_never_shown() -> None:
    """A token and headers are in no repr and in no message."""
    text = BASE + "extensions: {bearertokenauth: {token: [hunter2]}}\n"
    assert refusal(text) == (
        "collector config: extensions.bearertokenauth.token cannot be used;"
        " expected text; write it in quotes"
    )
    config = load(
        BASE + "extensions: {bearertokenauth: {token: hunter2}}\n",
        "service.extensions=[bearertokenauth]",
        "exporters.otlp.endpoint=x:1",
        "exporters.otlp.headers={authorization: hunter2}",
        "exporters.parsl_sql.url=postgresql://u:hunter2@x/y",
        "service.pipelines.traces.exporters=[otlp, parsl_sql]",
    )
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("receivers", "otlp"),
        *(("exporters", name) for name in ("parsl_sql", "otlp", "otlphttp", "otlp_grpc")),
        *(("exporters", name) for name in ("otlp_http", "file", "debug")),
        *(("extensions", name) for name in ("health_check", "bearertokenauth")),
    ],
)
def test_every_component_is_found_by_its_type(kind: str, name: str) -> None:
    """Each type, with or without a name behind a slash, is a module of that name or its alias."""
    assert find(kind, name) == find(kind, f"{name}/another")


def test_an_exporter_is_added_by_adding_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new module with a COMPONENT is a type of exporter; nothing else is edited."""
    from otel_parsl_collector import exporters

    (tmp_path / "null_device.py").write_text(
        "from otel_parsl_collector.component import Component\n"
        "from otel_parsl_collector.exporters.file import FileSettings\n"
        "COMPONENT = Component(FileSettings, dict)\n"
    )
    monkeypatch.setattr(exporters, "__path__", [*exporters.__path__, str(tmp_path)])
    config = load(BASE.replace("  file:", "  null_device:").replace("[file]", "[null_device]"))
    assert config.exporters["null_device"].settings == FileSettings(path="out.jsonl")


GUARD = "tls: {cert_file: c, key_file: k}, auth: {authenticator: bearertokenauth}"


@pytest.mark.parametrize(
    ("where", "settings"),
    [
        ("receivers.otlp.protocols.grpc.endpoint", {"grpc": "0.0.0.0:4317"}),
        ("receivers.otlp.protocols.http.endpoint", {"http": "[::]:4318"}),
        ("receivers.otlp.protocols.grpc.endpoint", {"grpc": ":4317"}),
        ("extensions.health_check.endpoint", {"health": "192.0.2.1:13133"}),
        ("service.telemetry.metrics", {"metrics": "0.0.0.0:8888"}),
    ],
)
def test_an_address_that_others_reach_is_refused(
    tmp_path: Path, where: str, settings: dict[str, str]
) -> None:
    """Without TLS and a token, and without --insecure, nothing listens beyond loopback."""
    text = DEFAULT.replace("127.0.0.1:4317", settings.get("grpc", "127.0.0.1:0"))
    text = text.replace("127.0.0.1:4318", settings.get("http", "127.0.0.1:0"))
    text = text.replace("127.0.0.1:13133", settings.get("health", "127.0.0.1:0"))
    config = load(
        text,
        f"service.telemetry.metrics.address={settings.get('metrics', '127.0.0.1:0')}",
        f"service.spool.directory={tmp_path / 'spool'}",
        f"exporters.parsl_sql.url=sqlite:///{tmp_path / 'x.db'}",
    )
    with pytest.raises(ConfigError) as caught:
        Service(config, is_insecure=False)
    assert str(caught.value).startswith(f"collector config: {where} is ")
    assert "which other machines can reach" in str(caught.value)
    assert str(caught.value).endswith(
        "Or listen on 127.0.0.1, or pass --insecure if the network is trusted"
    )
    assert not (tmp_path / "x.db").exists()


def test_an_authenticator_that_does_not_run_is_refused(tmp_path: Path) -> None:
    """Naming an extension that is not in service.extensions is said, not ignored."""
    config = load(
        BASE.replace("      grpc:\n", "      grpc: {auth: {authenticator: bearertokenauth}}\n"),
        f"service.spool.directory={tmp_path}",
    )
    with pytest.raises(ConfigError) as caught:
        Service(config, is_insecure=False)
    assert str(caught.value) == (
        "collector config: receivers.otlp.protocols.grpc.auth.authenticator is 'bearertokenauth';"
        " expected an extension that stands in service.extensions"
    )


def test_the_default_is_what_its_text_says() -> None:
    """The built-in configuration is YAML that a user can copy and change."""
    assert set(yaml.safe_load(DEFAULT)) == {"receivers", "exporters", "extensions", "service"}
