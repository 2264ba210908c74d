"""What a set of shards consists of, as the hidden file `.base@N.manifest.json` beside them says.

Hidden, so that no glob of shards (`base*`) catches it. While a set is being
replaced, its manifest says that too: a reader takes only a set that is complete,
of shards that are as long as they were written. A set without a manifest, such
as TensorFlow writes, is read as it is.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from nsl_tools.errors import DataError

REMEDY = "write the set again, or remove that file if the shards are right"
_FORMAT = 1
_SUFFIX = ".manifest.json"

Recipe = dict[str, Any]
"""What decided about the content of a set: tool, version, options, inputs (see `recipe`)."""


@dataclass(frozen=True)
class Shard:
    """One complete shard.

    Attributes:
        name: of the file, without its folder.
        bytes: its size.
        records: how many records, or edges, it holds.
        crc32c: of its bytes, in hexadecimal.
    """

    name: str
    bytes: int
    records: int
    crc32c: str


@dataclass(frozen=True)
class Manifest:
    """A set of shards.

    Attributes:
        path: of the manifest.
        shards: in order.
        complete: whether all of them are in their places.
        run: what wrote them, if that is known.
    """

    path: str
    shards: tuple[Shard, ...]
    complete: bool = True
    run: Recipe | None = None

    def encode(self) -> bytes:
        """Return it as JSON, the same for the same set."""
        content = {
            "format": _FORMAT,
            "complete": self.complete,
            "shards": [asdict(shard) for shard in self.shards],
            "run": self.run,
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    def shard(self, path: str) -> Shard | None:
        """Return what is written of the shard at `path`, None if it is not in the set."""
        name = os.path.basename(path)
        return next((shard for shard in self.shards if shard.name == name), None)


def manifest_path(base: str, count: int) -> str:
    """Return where the manifest of the shard set `base@count` is."""
    folder, name = os.path.split(base)
    return os.path.join(folder, f".{name}@{count}{_SUFFIX}")


def is_manifest(path: str) -> bool:
    """Tell whether a path has the name of a manifest."""
    name = os.path.basename(path)
    return name.startswith(".") and name.endswith(_SUFFIX)


def read_manifest(path: str) -> Manifest | None:
    """Return the manifest at `path`, or None if there is none.

    Raises:
        DataError: it cannot be read, or is not a manifest.
    """
    try:
        found = os.stat(path)
        return _read(path, (found.st_ino, found.st_size, found.st_mtime_ns))
    except FileNotFoundError:
        return None
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err


@lru_cache(maxsize=8)
def _read(path: str, _: tuple[int, int, int]) -> Manifest:
    """Read a manifest, once for all shards of a set: a file that changed is another one."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        found = json.loads(data)
        shards = tuple(Shard(**shard) for shard in found["shards"])
        return Manifest(path, shards, bool(found["complete"]), found["run"])
    except (ValueError, TypeError, KeyError) as err:
        raise DataError(path, "", f"is not a manifest of shards: {REMEDY}") from err


def check_complete(manifest: Manifest) -> None:
    """Raise DataError if the shards are being replaced, or if that was interrupted."""
    if not manifest.complete:
        problem = "not all shards of this set are in place: end or repeat the run that writes it"
        raise DataError(manifest.path, "", problem)
