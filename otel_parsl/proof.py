"""
How the run's agent proves who it is before a worker shows it the run's token.

A worker tries several addresses, and behind one of them, or behind a port that an agent has left,
may be somebody else's server: it must not learn the token.
So a worker asks with a number used once, and only who has the token can answer.
"""

from __future__ import annotations

import hmac
import os

PATH = "/otel-parsl/"
"""What a question is appended to; the answer is the body."""


def question() -> str:
    """Return what no agent was asked before."""
    return os.urandom(16).hex()


def answer(token: str, asked: str) -> str:
    """Return what only who has the token can answer."""
    return hmac.new(token.encode(), asked.encode(), "sha256").hexdigest()


def is_right(token: str, asked: str, answered: bytes) -> bool:
    """Tell whether an answer is the right one."""
    return hmac.compare_digest(answer(token, asked).encode(), answered)
