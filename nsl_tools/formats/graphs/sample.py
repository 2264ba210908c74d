"""Some edges of a graph of any format, from places spread over it, and about how many it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.files.decompression import decompressed, inflated_part
from nsl_tools.files.streams import read_exactly, source
from nsl_tools.formats.graphs.reading import GraphFiles, format_of
from nsl_tools.formats.graphs.tsv import parse_block
from nsl_tools.formats.tables.opening import opened_table
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from nsl_tools.files.streams import Source


@dataclass(frozen=True)
class EdgeSample:
    """Some edges of a graph.

    Attributes:
        pieces: edges of `EDGE_SCHEMA`, each from one place, in their order.
        expected: how many the whole graph has, about.
        is_exact: whether that is known.
    """

    pieces: list[pa.RecordBatch]
    expected: float
    is_exact: bool

    @property
    def count(self) -> int:
        """How many edges there are here."""
        return sum(map(len, self.pieces))


def sample_edges(graphs: GraphFiles, most_bytes: int) -> EdgeSample:
    """Return edges of some graphs, one after the other.

    Raises:
        DataError: a file cannot be read, or what is read is not what it should be.
    """
    parts = [_of_file(graphs, path, most_bytes // len(graphs.paths)) for path in graphs.paths]
    return EdgeSample(
        [piece for part in parts for piece in part.pieces],
        sum(part.expected for part in parts),
        all(part.is_exact for part in parts),
    )


def _of_file(graphs: GraphFiles, path: str, most_bytes: int) -> EdgeSample:
    """Return edges of one file: those that come first, unless it is plain text."""
    kind, found = format_of(path), source(path, graphs.options)
    if kind == "text" and (found.size() or 0) > most_bytes and _is_plain(found):
        return _of_lines(found, most_bytes)
    edge_bytes = 50  # of an edge in memory, or in text, about
    pieces: list[pa.RecordBatch] = []
    alone = GraphFiles([path], graphs.options, graphs.names)
    for batch in alone.edges(Statistics(graphs.options.max_errors)):
        pieces.append(batch)
        if edge_bytes * sum(map(len, pieces)) > most_bytes:
            break
    else:
        return EdgeSample(pieces, sum(map(len, pieces)), is_exact=True)
    count = sum(map(len, pieces))
    if kind in ("Parquet", "Arrow"):
        with opened_table(path) as table:
            rows, is_exact = table.expected_rows()
        return EdgeSample(pieces, max(rows, count), is_exact)
    return EdgeSample(pieces, max(count, _stored_edges(found, kind)), is_exact=False)


def _stored_edges(found: Source, kind: str) -> float:
    """Return about how many edges a file has, by its size."""
    size = found.size() or 0
    if kind != "text":
        return size / 8  # two numbers of 4 bytes each
    with found.open() as stream:
        head = read_exactly(stream, 1 << 22)
    content, taken = inflated_part(head, 1 << 26)
    usual = 10  # bytes of a compressed line
    return content.count(b"\n") * size / taken if content else size / usual


def _is_plain(found: Source) -> bool:
    with found.open() as stream:
        head = read_exactly(stream, 64)
    with found.open() as stream:
        return read_exactly(decompressed(stream, found.name), len(head)) == head


def _of_lines(found: Source, most_bytes: int) -> EdgeSample:
    """Return the edges in whole lines from places spread over a file of text."""
    size = found.size() or 0
    count = 32  # pieces
    piece_bytes = most_bytes // count
    pieces, taken = [], 0
    for block in _blocks(found, np.linspace(0, size - piece_bytes, count), piece_bytes):
        taken += len(block)
        # Lines that are no edges are told by the run, which knows their numbers.
        pieces.append(parse_block(block, found.name, 1, Statistics(len(block))))
    edges = sum(map(len, pieces))
    return EdgeSample(pieces, edges * size / max(1, taken), is_exact=False)


def _blocks(found: Source, starts: np.ndarray, piece_bytes: int) -> Iterator[bytes]:
    for start in starts.astype(np.int64).tolist():
        data = bytearray(piece_bytes)
        found.read_spans(data, [(start, piece_bytes)])
        first = data.find(b"\n") + 1 if start else 0
        end = data.rfind(b"\n") + 1
        if first < end:
            yield bytes(data[first:end])
