"""Which module reads and writes which format: a new one is a file here, and a line below."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.graphs.tsv_writer import edge_lines
from nsl_tools.formats.matrices.hdf5 import Hdf5Embeddings
from nsl_tools.formats.matrices.npy import NpyEmbeddings
from nsl_tools.formats.matrices.npz import NpzEmbeddings
from nsl_tools.formats.matrices.safetensors import SafetensorsEmbeddings
from nsl_tools.formats.matrices.vector_bins import VectorBinEmbeddings
from nsl_tools.formats.tables.embeddings import TableEmbeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.options import BuildGraphOptions

    Rows = npt.NDArray[np.int64]
    GraphWriter = Callable[[pa.Array, Rows, Rows, npt.NDArray[np.float64]], Iterator[bytes]]

EMBEDDING_READERS: tuple[type[EmbeddingReader], ...] = (
    ExampleEmbeddings,
    NpyEmbeddings,
    NpzEmbeddings,
    TableEmbeddings,
    Hdf5Embeddings,
    SafetensorsEmbeddings,
    VectorBinEmbeddings,
)
"""The first that knows how a file starts reads it, else the one that knows its suffix, else
the first of all."""
GRAPH_WRITERS: dict[str, GraphWriter] = {".tsv": edge_lines}
"""By the suffix of a file; every other file is written as TSV.

Each takes the ids of all nodes, and sources, targets and weights of some edges.
"""


def embedding_reader(paths: Sequence[str], options: BuildGraphOptions) -> EmbeddingReader:
    """Return what reads the embeddings in some files.

    Raises:
        UsageError: some are of another format than the others.
    """
    readers = [embedding_format(path) for path in paths]
    for path, reader in zip(paths, readers, strict=True):
        if reader is not readers[0]:
            listed = f"{paths[0]} ({readers[0].format_name}) and {path} ({reader.format_name})"
            raise UsageError(f"EMBEDDINGS: expected files of one format, received {listed}")
    return readers[0](paths, options)


def embedding_format(path: str) -> type[EmbeddingReader]:
    """Return the reader of the format that a file has by its content, or else by its suffix."""
    head = b"" if path == STANDARD_STREAM else first_bytes(path, 16)
    suffix = os.path.splitext(path)[1].lower()
    by_content = (reader for reader in EMBEDDING_READERS if reader.matches(head))
    by_suffix = (reader for reader in EMBEDDING_READERS if suffix in reader.suffixes)
    return next(by_content, None) or next(by_suffix, ExampleEmbeddings)


def graph_writer(path: str) -> GraphWriter:
    """Return what encodes the edges of a graph for the output `path`, in parts."""
    return GRAPH_WRITERS.get(os.path.splitext(path)[1], edge_lines)
