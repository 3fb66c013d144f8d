"""The extension that knows a bearer token: asked for by receivers, shown by exporters."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from otel_parsl_collector.component import Component, ExtensionContext
from otel_parsl_collector.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BearerTokenSettings:
    """``extensions.bearertokenauth``."""

    scheme: str = "Bearer"
    token: str | None = field(default=None, repr=False)
    """Better from ``${env:NAME}`` or a file than in the configuration itself."""
    filename: str | None = None
    """A file that holds the token and nothing else."""

    def __post_init__(self) -> None:
        if (self.token is None) == (self.filename is None):
            raise ValueError("token or filename has to be set, and not both")
        if self.token is not None and not self.token.strip():
            raise ValueError("token is empty")


class BearerToken:
    """
    A token.

    Args:
        settings: What it is.
        context: Its name.

    Raises:
        ConfigError: The file cannot be read.
    """

    def __init__(self, settings: BearerTokenSettings, context: ExtensionContext) -> None:
        token = settings.token
        if settings.filename is not None:
            try:
                token = Path(settings.filename).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"collector config: extensions.{context.name}.filename: {error}"
                ) from error
            if not token:
                raise ConfigError(
                    f"collector config: extensions.{context.name}.filename:"
                    f" {settings.filename} is empty; expected the token"
                )
        self._value = f"{settings.scheme} {token}"

    def is_known(self, authorization: str) -> bool:
        """Tell whether it is the token, in a time that tells nothing."""
        return hmac.compare_digest(authorization.encode(), self._value.encode())

    def header(self) -> tuple[str, str]:
        return "authorization", self._value

    def start(self) -> None:
        """It only knows."""

    def stop(self) -> None:
        """It only knows."""


COMPONENT = Component(BearerTokenSettings, BearerToken)
