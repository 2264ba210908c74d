"""Texts in a picture, where nothing wraps: how wide they are, and what to leave out."""

from __future__ import annotations

import unicodedata

from nsl_tools.errors import visible


def width(text: str) -> float:
    """Return about how many pixels a text takes: letters of 12 pixels, in a wide usual font."""
    text = visible(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return 7.6 * len(text) + 4.6 * wide


def shorten(text: str, room: float) -> str:
    """Return a text that fits `room` pixels: its start and its end, which tell ids apart."""
    text = visible(text)
    if width(text) <= room:
        return text
    for kept in range(int(room // 7.6), 1, -1):
        short = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if width(short) <= room:
            return short
    return "…"
