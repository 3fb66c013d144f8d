"""Where the server listens, and the lines that tell a user how to reach it."""

from __future__ import annotations

import errno
import getpass
import ipaddress
import socket

from otel_parsl.errors import OTelParslError
from otel_parsl.url_host import url_host

FIRST_PORT = 8080
_TRIED = 200
TUNNEL_PORT = 50000
_EVERYWHERE = ("0.0.0.0", "::")

POLICY_WARNING = (
    "WARNING: anyone who can reach this machine can now try to open these pages. Many clusters"
    " forbid it: read your cluster's policy, and rather listen on 127.0.0.1 and use the ssh line."
)


class PortBusy(OTelParslError):
    """The server cannot listen where it was told to."""


def free_port(address: str, port: int | None) -> int:
    """
    Return a port that a server can listen on.

    Args:
        address: An address of this host, or a name of it.
        port: None for 8080, or the next one that is free.

    Raises:
        PortBusy: That port cannot be had, or there is no such address here.
    """
    tried = range(FIRST_PORT, FIRST_PORT + _TRIED) if port is None else (port,)
    for number in tried:
        try:
            return _tried(address, number)
        except OSError as error:
            if port is not None or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                reason = error.strerror or str(error)
                raise PortBusy(
                    f"cannot listen on {address} port {number}: {reason}. Choose another with"
                    " --port and --listen, or leave out --port to have a free one"
                ) from error
    raise PortBusy(
        f"no free port between {tried[0]} and {tried[-1]} on {address}. Name one with --port"
    )


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def announcement(address: str, port: int, token: str, root_path: str) -> list[str]:
    """Return the lines that say how the pages are reached."""
    path = f"{root_path}/?token={token}"
    shown = "127.0.0.1" if address in _EVERYWHERE else url_host(address)
    return [
        f"Open        http://{shown}:{port}{path}",
        f"From afar   ssh -L {TUNNEL_PORT}:{shown}:{port} {getpass.getuser()}@{_host()}",
        f"then open   http://127.0.0.1:{TUNNEL_PORT}{path}",
    ]


def _tried(address: str, port: int) -> int:
    family, kind, protocol, _, place = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(1)
        number: int = made.getsockname()[1]
        return number


def _host() -> str:
    """Return this host's full name, or its short one where nobody gave it another."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full
