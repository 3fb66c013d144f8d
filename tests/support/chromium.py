"""A real Chromium whose every trespass is noted: requests elsewhere, errors in its console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.backends import catalogue

WIDTH, HEIGHT = 1500, 1150
_WAIT_MS = 30_000

TOOLTIP = """
() => {
    const found = (root) => [...root.querySelectorAll("*")].flatMap((each) => [
        ...(each.matches(".bk-Tooltip") ? [(each.shadowRoot ?? each).textContent] : []),
        ...(each.shadowRoot ? found(each.shadowRoot) : []),
    ]);
    return found(document).join(" ");
}
"""
"""What the tooltips of plots say."""

IS_DRAWN = """
() => [...document.querySelectorAll('section.plot')].filter(
    (section) => section.checkVisibility()
).every((section) => {
    const slot = section.querySelector('[data-root-id]');
    const view = window.Bokeh && Bokeh.index && slot && Bokeh.index[slot.dataset.rootId];
    return view && view.child_views.length > 0 && view.child_views.every(
        (child) => child.model.renderers && child.frame && child.frame.bbox.width > 0);
})
"""
"""A function of a page's script: whether every plot that it shows has a figure."""

_RENDERED_PIXELS = """
(section) => {
    const slot = document.querySelector(`${section} [data-root-id]`);
    const figure = Bokeh.index[slot.dataset.rootId].child_views[0];
    const canvas = figure.canvas_view.primary.canvas;
    const box = figure.frame.bbox;
    const ratio = canvas.width / figure.canvas_view.bbox.width;
    const pixels = canvas.getContext('2d').getImageData(
        box.left * ratio, box.top * ratio, box.width * ratio, box.height * ratio).data;
    const colours = new Set();
    for (let at = 0; at < pixels.length; at += 4) {
        const [red, green, blue, alpha] = pixels.subarray(at, at + 4);
        if (alpha > 100) colours.add((red << 16) | (green << 8) | blue);
    }
    return [...colours];
}
"""


class Tab:
    """
    One page of the browser.

    Args:
        page: Playwright's.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        """What its console took as an error, and what its scripts threw."""
        self.requests: list[str] = []
        self.failed: list[str] = []
        """Requests that were answered with an error, or not at all."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(error.stack or str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._on_failed)
        page.on(
            "response",
            lambda response: response.status >= 400 and self.failed.append(response.url),
        )

    def open(self, url: str) -> int:
        """Go to a URL and return the status of its answer."""
        answer = self.page.goto(url, wait_until="load")
        return answer.status if answer is not None else 0

    def wait_drawn(self) -> None:
        """Wait until every plot that the page shows has a figure."""
        try:
            self.page.wait_for_function(IS_DRAWN, timeout=_WAIT_MS)
        except PlaywrightTimeout as error:
            said = self.page.evaluate("document.body.innerText.slice(0, 2000)")
            raise AssertionError(f"{self.page.url}: {self.errors}\n{said}") from error
        # Bokeh paints in the frame after the one in which a view is there.
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def colours(self, plot: str, *, within: str = "") -> set[str]:
        """Return the colours that a plot shows within its frame, as ``#rrggbb``."""
        section = f"{within} #plot-{plot}"
        return {f"#{colour:06x}" for colour in self.page.evaluate(_RENDERED_PIXELS, section)}

    def hosts(self) -> set[str]:
        """Return the hosts that anything was asked of."""
        return {
            urlsplit(url).netloc for url in self.requests if not url.startswith(("data:", "blob:"))
        }

    def text(self, selector: str) -> str:
        """Return the text of an element, its white space made even."""
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def cells(self, table: str) -> list[list[str]]:
        """Return the texts of a table's body."""
        rows = self.page.locator(f"{table} tbody tr").all()
        return [
            [" ".join(text.split()) for text in row.locator("td").all_inner_texts()] for row in rows
        ]

    def _on_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # else the page was left before the answer came
            self.failed.append(request.url)

    def _on_console(self, message: object) -> None:
        if getattr(message, "type", "") == "error":
            self.errors.append(str(getattr(message, "text", message)))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser that reaches nothing but this machine."""
    program = catalogue.require(catalogue.CHROMIUM)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(program),
            args=[
                "--no-sandbox",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, *, theme: str = "light") -> Iterator[Tab]:
    """Open a page with a cookie jar of its own."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme="dark" if theme == "dark" else "light",
    )
    try:
        yield Tab(context.new_page())
    finally:
        context.close()
