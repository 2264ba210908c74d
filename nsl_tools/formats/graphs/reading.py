"""Which format of graphs is read how: by the first bytes of a file, or else by its suffix."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.streams import STDIN_NAME, bytes_of, source
from nsl_tools.formats.graphs.edge_matrices import read_knn, read_sparse
from nsl_tools.formats.graphs.edge_tables import read_edge_table
from nsl_tools.formats.graphs.node_names import NodeNames
from nsl_tools.formats.graphs.tsv import read_tsv
from nsl_tools.formats.matrices.hdf5 import Hdf5Embeddings
from nsl_tools.formats.matrices.npz import NpzEmbeddings
from nsl_tools.formats.tables.arrow_ipc import ArrowTable
from nsl_tools.formats.tables.parquet import ParquetTable
from nsl_tools.progress import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from nsl_tools.options import RunOptions
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class GraphFiles:
    """Graphs, one after the other.

    Attributes:
        paths: files, or `-` for standard input; at least one.
        options: of the run.
        names: the ids of nodes that a graph gives by their numbers.
        read: counts the bytes that are read, of `size` each time.
    """

    paths: Sequence[str]
    options: RunOptions
    names: NodeNames = field(default_factory=NodeNames)
    read: Work = field(default_factory=Work, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the first file, for messages."""
        return source(self.paths[0]).name

    @property
    def size(self) -> int:
        """How many bytes the files have; 0 if one is a stream.

        Raises:
            DataError: one cannot be read.
        """
        return bytes_of(map(source, self.paths))

    def edges(self, statistics: Statistics) -> Iterator[pa.RecordBatch]:
        """Yield all edges in order, as batches of `EDGE_SCHEMA`; count in `statistics`.

        The rows of matrices go on from file to file, as `build-graph` writes a set of them.

        Raises:
            DataError: a file cannot be read, or a line or row is not an edge.
        """
        rows = 0
        for path in self.paths:
            found = source(path, self.options, self.read)
            if found.name == STDIN_NAME:
                yield from read_tsv(found, statistics)
            elif (kind := format_of(path)) in ("Parquet", "Arrow"):
                yield from read_edge_table(path, statistics, self.names, self.read)
            elif kind == "sparse":
                rows += yield from read_sparse(path, statistics, self.names, rows, self.read)
            elif kind == "knn":
                rows += yield from read_knn(path, statistics, self.names, rows, self.read)
            else:
                yield from read_tsv(found, statistics)


def format_of(path: str) -> str:
    """Return which format a graph is in: `Parquet`, `Arrow`, `sparse`, `knn` or `text`."""
    head, suffix = first_bytes(path, 8), os.path.splitext(path)[1].lower()
    kinds = {
        "Parquet": (ParquetTable.magic, ParquetTable.suffixes),
        "Arrow": (ArrowTable.magic, ArrowTable.suffixes),
        "sparse": (NpzEmbeddings.magic, NpzEmbeddings.suffixes),
        "knn": (Hdf5Embeddings.magic, Hdf5Embeddings.suffixes),
    }
    by_content = (name for name, (magic, _) in kinds.items() if head.startswith(magic))
    by_suffix = (name for name, (_, suffixes) in kinds.items() if suffix in suffixes)
    return next(by_content, None) or next(by_suffix, "text")
