"""Text as protobuf carries it, and values that attributes may have, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any text that Python has: lone surrogates and NUL are among it."""

SCALARS = st.one_of(TEXT, INT64, st.floats(), st.booleans())


def as_sent(text: str) -> str:
    """Return text as a receiver of protobuf reads it: with lone surrogates escaped."""
    return "".join(
        f"\\u{ord(letter):04x}" if 0xD800 <= ord(letter) < 0xE000 else letter for letter in text
    )
