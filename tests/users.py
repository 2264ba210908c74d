"""Two users in one folder: what the tests of shared folders need. Only root can be two users."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.options import PackOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER = 12345
SHARDS = [f"out-0000{i}-of-00003" for i in range(3)]
MANIFEST = ".out@3.manifest.json"
PACK = ["pack-nbrs", "--max-nbrs", "2", "labeled", "", "graph", "out@3"]
LEFT = ".0123456789abcdef.nsl-tools"
FILE = "out-00000-of-00003.0123456789abcdef"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def other_user_does(script: str, folder: Path) -> None:
    """Run a shell script in `folder` as a user of no rights."""
    subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder, check=True, user=OTHER, group=OTHER, extra_groups=[], umask=0o022,
    )  # fmt: skip


@contextlib.contextmanager
def as_other_user() -> Iterator[None]:
    """Let this process have the rights of that user, and no others, for a while."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(OTHER)
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def fill(folder: Path) -> None:
    """Write what is in a staging directory of the set."""
    (folder / "run.json").write_text(json.dumps({"set": "out@3", "run": our_provenance()}))
    (folder / FILE).write_bytes(b"precious")
    (folder / "other.0123456789abcdef").write_bytes(b"precious")


def our_provenance() -> dict[str, object]:
    """Return the provenance of what `PACK` writes."""
    inputs = {"labeled": ["labeled"], "unlabeled": [], "graph": ["graph"]}
    return provenance_of("pack-nbrs", PackOptions(max_neighbors=2), inputs)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
