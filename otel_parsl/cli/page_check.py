"""Load every kind of page of a dashboard once, by following its links."""

from __future__ import annotations

import http
import http.client
import posixpath
import re
import time
from collections import Counter
from html import unescape
from urllib.parse import urljoin, urlsplit

from otel_parsl.errors import OTelParslError

_LINK = re.compile(r'<a\s[^>]*href="([^"#?]+)')
_OF_A_KIND = 2
"""Pages that are loaded of those that lie in one folder, as all tasks of a run do."""
_TIMEOUT_S = 60.0
_NOT_READ = "being read."
"""What pages say of lists that the server has not read yet."""
_READ_S, _AGAIN_S = 30.0, 0.2


class PageMissing(OTelParslError):
    """A page that another one links to cannot be loaded."""


def load_pages(address: str) -> int:
    """
    Load the pages, and return how many there were.

    Args:
        address: As the server printed it, token included.

    Raises:
        PageMissing: One could not be loaded.
    """
    parts = urlsplit(address)
    token = parts.query.removeprefix("token=")
    waiting, seen, of_kind = [parts.path], {parts.path}, Counter[str]()
    loaded = 0
    while waiting:
        path = waiting.pop(0)
        html = _load_read(parts.netloc, path, token)
        loaded += 1
        for link in _LINK.findall(html):
            target = urlsplit(urljoin(f"http://{parts.netloc}{path}", unescape(link)))
            kind = posixpath.dirname(target.path.rstrip("/"))
            is_here = target.netloc == parts.netloc and target.path not in seen
            if is_here and (_is_run(kind) or of_kind[kind] < _OF_A_KIND):
                of_kind[kind] += 1
                seen.add(target.path)
                waiting.append(target.path)
    return loaded


def _is_run(folder: str) -> bool:
    """Tell whether a folder is a run's, in which each page is of a kind of its own."""
    return folder.count("/") == 2


def _load_read(place: str, path: str, token: str) -> str:
    """Return a page whose lists have been read: what they lead to is loaded too."""
    deadline = time.monotonic() + _READ_S
    while _NOT_READ in (html := _load(place, path, token)) and time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
    return html


def _load(place: str, path: str, token: str) -> str:
    connection = http.client.HTTPConnection(place, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"token {token}"})
        answer = connection.getresponse()
        html = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise PageMissing(f"page {path}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise PageMissing(f"page {path}: answered {answer.status} {answer.reason}")
    return html
