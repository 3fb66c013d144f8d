"""
Who may look: whoever has the token, as Jupyter does it.

The token comes once in the address or, from scripts, in the ``Authorization`` header; a browser has
a signed cookie from then on. The cookie is named for the server's instance, since browsers keep one
jar for all ports of a host.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

_USER = "reader"
_DAYS = 30


class TokenAuthProvider(AuthProvider):  # type: ignore[misc]  # Bokeh's, skipped
    """
    Lets those in who have the token.

    Args:
        token: The token; a random one by default.
    """

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.cookie_secret = secrets.token_urlsafe(32)
        self.cookie = f"otel-parsl-{secrets.token_hex(4)}"
        super().__init__()

    @property
    def get_user(self) -> Callable[[RequestHandler], str | None]:
        """Return the function that tells who asks; None for nobody that may."""
        return self._user

    @property
    def login_url(self) -> str:
        """Unused, for want of a login page: see ``handlers``; Bokeh wants one named."""
        return "/login"

    def is_token(self, given: str) -> bool:
        """Tell whether a text is the token, in a time that does not depend on it."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def remember(self, handler: RequestHandler, path: str) -> None:
        """Give the browser its cookie."""
        handler.set_signed_cookie(
            self.cookie, _USER, expires_days=_DAYS, path=path, httponly=True, samesite="Lax"
        )

    def _user(self, handler: Any) -> str | None:
        cookie = handler.get_signed_cookie(self.cookie, max_age_days=_DAYS)
        if cookie is not None and cookie.decode() == _USER:
            return _USER
        scheme, _, given = handler.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer") and self.is_token(given.strip()):
            return _USER
        return None
