"""The extension that says on a page whether all runs: for a supervisor or a probe."""

from __future__ import annotations

import json
from dataclasses import dataclass

from otel_parsl_collector.component import Component, ExtensionContext
from otel_parsl_collector.endpoint import Endpoint, by_set, check_exposure
from otel_parsl_collector.http_page import HttpPage, Page

_ENDPOINT = Endpoint("127.0.0.1", 13133)


@dataclass(frozen=True, kw_only=True)
class HealthCheckSettings:
    """``extensions.health_check``."""

    endpoint: Endpoint = _ENDPOINT
    path: str = "/"


class HealthCheck:
    """
    A page: 200 when all runs, else 503 with what does not.

    Args:
        settings: Where.
        context: Knows what does not run.

    Raises:
        ConfigError: The address can be reached by others.
    """

    def __init__(self, settings: HealthCheckSettings, context: ExtensionContext) -> None:
        setting = f"extensions.{context.name}.endpoint"
        check_exposure(
            setting,
            settings.endpoint,
            is_guarded=False,
            is_insecure=context.is_insecure,
            advice="this page has neither TLS nor a token",
        )
        self._settings = settings
        self._elsewhere = by_set(setting)
        self._troubles = context.troubles
        self._page: HttpPage | None = None

    def start(self) -> None:
        """
        Begin to answer.

        Raises:
            CollectorError: The address cannot be had.
        """
        self._page = HttpPage(
            self._settings.endpoint,
            self._settings.path,
            self._render,
            elsewhere=self._elsewhere,
        )

    def stop(self) -> None:
        if self._page is not None:
            self._page.stop()
            self._page = None

    def _render(self) -> Page:
        troubles = self._troubles()
        status = "Server not available" if troubles else "Server available"
        text = json.dumps({"status": status, "troubles": troubles})
        return Page(503 if troubles else 200, "application/json", text + "\n")


COMPONENT = Component(HealthCheckSettings, HealthCheck)
