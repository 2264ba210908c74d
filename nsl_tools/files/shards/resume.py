"""Shards that a run finished before it was ended, found again by the next with `--resume`.

They lie in the run's staging directory. `run.json` there names the set, and what decided
about its content (its provenance). A shard is complete once a note lies beside its temporary
file. Notes are not synced: a shard counts only if its size and checksum are as noted.
Notes and shards count only if they are this user's regular files.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import google_crc32c

from nsl_tools.files.outputs import write_file
from nsl_tools.files.own_files import is_own, opened, read_json
from nsl_tools.files.shards.manifest import Shard, provenance_of_json, shard_of
from nsl_tools.files.staging import RUN, staging_directories
from nsl_tools.files.streams import CHUNK

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from nsl_tools.files.shards.manifest import Provenance
    from nsl_tools.files.staging import StagingDirectory
    from nsl_tools.files.streams import ByteStream

_NOTE = ".shard.json"  # what the name of a note has beyond that of its file


def begin(staging: StagingDirectory, name: str, run: Provenance) -> None:
    """Write which set a staging directory is for, and what decides about its content.

    Raises:
        OSError: it cannot be written.
    """
    _write(staging, RUN, {"set": name, "run": run})


def note(staging: StagingDirectory, temporary: str, shard: Shard) -> None:
    """Write that a temporary file is a complete shard.

    Raises:
        OSError: it cannot be written.
    """
    _write(staging, temporary + _NOTE, asdict(shard))


def find(
    folder: str, name: str, warnings: Counter[str]
) -> Iterator[tuple[StagingDirectory, Provenance | None]]:
    """Yield this user's staging directories in `folder` for the set `name`, and what wrote them.

    Each is closed when the next one is asked for, unless it was taken over. What is not this
    user's is counted in `warnings`.
    """
    for staging in staging_directories(folder, warnings):
        found = _read(staging, RUN)
        if found.get("set") == name:
            yield staging, _provenance(found.get("run"))


def finished(staging: StagingDirectory) -> Iterator[tuple[Shard, str]]:
    """Yield the complete shards of a staging directory, with the names of their temporary files."""
    for name in sorted(os.listdir(staging.inner)):
        if name.endswith(_NOTE):
            shard, temporary = _shard(_read(staging, name)), name.removesuffix(_NOTE)
            if shard and is_intact(temporary, shard, staging.inner):
                yield shard, temporary


def is_intact(path: str, shard: Shard, folder: int | None = None) -> bool:
    """Tell whether `path`, in `folder`, is this user's file with size and checksum of a shard."""
    try:
        with opened(path, folder) as (descriptor, found):
            same_size = is_own(found) and found.st_size == shard.bytes
            return same_size and _crc32c(descriptor) == shard.crc32c
    except OSError:
        return False


def sweep(staging: StagingDirectory) -> int:
    """Remove what is no complete shard from a staging directory; return how many shards stay."""
    names = set(os.listdir(staging.inner))
    notes = {name for name in names if name.endswith(_NOTE) and name.removesuffix(_NOTE) in names}
    stay = {RUN, *notes, *(name.removesuffix(_NOTE) for name in notes)}
    for name in names - stay:
        os.unlink(name, dir_fd=staging.inner)
    return len(notes)


def _crc32c(descriptor: int) -> str:
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return crc32c_of(file)


def crc32c_of(file: ByteStream) -> str:
    """Return the CRC32C of what is left of a stream, as a manifest has it.

    Raises:
        OSError: it cannot be read.
    """
    crc = 0
    while data := file.read(CHUNK):
        crc = google_crc32c.extend(crc, data)
    return f"{crc:08x}"


def _shard(found: dict[str, Any]) -> Shard | None:
    try:
        return shard_of(found)
    except ValueError:
        return None


def _provenance(found: object) -> Provenance | None:
    try:
        return provenance_of_json(found)
    except ValueError:
        return None


def _write(staging: StagingDirectory, name: str, content: dict[str, Any]) -> None:
    write_file(staging, name, json.dumps(content).encode(), sync=False)


def _read(staging: StagingDirectory, name: str) -> dict[str, Any]:
    """Return what a file holds, nothing if it is absent, was cut, or is not this user's."""
    try:
        found = read_json(name, staging.inner)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
