"""The embeddings that are read for an estimate: all, if they are few, or some from many places."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.fingerprints import texts_of
from nsl_tools.arrays.ids import IdColumn
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.read import read_embeddings
from nsl_tools.build_graph.request import refuse_wide
from nsl_tools.errors import DataError
from nsl_tools.formats.example_batch import refuse_empty
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from nsl_tools.build_graph.request import Request
    from nsl_tools.spill.matrix import MatrixStore, Rows
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class SampledNodes:
    """Some nodes of a run, m of n.

    Attributes:
        nodes: those that were read.
        pieces: the place in the files that each is from, ascending, shape (m,).
        total: n.
        is_exact: whether that is known exactly.
        seconds: that reading all takes.
    """

    nodes: Embeddings
    pieces: Rows
    total: int
    is_exact: bool
    seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether these are all nodes."""
        return len(self.nodes.ids) == self.total

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of all vectors."""
        return self.total, self.nodes.vectors.shape[1]

    @property
    def id_bytes(self) -> float:
        """How long an id is on average."""
        offsets = texts_of(self.nodes.ids)[0]
        return float(offsets[-1] - offsets[0]) / max(1, len(self.nodes.ids))


def sampled_nodes(
    asked: Request, statistics: Statistics, store: MatrixStore, most_bytes: int
) -> SampledNodes:
    """Return all nodes, or as many as have so many bytes of vectors, which `store` keeps.

    Raises:
        DataError: what is read is not what it should be. UsageError: it takes too much memory.
    """
    reader, options = asked.reader, asked.options
    skipped = SkippedRecords(statistics, options.on_duplicate)
    start = time.perf_counter()
    if reader.expected_bytes() <= most_bytes:
        # Whether the run has memory for them is told by the estimate.
        ids = IdColumn(reader.sources[0].name, MemoryBudget(1 << 62))
        nodes = read_embeddings(reader, skipped, store, ids)
        found = SampledNodes(nodes, np.zeros(len(nodes.ids), np.int64), len(nodes.ids), True, 0.0)
    else:
        found = _spread_nodes(asked, skipped, most_bytes)
    refuse_empty(found.total, reader.sources, options)
    refuse_wide(found.shape[1], options)
    seconds = time.perf_counter() - start
    rows = max(1, len(found.nodes.ids))
    return SampledNodes(
        found.nodes, found.pieces, found.total, found.is_exact, seconds * found.total / rows
    )


def _spread_nodes(asked: Request, skipped: SkippedRecords, most_bytes: int) -> SampledNodes:
    """Return nodes from places that are spread over the files."""
    total, is_exact = asked.reader.expected_rows()
    ids, vectors, norms, pieces = [], [], [], []
    for piece, batch in asked.reader.spread(skipped, most_bytes):
        ids.append(batch.ids)
        vectors.append(batch.vectors)
        norms.append(batch.norms)
        pieces.append(np.full(len(batch.ids), piece))
    if not ids:
        raise DataError(asked.reader.sources[0].name, "", "no usable record in a sample of it")
    nodes = Embeddings(pa.concat_arrays(ids), np.concatenate(vectors), np.concatenate(norms))
    return SampledNodes(nodes, np.concatenate(pieces), max(total, len(nodes.ids)), is_exact, 0.0)
