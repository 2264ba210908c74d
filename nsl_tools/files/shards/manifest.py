"""What a set of shards consists of, as the hidden file `.base@N.manifest.json` beside them says.

It is hidden so that no glob of shards (`base*`) matches it. While a set is being replaced, its
manifest says so: a reader accepts only a complete set, of shards that are as long as they were
written. A set without a manifest, as TensorFlow writes it, is read as it is.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import open_to_read, state_of
from nsl_tools.files.own_files import parsed_json, read_json
from nsl_tools.files.stores.store import is_remote

if TYPE_CHECKING:
    from nsl_tools.files.stores.file_state import FileState

REMEDY = "write the set again, or remove that file if the shards are right"
_SUFFIX = ".manifest.json"

Provenance = dict[str, Any]
"""What decided about the content of a set: tool, version, options, inputs."""


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
    run: Provenance | None = None

    def encode(self) -> bytes:
        """Return it as JSON, the same for the same set."""
        content = {
            "format": 1,  # version of these fields
            "complete": self.complete,
            "shards": [asdict(shard) for shard in self.shards],
            "run": self.run,
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    def shard(self, path: str) -> Shard | None:
        """Return what is written of the shard at `path`, None if it is not in the set."""
        return self._by_name.get(os.path.basename(path))

    @cached_property
    def _by_name(self) -> dict[str, Shard]:
        return {shard.name: shard for shard in self.shards}


def manifest_path(base: str, count: int) -> str:
    """Return where the manifest of the shard set `base@count` is."""
    folder, name = os.path.split(base)
    return os.path.join(folder, f".{name}@{count}{_SUFFIX}")


def is_manifest(path: str) -> bool:
    """Tell whether a path has the name of a manifest."""
    name = os.path.basename(path)
    return name.startswith(".") and name.endswith(_SUFFIX)


def read_manifest(path: str) -> Manifest | None:
    """Return the manifest at `path`, or None if there is none; a symbolic link is followed.

    Raises:
        DataError: it cannot be read, or is not a manifest.
    """
    try:
        found = state_of(path)
        if not found.is_regular:
            raise _refusal(path, "it is no regular file")
        return _read(path, found)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err


def read_own_manifest(path: str) -> Manifest:
    """Return the manifest at `path` if it is a regular file of this user.

    Raises:
        OSError: it cannot be read. ValueError: it is not so, or no manifest.
    """
    return _manifest(path, read_json(path))


@lru_cache(maxsize=8)
def _read(path: str, _: FileState) -> Manifest:
    """Read a manifest, once for all shards of a set: a file that changed is another one."""
    try:
        return _manifest(path, _json_at(path))
    except ValueError as err:
        raise _refusal(path, str(err)) from err


def _json_at(path: str) -> Any:
    if not is_remote(path):
        return read_json(path, follow=True, own=False)
    with open_to_read(path) as file:
        return parsed_json(file.readall())


def _refusal(path: str, why: str) -> DataError:
    return DataError(path, "", f"is not a manifest of shards: {why}: {REMEDY}")


def _manifest(path: str, found: object) -> Manifest:
    content = _object(found, "the file")
    shards = content.get("shards")
    if not isinstance(shards, list):
        raise _unlike("shards", "a list", shards)
    complete = content.get("complete")
    if not isinstance(complete, bool):
        raise _unlike("complete", "true or false", complete)
    if "run" not in content:
        raise _unlike("run", "an object", None)
    return Manifest(
        path, tuple(map(shard_of, shards)), complete, provenance_of_json(content["run"])
    )


def shard_of(found: object) -> Shard:
    """Return the shard that an object of JSON describes.

    Raises:
        ValueError: it describes none.
    """
    content = _object(found, "a shard")
    for key in ("name", "crc32c"):
        if not isinstance(content.get(key), str):
            raise _unlike(f"{key} of a shard", "a text", content.get(key))
    for key in ("bytes", "records"):
        # True is a number to Python.
        if type(content.get(key)) is not int or content[key] < 0:
            raise _unlike(f"{key} of a shard", "a whole number of 0 or more", content.get(key))
    return Shard(content["name"], content["bytes"], content["records"], content["crc32c"])


def provenance_of_json(found: object) -> Provenance | None:
    """Return what an object of JSON says of a run, None for null.

    Raises:
        ValueError: it is none, as `provenance_of` makes them.
    """
    if found is None:
        return None
    run = _object(found, "run")
    _object(run.get("options"), "options of the run")
    for states in _object(run.get("inputs"), "inputs of the run").values():
        if not isinstance(states, list):
            raise _unlike("inputs of the run", "lists", states)
        for state in states:
            if not isinstance(_object(state, "an input of the run").get("name"), str):
                raise _unlike("name of an input", "a text", state.get("name"))
    return run


def _object(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _unlike(what, "an object", found)
    return found


def _unlike(what: str, expected: str, found: object) -> ValueError:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    kinds |= {int: "a number", float: "a number", type(None): "nothing"}
    return ValueError(f"{what}: expected {expected}, found {kinds[type(found)]}")


def check_complete(manifest: Manifest) -> None:
    """Raise DataError if the shards are being replaced, or if that was interrupted."""
    if not manifest.complete:
        problem = "not all shards of this set are in place: end or repeat the run that writes it"
        raise DataError(manifest.path, "", problem)
