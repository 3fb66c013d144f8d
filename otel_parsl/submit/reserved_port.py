"""A port of this host that is the run's, whoever of its agents listens there at the moment."""

from __future__ import annotations

import ipaddress
import socket

from otel_parsl.url_host import url_host


def listening_host(address: str | None) -> str:
    """
    Return the address to listen on, so that workers come in at one that they were told.

    Theirs need not be one of this host's: a name means something else on each host, and an address
    may be translated on the way. Then it is every address.

    Args:
        address: What workers were told; None for all that this host has.
    """
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    if address == "localhost":
        return address
    try:
        parsed = ipaddress.ip_address(address or everywhere)
    except ValueError:
        return everywhere
    if parsed.is_unspecified:
        return everywhere
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((str(parsed), 0))
    except OSError:
        return everywhere
    return str(parsed)


class ReservedPort:
    """
    Hold a port until closed: another process can listen there only if it asks for this very one.

    The socket itself never listens, and the agent's may therefore (``SO_REUSEADDR``, socket(7)).

    Args:
        address: What workers are told; None for any address of this host.
        port: 0 for any free one.

    Raises:
        OSError: It is taken, or the address cannot be had.
    """

    def __init__(self, address: str | None, port: int) -> None:
        self.host = listening_host(address)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.host == "::":  # of either family
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            self._socket.bind((self.host, port))
        except OSError as error:
            self._socket.close()
            where = f"{url_host(self.host)}:{port}"
            raise OSError(
                error.errno, f"{where} cannot be listened on: {error.strerror}"
            ) from error
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()
