"""Which module reads and writes which format: a new one is a file here, and a line below."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.graph_tsv_writer import edge_lines
from nsl_tools.formats.npy import NpyEmbeddings
from nsl_tools.formats.parquet import ParquetEmbeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.options import BuildGraphOptions

    Rows = npt.NDArray[np.int64]
    GraphWriter = Callable[[pa.Array, Rows, Rows, npt.NDArray[np.float64]], Iterator[bytes]]

EMBEDDING_READERS: dict[str, type[EmbeddingReader]] = {
    ".npy": NpyEmbeddings,
    ".parquet": ParquetEmbeddings,
}
"""By the suffix of a file; every other file holds records of examples."""
GRAPH_WRITERS: dict[str, GraphWriter] = {".tsv": edge_lines}
"""By the suffix of a file; every other file is written as TSV.

Each takes the ids of all nodes, and sources, targets and weights of some edges.
"""


def embedding_reader(paths: Sequence[str], options: BuildGraphOptions) -> EmbeddingReader:
    """Return what reads the embeddings in some files.

    Raises:
        UsageError: some are of another format than the others.
    """
    suffixes = {os.path.splitext(path)[1] for path in paths}
    known = suffixes & set(EMBEDDING_READERS)
    if known and len(suffixes) > 1:
        listed = ", ".join(sorted(suffix or "no suffix" for suffix in suffixes))
        raise UsageError(f"EMBEDDINGS: expected files of one kind, received {listed}")
    reader = EMBEDDING_READERS[known.pop()] if known else ExampleEmbeddings
    return reader(paths, options)


def graph_writer(path: str) -> GraphWriter:
    """Return what encodes the edges of a graph for the output `path`, in parts."""
    return GRAPH_WRITERS.get(os.path.splitext(path)[1], edge_lines)
