"""A set of shards: its parts, its manifest, and that it appears as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.files.paths import resolve_inputs
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.shards.manifest import manifest_path, read_manifest
from nsl_tools.files.shards.shard_set import ShardSet


def write(path: str, rows: list[bytes], fails: bool = False) -> None:
    with ShardSet(path) as shards:
        for name, part in shards.parts(len(rows)):
            with shards.open_part(name) as file:
                file.write(b"".join(rows[part.start : part.stop]))
                file.records = len(part)
                if fails and "-00000-of" not in name:
                    raise ZeroDivisionError


@given(total=st.integers(0, 40), count=st.integers(1, 9))
def test_shards_are_even_and_cover_all_rows(total: int, count: int) -> None:
    parts = ShardSet(f"out@{count}").parts(total)
    assert [name for name, _ in parts] == [f"out-{i:05d}-of-{count:05d}" for i in range(count)]
    assert [row for _, part in parts for row in part] == list(range(total))
    sizes = [len(part) for _, part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_set_comes_with_a_manifest_that_tells_its_shards(tmp_path: Path) -> None:
    rows = [b"%d" % row * (row % 7) for row in range(23)]
    write(f"{tmp_path}/out@4", rows)
    manifest = read_manifest(manifest_path(f"{tmp_path}/out", 4))
    assert manifest is not None
    assert manifest.complete
    assert [shard.records for shard in manifest.shards] == [5, 6, 6, 6]
    names = resolve_inputs([f"{tmp_path}/out@4"])
    assert b"".join(Path(name).read_bytes() for name in names) == b"".join(rows)
    assert [shard.bytes for shard in manifest.shards] == [os.path.getsize(name) for name in names]


@pytest.mark.parametrize("old", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path: Path, old: bool) -> None:
    path = f"{tmp_path}/out@3"
    if old:
        write(path, [b"old"] * 3)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(ZeroDivisionError):
        write(path, [b"new"] * 6, fails=True)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_of_two_runs_that_write_a_set_the_second_is_refused(tmp_path: Path) -> None:
    """However its number is written."""
    with ShardSet(f"{tmp_path}/out@2") as shards:
        with pytest.raises(OutputError, match="another run is writing this set"):
            write(f"{tmp_path}/out@02", [b"new"] * 2)
        for name, _ in shards.parts(2):
            with shards.open_part(name) as file:
                file.write(b"first")
    assert (tmp_path / "out-00001-of-00002").read_bytes() == b"first"
