"""Libraries that only some formats need, and only some people have."""

from __future__ import annotations

import importlib
from typing import Any

from nsl_tools.errors import UsageError


def required(module: str, path: str, extra: str) -> Any:
    """Return a module, imported now.

    Args:
        module: its name.
        path: the file for which it is needed.
        extra: what installs it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        problem = f"{path}: takes {err.name}, which is not installed"
        raise UsageError(f"{problem}: pip install 'nsl-tools[{extra}]'") from err
