"""Graph out: blocks of edges as TSV lines."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.byte_spans import copy_spans, offsets_of
from nsl_tools.arrays.edge_weights import format_lines
from nsl_tools.arrays.fingerprints import spans_of, texts_of
from nsl_tools.formats.graphs.edge_batches import weights_of
from nsl_tools.formats.graphs.writer import GraphWriter
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Bytes, Places

    Floats = npt.NDArray[np.float64]
    Columns = tuple[tuple[pa.Array, Places], ...]
    Spans = tuple[Bytes, Places, Places]

_SHORT = 16  # bytes of an id: copying spans of so few lengths is the faster way


class TsvGraph(GraphWriter):
    """Writes TSV: ids, and weights with six decimals, as NSL does."""

    suffixes = (".tsv",)

    def add(self, sources: Places, targets: Places, weights: Floats) -> None:
        """Write some edges."""
        shown = self.written(weights) if self.form.distances else weights
        for part in edge_lines(self.form.ids, sources, targets, shown):
            self.file.write(part)

    def add_named(self, edges: pa.RecordBatch) -> None:
        """Write edges; a weight that has more than six decimals with as many as it takes."""
        import pyarrow.compute as pc

        texts = weight_texts(self.written(weights_of(edges)))
        columns = [edges["source"], edges["target"], texts]
        columns = [column.cast(pa.large_binary()) for column in columns]
        tab = pa.scalar(b"\t", pa.large_binary())
        _, offsets, data = pc.binary_join_element_wise(*columns, tab).buffers()
        bounds = np.frombuffer(offsets, np.int64)
        self.file.write(memoryview(data or b"")[bounds[0] : bounds[len(edges)]])


def weight_texts(weights: Floats) -> pa.Array:
    """Return weights, shape (n,), as texts with a newline: `%.6f`, where float32 is the same.

    Others have as many digits as tell float32 from its neighbours.
    """
    import pyarrow.compute as pc

    values = weights.astype(np.float32)
    most = 10.0  # what `format_lines` writes is below
    within = np.abs(values) < most - 1
    plain = np.where(within, weights, 0)
    short = within & ((np.round(plain, 6)).astype(np.float32) == values)
    text, bounds = format_lines(np.where(short, plain, 0))
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(text)]
    found = pa.Array.from_buffers(pa.binary(), len(weights), buffers)
    if short.all():
        return found
    digits = pa.array(values).cast(pa.string()).cast(pa.binary())
    empty = pa.scalar(b"", pa.binary())
    lines = pc.binary_join_element_wise(digits, empty, pa.scalar(b"\n", pa.binary()))
    return pc.if_else(pa.array(short), found, lines)


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
    many = len(weights) >= TUNING.few_to_join
    many = many and np.diff(texts_of(ids)[0]).max(initial=0) > _SHORT
    step = TUNING.few_to_join if many else TUNING.joined_edges
    for start in range(0, len(weights), step):
        p = slice(start, start + step)
        columns = _columns(ids, sources[p], targets[p], weights[p])
        spans = [spans_of(texts, rows) for texts, rows in columns]
        for part in _parts(spans):
            if many:
                yield _join_many([texts.take(pa.array(rows[part])) for texts, rows in columns])
            else:
                yield _join([(data, starts[part], sizes[part]) for data, starts, sizes in spans])


def _parts(spans: list[Spans]) -> list[slice]:
    """Return slices of the rows of which each has lines of some MiB, or one line."""
    ends = np.cumsum(np.add.reduce([sizes for _, _, sizes in spans]) + len(spans) - 1)
    cuts = np.flatnonzero(np.diff(ends // TUNING.lines_bytes)) + 1
    return [slice(a, b) for a, b in pairwise([0, *cuts.tolist(), len(ends)])]


def _columns(ids: pa.Array, sources: Places, targets: Places, weights: Floats) -> Columns:
    text, bounds = format_lines(weights)
    endings = pa.Array.from_buffers(
        pa.binary(), len(weights), [None, pa.py_buffer(bounds), pa.py_buffer(text)]
    )
    return (ids, sources), (ids, targets), (endings, np.arange(len(weights)))


def _join(spans: list[Spans]) -> bytes:
    """Return the texts of each column, joined by tabs, line by line."""
    lengths = np.add.reduce([sizes for _, _, sizes in spans])
    bounds = offsets_of(lengths + len(spans) - 1)
    out = np.full(bounds[-1], ord("\t"), np.uint8)
    places = bounds[:-1].copy()
    for data, starts, sizes in spans:
        copy_spans(data, starts, sizes, out, places)
        places += sizes + 1
    return out.tobytes()


def _join_many(columns: list[pa.Array]) -> bytes:
    import pyarrow.compute as pc

    parts = [texts.cast(pa.large_binary()) for texts in columns]
    lines = pc.binary_join_element_wise(*parts, pa.scalar(b"\t", pa.large_binary()))
    _, offsets, data = lines.buffers()
    span = np.frombuffer(offsets, np.int64)[[0, len(lines)]]
    return memoryview(data)[span[0] : span[1]].tobytes()
