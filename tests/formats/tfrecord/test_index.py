"""`formats.tfrecord.index`: any records of several files, plain or compressed, and damage."""

from __future__ import annotations

import gzip
import os
import pickle
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.index import PickedRecords, RecordIndex, joined

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zlib.compress]
FILES = [
    [b"one", b"", b"three" * 50],
    [],
    [b"%d" % i * (i % 9) for i in range(40)],
    [bytes(5000), b"last"],
]
ALL = [payload for payloads in FILES for payload in payloads]


def contents(records: PickedRecords) -> list[bytes]:
    spans = zip(records.starts, records.ends, strict=True)
    return [records.data[start:end] for start, end in spans]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecordIndex:
    """Return an index of files of all compressions, and an empty one."""
    folder, paths = tmp_path_factory.mktemp("index"), []
    for number, payloads in enumerate(FILES):
        path = folder / str(number)
        path.write_bytes(PACKERS[number % 3](frame(*payloads)) if payloads else b"")
        paths.append(str(path))
    return RecordIndex(paths)


@settings(max_examples=60)
@given(rows=st.sets(st.integers(0, len(ALL) - 1), min_size=1), checksums=st.booleans())
def test_any_records_are_read(index: RecordIndex, rows: set[int], *, checksums: bool) -> None:
    assert len(index) == len(ALL)
    picked = index.read(np.array(sorted(rows)), checksums=checksums)
    assert contents(picked) == [ALL[row] for row in sorted(rows)]


def test_parts_are_joined(index: RecordIndex) -> None:
    parts = [index.read(np.array(rows)) for rows in ([0, 5], [44], [2, 3])]
    data, starts, ends = joined(parts)
    found = [data[start:end] for start, end in zip(starts, ends, strict=True)]
    assert found == [ALL[row] for row in (0, 5, 44, 2, 3)]


def test_another_process_reads_as_well(index: RecordIndex) -> None:
    """It gets no copy of the scratch files of this one, and makes its own."""
    again = pickle.loads(pickle.dumps(index))  # noqa: S301 - our own
    assert contents(again.read(np.arange(len(ALL)))) == ALL


def test_a_damaged_record_is_named_by_file_and_place(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(frame(b"a", b"b"))
    data = bytearray(frame(b"c", b"damaged", b"e"))
    data[17 + 12] ^= 1
    bad.write_bytes(data)
    index = RecordIndex([str(good), str(bad)])
    assert contents(index.read(np.array([0, 2, 4]))) == [b"a", b"c", b"e"]
    problem = f"{bad}: record 1 at byte 17: the content does not match its checksum"
    with pytest.raises(DataError, match=problem):
        index.read(np.array([1, 2, 3]))
    assert contents(index.read(np.array([3]), checksums=False)) != [b"damaged"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not a record file", "not a TFRecord file"),
        (frame(b"abc")[:-1], "record 0 at byte 0: cut"),
        (gzip.compress(frame(b"abc"))[:-3], "ends before its trailer"),
        (gzip.compress(b"text, not records"), "the length does not match its checksum"),
    ],
    ids=["text", "cut", "cut GZIP", "GZIP of text"],  # GZIP holds the time
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DataError, match=problem):
        RecordIndex([str(tmp_path / "f")])


@pytest.mark.parametrize("change", ["written", "replaced", "cut", "removed"])
def test_a_file_that_changes_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(frame(b"first", b"second"))
    index = RecordIndex([str(path)])
    if change == "written":
        path.write_bytes(frame(b"other", b"second"))
        os.utime(path, ns=(1, 1))
    elif change == "replaced":
        (tmp_path / "g").write_bytes(frame(b"other", b"second"))
        (tmp_path / "g").rename(path)
    elif change == "cut":
        path.write_bytes(frame(b"first"))
    else:
        path.unlink()
    with pytest.raises(DataError, match="changed while it was read"):
        index.read(np.array([1]))
