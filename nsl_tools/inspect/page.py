"""stub."""

from __future__ import annotations


def page(findings: object) -> str:
    """Return."""
    return ""
