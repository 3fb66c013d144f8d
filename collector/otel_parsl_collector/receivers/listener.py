"""What gRPC and HTTP need alike to listen: the address, the limit, TLS, and who may come in."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple

from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.receivers.refusal import Unauthenticated


class ServerTls(NamedTuple):
    """Certificates, as files."""

    cert_file: str
    key_file: str
    client_ca_file: str | None

    @classmethod
    def read(
        cls, setting: str, *, cert_file: str, key_file: str, client_ca_file: str | None
    ) -> ServerTls:
        """
        Return certificates that can be used.

        Raises:
            ConfigError: They cannot be.
        """
        found = cls(cert_file, key_file, client_ca_file)
        try:
            found.context()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"collector config: {setting} cannot be used: {error};"
                " expected PEM files, the certificate's chain in cert_file and its key in key_file"
            ) from error
        return found

    def context(self) -> ssl.SSLContext:
        """Return what the standard library's sockets want."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # With a password an encrypted key is refused; without, the terminal is asked for one.
        context.load_cert_chain(self.cert_file, self.key_file, password="")
        if self.client_ca_file is not None:
            context.load_verify_locations(self.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Listener(NamedTuple):
    """Where to listen, and to whom."""

    endpoint: Endpoint
    limit_bytes: int
    """Of a request, before and after decompression."""
    tls: ServerTls | None
    is_known: Callable[[str], bool] | None
    """Tells whether an authorization header lets in; None lets everybody in."""
    elsewhere: str
    """What a user sets to have another endpoint."""
    prove: Callable[[str], str] | None = None
    """Answers over HTTP who asks whether this is the receiver that has its token: see ``proof``."""

    def admit(self, authorization: str) -> None:
        """
        Return if a sender may come in.

        Raises:
            Unauthenticated: It may not.
        """
        if self.is_known is not None and not self.is_known(authorization):
            raise Unauthenticated(
                "the token is wrong" if authorization else "a bearer token is asked for here"
            )
