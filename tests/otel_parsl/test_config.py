"""What a user sets about forwarding, by argument and by variable."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from otel_parsl import OTelMonitoringHub
from otel_parsl.config import destinations, resource_attributes
from otel_parsl.destination import SIGNALS, Destination
from otel_parsl.errors import ConfigError

URL = "http://127.0.0.1:4317"
HTTP_URL = "http://127.0.0.1:4318"


def _destinations(
    environment: Mapping[str, str] | None = None,
    *,
    endpoint: str | None = None,
    forward_to: Sequence[str | Mapping[str, Any]] = (),
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    certificate: str | None = None,
) -> list[Destination]:
    return destinations(
        endpoint=endpoint,
        forward_to=forward_to,
        protocol=protocol,
        headers=headers,
        certificate=certificate,
        environment=environment or {},
    )


def test_nothing_set_forwards_nowhere() -> None:
    """Without an argument or a variable there is no destination."""
    assert _destinations() == []


def test_endpoint_argument_is_one_destination_of_all_signals() -> None:
    """An endpoint is one gRPC destination for traces, metrics and logs."""
    assert _destinations(endpoint=URL) == [
        Destination(URL, "grpc", (), None, "none", 10.0, ("traces", "metrics", "logs"))
    ]


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("http://127.0.0.1:4317", "grpc"),
        ("http://127.0.0.1:4318", "http/protobuf"),
        ("https://otlp.example.org", "grpc"),
    ],
)
def test_protocol_follows_the_port(url: str, protocol: str) -> None:
    """The registered port says the protocol, however the URL was given; gRPC is the default."""
    expected = [Destination(url, protocol)]
    assert _destinations(endpoint=url) == expected
    assert _destinations({"OTEL_EXPORTER_OTLP_ENDPOINT": url}) == expected
    assert _destinations(forward_to=[url]) == expected
    assert _destinations(forward_to=[{"endpoint": url}]) == expected


def test_variables_set_every_field() -> None:
    """Each variable of the OTLP exporter specification sets its field for all signals."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.org:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc, x-scope = a=b ,",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/ssl/otlp.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/home/me/me.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/home/me/me.key",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
    }
    assert _destinations(environment) == [
        Destination(
            "https://otlp.example.org:4317",
            "http/protobuf",
            (("authorization", "Bearer abc"), ("x-scope", "a=b")),
            "/etc/ssl/otlp.pem",
            "deflate",
            2.5,
            client_certificate="/home/me/me.pem",
            client_key="/home/me/me.key",
        )
    ]


def test_variable_of_a_signal_wins_over_the_common_one() -> None:
    """A signal whose settings differ has a destination of its own; the others share one."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
        "OTEL_EXPORTER_OTLP_HEADERS": "who=all",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics.example.org:4318/v1/metrics",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "who=metrics",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "3",
    }
    assert _destinations(environment) == [
        Destination(URL, "grpc", (("who", "all"),), signals=("traces", "logs")),
        Destination(
            "http://metrics.example.org:4318",
            "http/protobuf",
            (("who", "metrics"),),
            compression="gzip",
            timeout=3.0,
            signals=("metrics",),
        ),
    ]


def test_variable_of_a_signal_alone_sends_that_signal_alone() -> None:
    """Where only one signal has an endpoint the others go nowhere."""
    environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    assert _destinations(environment) == [
        Destination(HTTP_URL, "http/protobuf", signals=("traces",))
    ]


def test_variable_of_a_signal_is_the_whole_url() -> None:
    """By HTTP the URL of one signal is used as it is, where the common one is a base."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/base/",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/mine?key=1",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:4318",
    }
    paths = {
        signal: (destination.endpoint, destination.path(signal))
        for destination in _destinations(environment)
        for signal in destination.signals
    }
    assert paths == {
        "traces": ("http://127.0.0.1:4318/mine?key=1", "/mine?key=1"),
        "metrics": ("http://127.0.0.1:4318/base/", "/base/v1/metrics"),
        "logs": ("http://127.0.0.1:4318", "/"),
    }


@pytest.mark.parametrize(
    ("environment", "scheme"),
    [
        ({}, "https"),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true"}, "http"),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "false"}, "https"),
        ({"OTEL_EXPORTER_OTLP_TRACES_INSECURE": "True"}, "http"),
        (
            {"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false"},
            "https",
        ),
    ],
)
def test_endpoint_without_a_scheme_has_tls_unless_it_is_insecure(
    environment: dict[str, str], scheme: str
) -> None:
    """gRPC's host:port is taken, and spoken to as the variable of the signal or of all says."""
    given = {**environment, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "localhost:4317"}
    expected = [Destination(f"{scheme}://localhost:4317", signals=("traces",))]
    assert _destinations(given) == expected
    for url in ("http://localhost:4317", "https://localhost:4317"):
        given["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = url
        assert _destinations(given) == [Destination(url, signals=("traces",))]


def test_forward_to_takes_the_form_that_variables_have() -> None:
    """Signals and headers may be text joined by commas, and an endpoint gRPC's host:port."""
    given = {"endpoint": "otlp.example.org:4317", "signals": "traces, logs", "headers": "a=b,c=d"}
    assert _destinations(forward_to=[given]) == [
        Destination(
            "https://otlp.example.org:4317",
            headers=(("a", "b"), ("c", "d")),
            signals=("traces", "logs"),
        )
    ]
    assert OTelMonitoringHub(forward_to=[given], headers="e=f").headers == {"e": "f"}  # type: ignore[arg-type]


@pytest.mark.parametrize("none", ["none", " None "])
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_exporter_none_leaves_a_signal_out(signal: str, none: str) -> None:
    """A signal whose exporter is none is sent neither to the variable's endpoint nor to the
    arguments'; one of another name of exporter is."""
    names = {name: f"OTEL_{name.upper()}_EXPORTER" for name in SIGNALS}
    switched = {**dict.fromkeys(names.values(), "otlp"), names[signal]: none}
    rest = Destination(URL, signals=tuple(name for name in SIGNALS if name != signal))
    assert _destinations({**switched, "OTEL_EXPORTER_OTLP_ENDPOINT": URL}) == [rest]
    assert _destinations(switched, endpoint=URL, forward_to=[HTTP_URL]) == [
        rest,
        Destination(HTTP_URL, "http/protobuf", signals=rest.signals),
    ]


def test_exporter_none_holds_for_every_destination_that_names_no_signals() -> None:
    """What `forward_to` says of signals wins over a variable, which holds for all the rest."""
    forward_to = [
        "http://127.0.0.1:1",
        {"endpoint": "http://127.0.0.1:2"},
        {"endpoint": "http://127.0.0.1:3", "signals": ["metrics"]},
        {"endpoint": "http://127.0.0.1:4", "signals": ["traces", "metrics"]},
    ]
    off = {"OTEL_METRICS_EXPORTER": "none"}
    found = _destinations(off, endpoint="http://127.0.0.1:5", forward_to=forward_to)
    assert [(each.endpoint[-1], each.signals) for each in found] == [
        ("5", ("traces", "logs")),
        ("1", ("traces", "logs")),
        ("2", ("traces", "logs")),
        ("3", ("metrics",)),
        ("4", ("traces", "metrics")),
    ]
    off |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    found = _destinations(off, endpoint="http://127.0.0.1:5", forward_to=forward_to)
    assert [each.endpoint[-1] for each in found] == ["3", "4"]


def test_empty_variable_is_as_good_as_none() -> None:
    """A variable that is set to nothing is taken as not set, as the specification has it."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "",
        "OTEL_EXPORTER_OTLP_HEADERS": "",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "",
    }
    assert _destinations(environment) == [Destination(URL)]
    assert _destinations({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) == []


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_disabled_sdk_forwards_nowhere(value: str) -> None:
    """OTEL_SDK_DISABLED stops all forwarding, that of arguments too."""
    environment = {"OTEL_SDK_DISABLED": value, "OTEL_EXPORTER_OTLP_ENDPOINT": URL}
    assert _destinations(environment, endpoint=URL, forward_to=[URL]) == []
    assert _destinations({**environment, "OTEL_SDK_DISABLED": "false"}) == [Destination(URL)]


@pytest.mark.parametrize("prefix", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"])
def test_argument_wins_over_variables(prefix: str) -> None:
    """Each argument stands whatever the variables say, for each signal alike."""
    environment = {
        f"{prefix}ENDPOINT": "http://variable.example.org:4318",
        f"{prefix}PROTOCOL": "http/protobuf",
        f"{prefix}HEADERS": "who=variable",
        f"{prefix}CERTIFICATE": "/variable.pem",
    }
    found = _destinations(
        environment,
        endpoint=URL,
        protocol="grpc",
        headers={"who": "argument"},
        certificate="/argument.pem",
    )
    assert found == [Destination(URL, "grpc", (("who", "argument"),), "/argument.pem")]


def test_empty_headers_argument_sends_none() -> None:
    """Headers that are given and empty win over the variable too."""
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "who=variable"}
    assert _destinations(environment, endpoint=URL, headers={}) == [Destination(URL)]


def test_forward_to_adds_destinations() -> None:
    """Further destinations, as URLs or mappings of every field, come beside the first."""
    further = {
        "endpoint": "https://otlp.example.org",
        "protocol": "http/protobuf",
        "headers": {"a": "b"},
        "certificate": "/c.pem",
        "compression": "gzip",
        "timeout": 1.5,
        "signals": ["traces"],
    }
    assert _destinations(endpoint=URL, forward_to=["http://127.0.0.1:14317", further]) == [
        Destination(URL),
        Destination("http://127.0.0.1:14317"),
        Destination(
            "https://otlp.example.org",
            "http/protobuf",
            (("a", "b"),),
            "/c.pem",
            "gzip",
            1.5,
            ("traces",),
        ),
    ]


def _site(
    collector: str | Mapping[str, Any], **given: Any
) -> tuple[Destination | None, list[Destination]]:
    """Return what a hub makes of its arguments: the collector, and the destinations."""
    hub = OTelMonitoringHub(collector=collector, **given)
    return hub._collector, hub._destinations


def test_collector_takes_the_arguments_where_there_is_no_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector's token is for the collector, and not for a destination that a variable names."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", URL)
    site = "https://collector.site.org:4317"
    token = {"authorization": "Bearer t0ken"}

    alone = _site(site, headers=token, certificate="/ca.pem", protocol="http/protobuf")
    beside = _site(site, endpoint=URL, headers=token)
    mapped = _site({"endpoint": site, "headers": {"a": "b"}, "timeout": 3}, headers=token)

    pair = ("authorization", "Bearer t0ken")
    assert alone == (Destination(site, "http/protobuf", (pair,), "/ca.pem"), [Destination(URL)])
    assert beside == (Destination(site), [Destination(URL, headers=(pair,))])
    assert mapped == (Destination(site, headers=(("a", "b"),), timeout=3), [Destination(URL)])


def test_collector_gets_the_tables_whatever_the_variables_switch_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stops forwarding does not stop the collector, since it keeps the database."""
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        monkeypatch.setenv(name, {"OTEL_SDK_DISABLED": "true"}.get(name, "none"))

    assert _site(URL) == (Destination(URL), [])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"collector": {"endpoint": URL, "signals": ["traces"]}},
            "collector: unknown setting 'signals'.",
        ),
        (
            {"collector": {"headers": {}}},
            "collector: a destination of ['headers'] has no 'endpoint'",
        ),
        (
            {"collector": URL, "logging_endpoint": "sqlite:///here.db"},
            "logging_endpoint: the database is the collector's where collector is given;"
            " expected one of the two",
        ),
    ],
)
def test_collector_that_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    """A collector is named whole, sent everything, and keeps the one database there is."""
    with pytest.raises(ConfigError) as refused:
        OTelMonitoringHub(**given)

    assert message == str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shutdown_timeout": "30"}, "shutdown_timeout: '30'; expected seconds, 0 or more"),
        ({"shutdown_timeout": None}, "shutdown_timeout: None; expected seconds, 0 or more"),
        ({"shutdown_timeout": math.nan}, "shutdown_timeout: nan; expected seconds, 0 or more"),
        (
            {"resource_monitoring_interval": -1},
            "resource_monitoring_interval: -1; expected seconds, or 0 for no samples",
        ),
        ({"spool_max_size_mib": 0}, "spool_max_size_mib: 0; expected a number from 1 on"),
        (
            {"forward_to": [7]},
            "forward_to: 7; expected a URL, or a mapping with an 'endpoint'",
        ),
    ],
)
def test_argument_of_the_wrong_kind_is_refused_at_once(given: dict[str, Any], message: str) -> None:
    """None of them may end a run that has done its work."""
    with pytest.raises(ConfigError) as refused:
        OTelMonitoringHub(**given)

    assert message == str(refused.value)


@pytest.mark.parametrize("one", [URL, {"endpoint": URL}])
def test_one_further_destination_needs_no_list(one: Any) -> None:
    """What is given by itself means the same as in a list."""
    assert OTelMonitoringHub(forward_to=one).forward_to == (one,)
    assert OTelMonitoringHub(forward_to=None).forward_to == ()


def test_settings_of_a_destination_are_plain_and_whole() -> None:
    """What the agent is given says every field, in values that JSON has."""
    destination = Destination(URL, headers=(("a", "b"),), signals=("logs",), sampling=0.5)
    assert destination.as_settings() == {
        "endpoint": URL,
        "protocol": "grpc",
        "headers": (("a", "b"),),
        "certificate": None,
        "compression": "none",
        "timeout_s": 10.0,
        "signals": ("logs",),
        "sampling": 0.5,
        "client_certificate": None,
        "client_key": None,
        "is_whole": False,
    }
    assert Destination.from_settings(json.loads(json.dumps(destination.as_settings()))) == (
        destination
    )


def test_files_of_certificates_are_found_from_another_directory() -> None:
    """Relative paths are ones from where the program runs; the agent works elsewhere."""
    files = {"certificate": "ca.pem", "client_certificate": "me.pem", "client_key": "../me.key"}
    settings = Destination(URL, **files).as_settings()
    assert {name: settings[name] for name in files} == {
        name: os.path.abspath(path) for name, path in files.items()
    }


_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        {"endpoint": "localhost:4318"},
        "endpoint: 'localhost:4318'; expected a URL such as http://127.0.0.1:4317",
    ),
    (
        {"endpoint": URL, "environment": {"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"}},
        "compression: 'deflate'; expected one of none, gzip",
    ),
    (
        {"forward_to": [{"endpoint": URL, "headers": ["secret"]}]},
        "forward_to: headers: a list; expected a mapping of names to values,"
        " or key=value pairs joined by commas",
    ),
    (
        {"forward_to": [{"endpoint": URL, "headers": "secret"}]},
        "forward_to: headers: a part without '='; expected key=value pairs joined by commas",
    ),
    (
        {"forward_to": [{"endpoint": URL, "signals": 3}]},
        "signals: 3; expected a list of traces, metrics, logs",
    ),
    (
        {"forward_to": [{"endpoint": HTTP_URL, "is_whole": True}]},
        "is_whole: http/protobuf with signals traces, metrics, logs;"
        " expected http/protobuf with one signal",
    ),
    ({"endpoint": "http://"}, "endpoint: 'http://'; expected a URL such as http://127.0.0.1:4317"),
    (
        {"endpoint": URL, "protocol": "http/json"},
        "protocol: 'http/json'; expected one of grpc, http/protobuf",
    ),
    (
        {"forward_to": [{"endpiont": URL}]},
        "forward_to: unknown setting 'endpiont'. Did you mean 'endpoint'?",
    ),
    (
        {"forward_to": [{"endpoint": URL, "header": {}}]},
        "forward_to: unknown setting 'header'. Did you mean 'headers'?",
    ),
    ({"forward_to": [{"endpoint": URL, "zzz": 1}]}, "forward_to: unknown setting 'zzz'."),
    (
        {"forward_to": [{"headers": {"token": "secret"}}]},
        "forward_to: a destination of ['headers'] has no 'endpoint'",
    ),
    (
        {"forward_to": [{"endpoint": URL, "compression": "zstd"}]},
        "compression: 'zstd'; expected one of none, gzip",
    ),
    (
        {"forward_to": [{"endpoint": URL, "signals": ["spans"]}]},
        "signals: 'spans'; expected one of traces, metrics, logs",
    ),
    (
        {"environment": {"OTEL_EXPORTER_OTLP_HEADERS": "a=b,secret"}, "endpoint": URL},
        "OTEL_EXPORTER_OTLP_HEADERS: a part without '='; expected key=value pairs joined by commas",
    ),
]


@pytest.mark.parametrize(("settings", "message"), _ERRORS)
def test_error_says_where_what_and_what_is_allowed(settings: dict[str, Any], message: str) -> None:
    """A setting that cannot be used is named with what was found and what is allowed."""
    arguments = {name: value for name, value in settings.items() if name != "environment"}
    with pytest.raises(ConfigError) as raised:
        _destinations(settings.get("environment"), **arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, {"endpoint": "http://127.0.0.1:port"}),
        ({}, {"endpoint": "http://127.0.0.1:99999"}),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, {"endpoint": URL}),
    ],
)
def test_numbers_that_are_none_are_config_errors(
    environment: dict[str, str], settings: dict[str, Any]
) -> None:
    """A port or a timeout that is no number is told as any other setting is."""
    with pytest.raises(ConfigError, match="expected"):
        _destinations(environment, **settings)


def test_headers_are_not_shown() -> None:
    """No repr shows the value of a header, nor the password of a database."""
    assert "secret" not in repr(Destination(URL, headers=(("token", "secret"),)))


@pytest.fixture
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_no_variables")
def test_hubs_repr_hides_secrets() -> None:
    """Parsl logs the hub's repr: it names every header and shows no secret."""
    hub = OTelMonitoringHub(
        logging_endpoint="postgresql+psycopg://me:secret@db.example.org/parsl",
        endpoint=URL,
        headers={"token": "secret"},
        forward_to=[
            {"endpoint": URL, "headers": {"other-token": "secret"}},
            {"endpoint": URL, "headers": "a-token=secret"},
        ],
    )
    shown = repr(hub)
    assert "secret" not in shown
    assert "{'token': '…'}" in shown
    assert "{'other-token': '…'}" in shown
    assert "postgresql+psycopg://me:***@db.example.org/parsl" in shown


def test_resource_attributes_are_overlaid_by_the_argument() -> None:
    """Attributes come from both variables, decoded; an argument wins over either."""
    environment = {
        "OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb, site=here,service.name=low",
        "OTEL_SERVICE_NAME": "mine",
    }
    assert resource_attributes({"site": "there", "n": 1}, environment) == {
        "team": "a,b",
        "site": "there",
        "service.name": "mine",
        "n": 1,
    }
    assert resource_attributes({"service.name": "given"}, environment)["service.name"] == "given"
    assert resource_attributes(None, {}) == {}


def test_resource_attributes_that_cannot_be_read_are_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of the variable what is no pair is left out, and a warning shows it; the rest stands."""
    variable = {"OTEL_RESOURCE_ATTRIBUTES": "a=b, team,=c,d="}
    assert resource_attributes({"n": 1}, variable) == {"a": "b", "d": "", "n": 1}
    assert caplog.messages == [
        f"OTEL_RESOURCE_ATTRIBUTES: {part!r} is left out; expected key=value pairs joined by commas"
        for part in ("team", "")
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"b": [1, 2]}, "the value of 'b' is of type list; expected a str, int, float or bool"),
        ({"b": None}, "the value of 'b' is of type NoneType; expected a str, int, float or bool"),
        ({5: "b"}, "5 is no name of an attribute; expected a text"),
        ({"": "b"}, "'' is no name of an attribute; expected a text"),
        ("a=b", "a str; expected a mapping of names to values"),
    ],
)
def test_resource_attributes_that_cannot_be_sent_are_refused_at_once(given: Any, said: str) -> None:
    """The hub takes texts, numbers and truth values under names, and says which one is none."""
    taken = {"s": "a", "i": 1, "f": 0.5, "b": True}
    assert OTelMonitoringHub(resource_attributes=taken).resource_attributes == taken
    with pytest.raises(ConfigError) as raised:
        OTelMonitoringHub(resource_attributes=given)
    assert str(raised.value) == f"resource_attributes: {said}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"timeout": "soon"}, "timeout: 'soon'; expected seconds, more than 0"),
        ({"timeout": 0}, "timeout: 0; expected seconds, more than 0"),
        ({"timeout": float("nan")}, "timeout: nan; expected seconds, more than 0"),
        ({"sampling": "half"}, "sampling: 'half'; expected a share from 0 to 1"),
        (
            {"headers": {"x-key": "s3cret\nbeginning"}},
            "headers: the value of 'x-key' has a line's end or another character that none may"
            " have",
        ),
        (
            {"headers": {"a key": "s3cret"}},
            "headers: 'a key' is no name of a header; expected one such as 'authorization'",
        ),
        (
            {"headers": {"x-key": 5}},
            "headers: the value of 'x-key' is of type int; expected a text",
        ),
    ],
)
@pytest.mark.parametrize("url", [URL, HTTP_URL])
def test_what_no_request_can_be_sent_with_is_refused_at_once(
    settings: dict[str, Any], said: str, url: str
) -> None:
    """A timeout, headers or sampling that cannot be used is refused by the hub, secrets unshown."""
    with pytest.raises(ConfigError) as raised:
        OTelMonitoringHub(forward_to=[{"endpoint": url, **settings}])
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://me:s3cret@host/name", "mysql://me:***@host/name: no such kind of database"),
        ("me:s3cret@host/name", "no SQLAlchemy URL"),
    ],
)
def test_database_that_cannot_have_the_tables_is_refused_at_once(url: str, found: str) -> None:
    """A database of another kind, or no URL, is refused by the hub, its password unshown."""
    with pytest.raises(ConfigError) as raised:
        OTelMonitoringHub(logging_endpoint=url)
    assert str(raised.value) == (
        f"logging_endpoint: {found}; expected sqlite:/// or postgresql+psycopg://"
    )


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (
            "asyncpg",
            "its driver is asynchronous; expected postgresql:// or postgresql+psycopg://",
        ),
        ("psycpg", "no such driver; expected postgresql:// or postgresql+psycopg://"),
        (
            "pg8000",
            "needs the package pg8000, or postgresql+psycopg:// in its place."
            " Run: pip install 'otel-parsl[postgres]'",
        ),
    ],
)
def test_database_that_nothing_here_speaks_to_is_refused_at_once(driver: str, found: str) -> None:
    """A driver that is unknown, asynchronous or not installed is refused, the password unshown."""
    with pytest.raises(ConfigError) as raised:
        OTelMonitoringHub(logging_endpoint=f"postgresql+{driver}://me:s3cret@host/name")
    assert str(raised.value) == (
        f"logging_endpoint: postgresql+{driver}://me:***@host/name: {found}"
    )


def test_headers_are_refused_as_argument_and_as_variable() -> None:
    """A line's end in a header's value is refused wherever it comes from."""
    with pytest.raises(ConfigError, match=r"^headers: the value of 'x-key' has a line's end"):
        OTelMonitoringHub(endpoint=URL, headers={"x-key": "a\nb"})
    with pytest.raises(ConfigError, match=r"^headers: the value of 'x-key' has a line's end"):
        _destinations(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%0Ab"}
        )
