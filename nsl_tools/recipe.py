"""What decides about the content of a set of shards: tool, version, options and inputs.

An input counts as the same if its name, size, and times of change (of content
and of inode) are; its content is not read for that.
"""

from __future__ import annotations

import os
import stat
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nsl_tools import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nsl_tools.manifest import Recipe
    from nsl_tools.options import RunOptions

FREE = ("memory_limit", "threads")
"""Options that the content of the output does not depend on."""


def recipe(tool: str, options: RunOptions, inputs: Mapping[str, Sequence[str]]) -> Recipe:
    """Return the recipe of a run, given the files of each of its inputs, before they are read."""
    return {
        "tool": tool,
        "version": __version__,
        "options": {key: value for key, value in asdict(options).items() if key not in FREE},
        "inputs": {kind: [_state(path) for path in paths] for kind, paths in inputs.items()},
    }


def _state(path: str) -> dict[str, Any]:
    """Return what tells a file from a changed one; of a stream its name alone."""
    try:
        found = os.stat(path)
    except OSError:
        return {"name": path}
    if not stat.S_ISREG(found.st_mode):
        return {"name": path}
    return {
        "name": os.path.basename(path),
        "bytes": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
    }
