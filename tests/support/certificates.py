"""A certificate authority of a test's own, as a site has one that no system trusts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

_KEY = ("-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")


class Certificates(NamedTuple):
    """Files in PEM."""

    authority: Path
    """The authority's own certificate, which clients are told to trust."""
    certificate: Path
    """For 127.0.0.1, whether as a server or as a client, signed by the authority."""
    key: Path
    """Of ``certificate``."""
    both: Path
    """``certificate`` and ``key`` in one file."""


def make_certificates(directory: Path) -> Certificates:
    """Make an authority, and have it sign a certificate."""
    directory.mkdir()
    name = ("-subj", "/CN=a site's own authority")
    _openssl(directory, "req", "-x509", *_KEY, *name, "-keyout", "ca.key", "-out", "ca.pem")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(
        directory, "req", *_KEY, "-subj", "/CN=collector", "-keyout", "key.pem", "-out", "asked.pem"
    )
    _openssl(
        *(directory, "x509", "-req", "-in", "asked.pem", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "cert.pem"),
    )
    certificate, key, both = (directory / name for name in ("cert.pem", "key.pem", "both.pem"))
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return Certificates(directory / "ca.pem", certificate, key, both)


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
