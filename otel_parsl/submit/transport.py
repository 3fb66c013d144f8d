"""
Which way news of tries that last take from the workers: by relay, or directly to the run's agent.

Flow: seam, hub -> **transport** -> embedded -> agent; and by the run's context -> live (workers)
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_parsl import semconv
from otel_parsl.direct import Receiver
from otel_parsl.errors import ConfigError
from otel_parsl.submit.embedded import EmbeddedAgent
from otel_parsl.submit.masked import Headers
from otel_parsl.submit.reserved_port import ReservedPort
from otel_parsl.url_host import url_host

logger = logging.getLogger(__name__)

KINDS = ("auto", "relay", "direct")
_PATIENCE_S = 5.0
"""How long a run waits for its agent to listen: the news of the first tries come the sooner."""
_TOKEN_BYTES = 32
_UNREACHED = semconv.EVENT_AGENT_UNREACHED.encode()


class Network(NamedTuple):
    """What lies between an executor's workers and this host."""

    has_channel: bool
    """Whether the executor has a way of its own for news of tries that last."""
    is_encrypted: bool
    """Whether it encrypts what it sends."""
    addresses: tuple[str, ...]
    """Of this host, as the executor tells its workers; none where it does not."""


class OtlpReceiver(NamedTuple):
    """Where the user's own SDK may send OTLP/HTTP to."""

    endpoint: str
    """The base that ``/v1/traces``, ``/v1/metrics`` and ``/v1/logs`` are appended to."""
    headers: Mapping[str, str]
    """With the run's token, which the repr does not show."""


class Transport:
    """
    The choice between relay and direct, and the one receiver of a run.

    Args:
        kind: One of ``KINDS``.
        address: Of this host, as workers reach it; None for any that they reach.
        port: There; None for any free one.

    Raises:
        ConfigError: An argument cannot be used.
    """

    def __init__(self, kind: str, address: Any, port: Any) -> None:
        if kind not in KINDS:
            raise ConfigError(f"transport: {kind!r}; expected one of {', '.join(KINDS)}")
        if (
            kind != "relay"
            and port is not None
            and not (isinstance(port, int) and 0 <= port < 65536)
        ):
            raise ConfigError(f"hub_port: {port!r}; expected a port, 0 to 65535")
        self._kind = kind
        self._address = None if address is None else str(address)
        self._port = port or 0
        self._agent: EmbeddedAgent | None = None
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._listening: ReservedPort | None = None
        self._error: str | None = None
        self._unreached = 0
        self._is_unreached_said = self._is_silence_said = False

    def start(self, agent: EmbeddedAgent) -> None:
        """Begin a run; the agent receives nothing until somebody is to send."""
        self._agent = agent

    def receiver_for(self, label: str, network: Network) -> Receiver | None:
        """
        Return where an executor's workers may send directly; None where they are not to.

        Args:
            label: The executor.
            network: What lies between.
        """
        is_only_way = self._kind == "auto" and not network.has_channel
        if not self._is_open and not is_only_way:
            if self._port and self._kind == "auto":
                logger.warning(
                    "executor %s: hub_port is not used without hub_address: news of its tries come"
                    " by its own channel. transport='direct' uses it all the same",
                    label,
                )
            return None
        if self._kind == "auto" and network.is_encrypted:
            logger.warning(
                "executor %s: hub_address is not used: its own channel is encrypted, and direct"
                " transport is not. transport='direct' uses it all the same",
                label,
            )
            return None
        listening = self._listen()
        if listening is None:
            logger.warning(
                "executor %s: its workers cannot be received directly (%s): news of their tries"
                " come by relay, or with the results",
                label,
                self._error,
            )
            return None
        hosts = self._hosts(network)
        if is_only_way:
            logger.info(
                "executor %s: it has no channel for news of tries that last, so a port is opened"
                " for them; transport='relay' opens none, and shows such tries when they end",
                label,
            )
        logger.info(
            "executor %s: its workers send directly to port %d of the first they reach of %s",
            label,
            listening.port,
            ", ".join(hosts),
        )
        return Receiver(hosts, listening.port, self._token)

    def own_receiver(self) -> OtlpReceiver:
        """
        Return where an SDK in this process may send to.

        Raises:
            ConfigError: No port is to be opened, or none can be.
        """
        if not self._is_open:
            raise ConfigError(
                f"otlp_receiver: transport is {self._kind!r}; expected 'direct'."
                " Pass transport='direct' to the hub"
            )
        listening = self._listen()
        if listening is None:
            raise ConfigError(f"otlp_receiver: nothing can be received: {self._error}")
        host, port = listening.host, listening.port
        if ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).is_unspecified:
            host = "127.0.0.1"
        return OtlpReceiver(
            f"http://{url_host(host)}:{port}", Headers({"Authorization": f"Bearer {self._token}"})
        )

    def took(self, frames: bytes) -> None:
        """See whether a worker says that it cannot send directly; say it the first time."""
        if self._listening is None or _UNREACHED not in frames:
            return
        self._unreached += 1
        silence = None if self._agent is None else self._agent.silence()
        if silence is not None:
            if not self._is_silence_said:
                logger.warning(
                    "some workers cannot reach the monitoring agent: %s. Until it goes on, news of"
                    " their tries come by relay, or with the results",
                    silence,
                )
            self._is_silence_said = True
        elif not self._is_unreached_said:
            self._is_unreached_said = True
            logger.warning(
                "some workers cannot reach the monitoring agent at port %d of this host: news of"
                " their tries come by relay, or with the results. See that hub_address and"
                " hub_port can be reached from the nodes",
                self._listening.port,
            )

    def close(self) -> None:
        """Let go of the port, and say of how many tries news could not be sent directly."""
        if self._listening is not None:
            self._listening.close()
        if self._unreached > 1:
            logger.warning(
                "monitoring: of %d tries news could not be sent directly", self._unreached
            )

    @property
    def _is_open(self) -> bool:
        return self._kind == "direct" or (self._kind == "auto" and self._address is not None)

    def _listen(self) -> ReservedPort | None:
        """Have the agent receive OTLP, once a run; None where it cannot."""
        assert self._agent is not None
        if self._listening is None and self._error is None:
            try:
                listening = ReservedPort(self._address, self._port)
                try:
                    self._agent.receive(
                        listening.host, listening.port, self._token, timeout_s=_PATIENCE_S
                    )
                except OSError:
                    listening.close()
                    raise
                self._listening = listening
            except OSError as error:
                self._error = error.strerror or str(error)
        return self._listening

    def _hosts(self, network: Network) -> tuple[str, ...]:
        if self._address is not None and not _is_unspecified(self._address):
            return (self._address,)
        return network.addresses or local_addresses()


def local_addresses() -> tuple[str, ...]:
    """Return the addresses of this host that another may reach it by, and its loopback."""
    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        each.address
        for of_interface in psutil.net_if_addrs().values()
        for each in of_interface
        if each.family in families and "%" not in each.address  # of a link: means nothing elsewhere
    }
    return tuple(sorted(found))


def _is_unspecified(address: str) -> bool:
    try:
        return address == "*" or ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False
