"""Addresses to listen on, and who may reach them."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from otel_parsl.url_host import url_host
from otel_parsl_collector.errors import CollectorError, ConfigError

_FORM = re.compile(r"(\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>[0-9]{1,5})")


class Endpoint(NamedTuple):
    """A host and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{url_host(self.host)}:{self.port}"

    @classmethod
    def from_setting(cls, value: object) -> Endpoint:
        """
        Read ``host:port``; without a host it is every address of this machine, as in Go.

        Raises:
            ValueError: It has another form.
        """
        match = _FORM.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match["port"]) > 65535:
            raise ValueError("host:port, such as 127.0.0.1:4317")
        return cls(match["six"] or match["host"] or "0.0.0.0", int(match["port"]))


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def socket_family(endpoint: Endpoint) -> socket.AddressFamily:
    """Return the family of the socket that listens at an endpoint."""
    return socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET


def by_set(setting: str) -> str:
    """Return how the collector's command line is given another endpoint."""
    return f"--set {setting}=HOST:PORT"


def cannot_listen(
    endpoint: Endpoint, elsewhere: str, error: OSError | None = None
) -> CollectorError:
    """
    Return the error that says that an address cannot be had.

    Args:
        endpoint: The address.
        elsewhere: What a user sets to have another.
        error: Why, if that is known.
    """
    reason = "is it in use?" if error is None else f"{error.strerror}."
    return CollectorError(
        f"{endpoint} cannot be listened on: {reason}"
        f" Stop what listens there, or listen elsewhere: {elsewhere}"
    )


def check_exposure(
    setting: str, endpoint: Endpoint, *, is_guarded: bool, is_insecure: bool, advice: str
) -> None:
    """
    Refuse an address that others can reach while nothing keeps them out.

    Args:
        setting: The path of the setting that has the address.
        endpoint: The address.
        is_guarded: Whether TLS and a token are asked for there.
        is_insecure: Whether the user said that it is meant so.
        advice: How to guard it.

    Raises:
        ConfigError: Others can reach it.
    """
    if not is_guarded and not is_insecure and not is_loopback(endpoint.host):
        raise ConfigError(
            f"collector config: {setting} is {str(endpoint)!r}, which other machines can reach;"
            f" {advice}. Or listen on 127.0.0.1, or pass --insecure if the network is trusted"
        )
