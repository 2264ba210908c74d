"""Shards that a run finished before it was ended, found again by the next with `--resume`.

They lie in the run's workspace. `run.json` there names the set and the recipe of
the run; a shard is complete once a note lies beside its temporary file. None of
the notes is synced: a shard counts only if its size and checksum are as noted.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import google_crc32c

from nsl_tools.manifest import Shard
from nsl_tools.output import write_file
from nsl_tools.workspace import workspaces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.manifest import Recipe

_RUN = "run.json"
_NOTE = ".shard.json"
_CHUNK = 1 << 20


def begin(workspace: str, name: str, run: Recipe) -> None:
    """Write which set a workspace is for, and by which recipe.

    Raises:
        OSError: it cannot be written.
    """
    _write(os.path.join(workspace, _RUN), {"set": name, "run": run})


def note(temporary: str, shard: Shard) -> None:
    """Write that a temporary file is a complete shard.

    Raises:
        OSError: it cannot be written.
    """
    _write(temporary + _NOTE, asdict(shard))


def find(folder: str, name: str) -> Iterator[tuple[str, Recipe]]:
    """Yield the workspaces in `folder` that are for the set `name`, and their recipes."""
    for path in workspaces(folder):
        found = _read(os.path.join(path, _RUN))
        if found.get("set") == name:
            yield path, found["run"]


def finished(workspace: str) -> Iterator[tuple[Shard, str]]:
    """Yield the shards that are complete in a workspace, and their temporary files."""
    for name in sorted(os.listdir(workspace)):
        if name.endswith(_NOTE):
            path = os.path.join(workspace, name)
            shard, temporary = _shard(_read(path)), path.removesuffix(_NOTE)
            if shard and is_intact(temporary, shard):
                yield shard, temporary


def is_intact(path: str, shard: Shard) -> bool:
    """Tell whether the file at `path` has the size and the checksum of a shard."""
    try:
        return os.path.getsize(path) == shard.bytes and _crc32c(path) == shard.crc32c
    except OSError:
        return False


def sweep(workspace: str) -> int:
    """Remove what is no complete shard from a workspace, and return how many shards stay."""
    names = set(os.listdir(workspace))
    notes = {name for name in names if name.endswith(_NOTE) and name.removesuffix(_NOTE) in names}
    stay = {_RUN, *notes, *(name.removesuffix(_NOTE) for name in notes)}
    for name in names - stay:
        os.unlink(os.path.join(workspace, name))
    return len(notes)


def _crc32c(path: str) -> str:
    crc = 0
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            crc = google_crc32c.extend(crc, data)
    return f"{crc:08x}"


def _shard(found: dict[str, Any]) -> Shard | None:
    try:
        return Shard(**found)
    except TypeError:
        return None


def _write(path: str, content: dict[str, Any]) -> None:
    write_file(path, json.dumps(content).encode(), sync=False)


def _read(path: str) -> dict[str, Any]:
    """Return what a file holds, nothing if it is absent or was cut."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
