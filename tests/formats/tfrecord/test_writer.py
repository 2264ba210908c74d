"""Records out: in one file or a set, whatever batches they come in."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import right_records

from nsl_tools.errors import DataError
from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.formats.tfrecord.frames import Framed, frame
from nsl_tools.formats.tfrecord.writer import write_framed, write_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAYLOADS = [b"", b"first", b"\0" * 40, bytes(range(256)), b"\x0a\x00"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


def framed(payloads: list[bytes], before: int = 0) -> Framed:
    """Return payloads as records; in their data lie others before them."""
    parts = [frame(b"before")] * before + list(map(frame, payloads))
    ends = np.cumsum([0, *map(len, parts)])
    return Framed(np.frombuffer(b"".join(parts), np.uint8), ends[before:])


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_all_payloads_are_written(tmp_path: Path, count: int) -> None:
    """Few, or more than are framed at once; they may be made on the way."""
    payloads = [b"%d" % i * (i % 5) for i in range(count)]
    write_records(str(tmp_path / "out"), iter(payloads), count)
    assert right_records((tmp_path / "out").read_bytes()) == payloads


def test_shards_one_after_the_other_are_the_single_file(tmp_path: Path) -> None:
    """Shards are contiguous and even; there may be more of them than records."""
    for shards in (1, 3, 5, 7):
        write_records(f"{tmp_path}/{shards}@{shards}", iter(_PAYLOADS), len(_PAYLOADS))
        written = [path.read_bytes() for path in sorted(tmp_path.glob(f"{shards}-*"))]
        assert len(written) == shards
        assert b"".join(written) == frame(*_PAYLOADS)
        counts = [len(right_records(data) or []) for data in written]
        assert max(counts) - min(counts) <= 1


def test_gzip_by_suffix(tmp_path: Path) -> None:
    """A name that ends in `.gz` is written as GZIP without a time, so always the same bytes."""
    write_records(f"{tmp_path}/a.gz", _PAYLOADS, len(_PAYLOADS))
    data = (tmp_path / "a.gz").read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00" + bytes(4)
    assert zlib.decompress(data, 31) == frame(*_PAYLOADS)


@settings(max_examples=25)
@given(
    payloads=st.lists(st.binary(max_size=9), max_size=9),
    cuts=st.lists(st.integers(0, 9), max_size=4).map(sorted),
    shards=st.integers(1, 4),
    before=st.integers(0, 1),
)
def test_batches_are_cut_where_shards_end(
    folder: Path, payloads: list[bytes], cuts: list[int], shards: int, before: int
) -> None:
    """Batches of any sizes, some of them empty."""
    batches = [framed(payloads[a:b], before) for a, b in pairwise([0, *cuts, None])]
    with ShardSet(f"{folder}/out@{shards}") as written:
        write_framed(written, batches, len(payloads))
    found = [
        right_records((folder / f"out-{i:05d}-of-{shards:05d}").read_bytes()) or []
        for i in range(shards)
    ]
    assert [payload for shard in found for payload in shard] == payloads
    sizes = list(map(len, found))
    assert max(sizes) - min(sizes) <= 1


def test_what_fails_behind_the_last_record_fails_the_writer(tmp_path: Path) -> None:
    """A reading that only at its end finds its file changed leaves no output behind."""

    def batches() -> Iterator[Framed]:
        yield framed([b"a"])
        raise DataError("input", "", "changed")

    with pytest.raises(DataError, match="changed"), ShardSet(f"{tmp_path}/f") as shards:
        write_framed(shards, batches(), 1)
    assert not list(tmp_path.iterdir())
