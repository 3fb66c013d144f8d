"""Whom a client trusts and who it says it is; for the submit side's probe and the exporters."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple

_IS_TRUSTED = ("mismatch", "expired", "not yet valid")
"""What is said of a certificate by an authority that is trusted."""
_ASKS = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "TSI_DATA_CORRUPTED", "SSLEOFError")
"""What is said, or all that gRPC and a broken connection let through, of a client without one."""


class ClientTls(NamedTuple):
    """Files in PEM."""

    certificate: str | None = None
    """The certificates to trust; the system's where there is none."""
    client_certificate: str | None = None
    """The client's own chain, for a server that asks for one."""
    client_key: str | None = None
    """The key of ``client_certificate``, in whose file it is where there is none."""

    def context(self) -> ssl.SSLContext:
        """
        Return what the standard library's connections want.

        Raises:
            OSError: A file cannot be read, or is not in PEM.
        """
        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate is not None:
            # With a password an encrypted key is refused; without, the terminal is asked for one.
            context.load_cert_chain(self.client_certificate, self.client_key, password="")
        return context

    def credentials(self) -> Any:
        """
        Return what gRPC's channels want.

        Raises:
            OSError: A file cannot be read.
        """
        import grpc

        return grpc.ssl_channel_credentials(
            _content(self.certificate),
            _content(self.client_key or self.client_certificate),
            _content(self.client_certificate),
        )

    def explained(self, reason: str) -> str:
        """Return what a library says of a handshake that failed, and what a user can do."""
        if "WRONG_VERSION_NUMBER" in reason:
            return f"{reason}. It speaks no TLS: its endpoint is one with http://"
        if "CERTIFICATE_VERIFY_FAILED" in reason and not any(map(reason.count, _IS_TRUSTED)):
            return (
                f"{reason}. Its certificate is by no authority that is trusted here: name the file"
                " of that authority's certificates as 'certificate' (for a collector: tls.ca_file)"
            )
        if self.client_certificate is None and any(map(reason.count, _ASKS)):
            return (
                f"{reason}. If it asks who you are: name the files of your certificate and its key"
                " as 'client_certificate' and 'client_key' (for a collector: tls.cert_file and"
                " tls.key_file)"
            )
        return reason


def _content(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
