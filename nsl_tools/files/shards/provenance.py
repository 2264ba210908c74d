"""What decides about the content of a set of shards: tool, version, options and inputs.

An input counts as the same if its name, its size and its times of change (of content and of
inode) are the same; its content is not compared.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nsl_tools import __version__
from nsl_tools.errors import without_secrets
from nsl_tools.files.filesystem import state_of
from nsl_tools.files.stores.store import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nsl_tools.files.shards.manifest import Provenance
    from nsl_tools.options import RunOptions


def provenance_of(
    tool: str, options: RunOptions, inputs: Mapping[str, Sequence[str]]
) -> Provenance:
    """Return the provenance of what a run writes, by the files of its inputs, before it reads."""
    # The content of the output does not depend on these options.
    free = ("memory_limit", "threads", "resume", "report", "engine", "spark_master", "work_dir")
    return {
        "tool": tool,
        "version": __version__,
        "options": {
            key: without_secrets(value) if isinstance(value, str) else value
            for key, value in asdict(options).items()
            if key not in free
        },
        "inputs": {kind: [input_state(path) for path in paths] for kind, paths in inputs.items()},
    }


def streams_of(run: Provenance) -> list[str]:
    """Return the inputs of a run that are no files, and can be read only once."""
    states = [state for states in run["inputs"].values() for state in states]
    return [state["name"] for state in states if "bytes" not in state]


def difference(old: Provenance | None, new: Provenance) -> str:
    """Return in words how the provenance `new` differs from an `old` one; empty if it does not."""
    return "; ".join(_differences(old, new)) if old else "it is not known of which"


def _differences(old: Provenance, new: Provenance) -> Iterator[str]:
    yield from _changes("", _plain(old), _plain(new))
    yield from _changes("option ", old.get("options", {}), new["options"])
    for kind, states in new["inputs"].items():
        before = old.get("inputs", {}).get(kind, [])
        yield from _changes(f"{kind}: ", _names(before), _names(states))
        for was, now in zip(before, states, strict=False):
            if was != now and was["name"] == now["name"]:
                yield f"{kind}: {now['name']} has changed since"


def _plain(run: Provenance) -> dict[str, Any]:
    return {key: run.get(key) for key in ("tool", "version")}


def _names(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"files": " ".join(state["name"] for state in states)}


def _changes(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{kind}{key} was {old.get(key)!r}, is {new.get(key)!r}"


def input_state(path: str) -> dict[str, Any]:
    """Return what shows that a file has changed; of a stream its name alone."""
    try:
        found = state_of(path)
    except OSError:
        return {"name": without_secrets(path)}
    if not found.is_regular:
        return {"name": without_secrets(path)}
    mtime, ctime = found.times
    name = os.path.basename(path.partition("?")[0] if is_remote(path) else path)
    return {"name": name, "bytes": found.size, "mtime_ns": mtime, "ctime_ns": ctime}
