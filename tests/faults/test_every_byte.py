"""Every cut and every flipped bit of small files: refused by place, or read with the right content.

What is right is told by an oracle that knows the formats and nothing of the readers.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import TYPE_CHECKING

import pytest
from oracles import inflated, right_graph, right_records

from nsl_tools.errors import DataError
from nsl_tools.files.streams import Source
from nsl_tools.formats.graphs.tsv import read_tsv
from nsl_tools.formats.tfrecord import frames
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RECORDS = frame(b"one", b"", b"three three three three", bytes(range(60)), "grün".encode())
_EQUAL_RECORDS = frame(*(b"%02d" % i for i in range(frames._MANY)))  # checked together
_LINES = [
    "a\tb\t0.5",
    "long-id-1\té\t-1e-3",
    "b\ta",
    "#x\t'\t+.25",
    "source\ttarget\t9",
    "",
    "c\td\t77",
]
_GRAPH = "\n".join([*_LINES, ""]).encode()
_REFUSED = None
_LEAST = 6000

Content = list[object] | None


def _read_records(data: bytes) -> Content:
    try:
        return [p for batch in read_batches(Source("f", io.BytesIO(data))) for p in batch.payloads]
    except DataError as err:
        return _refused(err, "record [0-9]+ at byte [0-9]+|compressed byte [0-9]+")


def _refused(err: DataError, place: str) -> Content:
    assert err.source == "f"
    assert re.fullmatch(place, err.place)
    return _REFUSED


def _read_graph(data: bytes) -> Content:
    edges: list[object] = []
    try:
        for batch in read_tsv(Source("f", io.BytesIO(data)), Statistics()):
            edges += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except DataError as err:
        return _refused(err, "line [0-9]+|compressed byte [0-9]+")
    return edges


def _gunzipped(right: Callable[[bytes], Content]) -> Callable[[bytes], Content]:
    """Return the oracle of a GZIP file: of what Python's own reader finds in it."""

    def right_if_whole(data: bytes) -> Content:
        try:
            return right(gzip.decompress(data)) if data else right(data)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            # Plain or ZLIB data, perhaps.
            return None if data[:2] == b"\x1f\x8b" else right(data)

    return right_if_whole


def _inflated(data: bytes) -> Content:
    content = inflated(data)
    # Plain data, perhaps.
    return right_records(data if content is None else content)


def _damaged(data: bytes) -> Iterator[bytes]:
    yield from (data[:size] for size in range(len(data)))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


_FIXTURES: dict[str, tuple[bytes, Callable[[bytes], Content], Callable[[bytes], Content]]] = {
    "records": (_RECORDS, _read_records, right_records),
    "equal records": (_EQUAL_RECORDS, _read_records, right_records),
    "GZIP records": (
        gzip.compress(_RECORDS, mtime=0), _read_records, _gunzipped(right_records),
    ),
    "GZIP stored": (
        gzip.compress(_RECORDS, 0, mtime=0), _read_records, _gunzipped(right_records),
    ),
    "ZLIB records": (zlib.compress(_RECORDS), _read_records, _inflated),
    "graph": (_GRAPH, _read_graph, right_graph),
    "GZIP graph": (gzip.compress(_GRAPH, mtime=0), _read_graph, _gunzipped(right_graph)),
}  # fmt: skip


def test_there_are_enough_inputs() -> None:
    assert sum(9 * len(data) for data, _, _ in _FIXTURES.values()) >= _LEAST


@pytest.mark.slow
@pytest.mark.parametrize("name", _FIXTURES)
def test_every_cut_and_every_flipped_bit(name: str) -> None:
    """Never other content than the oracle's; what it takes is refused only if it is doubtful."""
    data, read, right = _FIXTURES[name]
    assert read(data) == right(data) is not None
    for damaged in _damaged(data):
        found = read(damaged)
        if found is not _REFUSED:
            assert found == right(damaged), damaged
        elif not name.startswith(("GZIP", "ZLIB")):
            assert right(damaged) is _REFUSED, damaged
