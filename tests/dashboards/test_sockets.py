"""Connections of pages that end at a bad moment."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.models import Div
from bokeh.protocol.messages.patch_doc import patch_doc
from bokeh.server.server import Server
from bokeh.server.views.doc_handler import DocHandler
from bokeh.util.token import generate_jwt_token, generate_session_id
from otel_parsl_dashboards.server.handlers import SocketHandler
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClientConnection, websocket_connect

_TIMEOUT_S = 60


def test_page_found_gone_is_not_heard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What was received of a page before its connection was found closed is left unread.

    Bokeh's keep-alive finds it closed while messages wait in the connection's buffer; each was an
    error with a traceback in the terminal.
    """
    patterns = [(r"/ws", SocketHandler), (r"/?", DocHandler)]
    monkeypatch.setattr("bokeh.server.tornado.per_app_patterns", patterns)
    heard: list[str] = []
    caplog.set_level(logging.INFO)

    async def talk() -> None:
        server = Server(
            {"/": Application(FunctionHandler(_show))},
            port=0,
            io_loop=IOLoop.current(),
            session_token_expiration=60,
        )
        server.start()
        application = server._tornado
        application.settings["otel_parsl_ahead"] = SimpleNamespace(hold=lambda: None)
        session_id = generate_session_id()
        token = generate_jwt_token(session_id, extra_payload={"session_expiry": 2**40})
        context = application._applications["/"]
        await context.create_session_if_needed(session_id, None, token)
        session = context.get_session(session_id)
        [text] = session.document.roots
        text.on_change("text", lambda _attribute, _old, new: heard.append(new))
        page = await websocket_connect(
            f"ws://127.0.0.1:{server.port}/ws", subprotocols=["bokeh", token]
        )
        await _received(page, "ACK")

        await _say(page, text, "while connected")
        await _received(page, "OK")
        [connection] = application._clients
        application.client_lost(connection)
        await _say(page, text, "when found gone")
        page.close()
        assert await page.read_message() is None
        server.stop()

    with ThreadPoolExecutor(1) as pool:  # a browser's loop may run in this thread
        pool.submit(asyncio.run, asyncio.wait_for(talk(), _TIMEOUT_S)).result()

    assert heard == ["while connected"]
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def _show(document: Document) -> None:
    document.add_root(Div(text="nothing yet"))


async def _say(page: WebSocketClientConnection, text: Div, said: str) -> None:
    """Send what a browser sends where a property of a model has changed there."""
    change = {"kind": "ModelChanged", "model": {"id": text.id}, "attr": "text", "new": said}
    for part in (patch_doc.create_header(), {}, {"events": [change]}):
        await page.write_message(json.dumps(part))


async def _received(page: WebSocketClientConnection, kind: str) -> None:
    """Read one message of the server, whose kind has to be this."""
    header = await page.read_message()
    assert json.loads(header or "{}")["msgtype"] == kind
    for _ in ("metadata", "content"):
        await page.read_message()
