"""Graph out: blocks of edges as TSV lines."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.fingerprints import spans_of, texts_of
from nsl_tools.spans import copy_spans, offsets_of
from nsl_tools.weights import format_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nsl_tools.spans import Places

    Floats = npt.NDArray[np.float64]
    Columns = tuple[tuple[pa.Array, Places], ...]

_TAB = b"\t"
_FEW = 1 << 16  # joined sooner than pyarrow.compute is imported,
_SHORT = 16  # unless ids are longer, and so of many lengths: then that is faster
_PIECE = 1 << 15  # edges joined at once, which stay in the processor's cache
_PIECE_BYTES = 1 << 23  # of lines joined at once, or one


def edge_lines(
    ids: pa.Array,
    sources: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    weights: Floats,
) -> Iterator[bytes]:
    r"""Yield n edges as the lines `source<TAB>target<TAB>%.6f`, in order, many at a time.

    Args:
        ids: binary array of all node ids.
        sources: rows of `ids`, shape (n,).
        targets: rows of `ids`, shape (n,).
        weights: cosines, shape (n,).
    """
    many = len(weights) >= _FEW and np.diff(texts_of(ids)[0]).max(initial=0) > _SHORT
    join = _join_many if many else _join
    step = max(_FEW, 1) if many else _PIECE
    for start in range(0, len(weights), step):
        p = slice(start, start + step)
        columns = _columns(ids, sources[p], targets[p], weights[p])
        for part in _parts(columns):
            yield join(tuple((texts, rows[part]) for texts, rows in columns))


def _parts(columns: Columns) -> list[slice]:
    """Return slices of the rows of which each has lines of some MiB, or one line."""
    sizes = np.add.reduce([spans_of(texts, rows)[2] for texts, rows in columns]) + len(columns) - 1
    ends = np.cumsum(sizes)
    cuts = np.flatnonzero(np.diff(ends // _PIECE_BYTES)) + 1
    return [slice(a, b) for a, b in pairwise([0, *cuts.tolist(), len(sizes)])]


def _columns(ids: pa.Array, sources: Places, targets: Places, weights: Floats) -> Columns:
    text, bounds = format_lines(weights)
    endings = pa.Array.from_buffers(
        pa.binary(), len(weights), [None, pa.py_buffer(bounds), pa.py_buffer(text)]
    )
    return (ids, sources), (ids, targets), (endings, np.arange(len(weights)))


def _join(columns: Columns) -> bytes:
    """Return the texts at the rows of each column, joined by tabs, line by line."""
    spans = [spans_of(texts, rows) for texts, rows in columns]
    lengths = np.add.reduce([sizes for _, _, sizes in spans])
    bounds = offsets_of(lengths + len(columns) - 1)
    out = np.full(bounds[-1], ord(_TAB), np.uint8)
    places = bounds[:-1].copy()
    for data, starts, sizes in spans:
        copy_spans(data, starts, sizes, out, places)
        places += sizes + 1
    return out.tobytes()


def _join_many(columns: Columns) -> bytes:
    import pyarrow.compute as pc

    parts = [texts.take(pa.array(rows)).cast(pa.large_binary()) for texts, rows in columns]
    lines = pc.binary_join_element_wise(*parts, pa.scalar(_TAB, pa.large_binary()))
    _, offsets, data = lines.buffers()
    span = np.frombuffer(offsets, np.int64)[[0, len(lines)]]
    return memoryview(data)[span[0] : span[1]].tobytes()
