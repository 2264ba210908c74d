"""Which module reads and writes which format: a new one is a file here, and a line below."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import STANDARD_STREAM, shard_set_of
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.extras import required
from nsl_tools.formats.graphs.knn_hdf5 import KnnGraph
from nsl_tools.formats.graphs.parquet_writer import ParquetGraph
from nsl_tools.formats.graphs.sparse_npz import SparseGraph
from nsl_tools.formats.graphs.tsv_writer import TsvGraph
from nsl_tools.formats.matrices.hdf5 import Hdf5Embeddings
from nsl_tools.formats.matrices.npy import NpyEmbeddings
from nsl_tools.formats.matrices.npz import NpzEmbeddings
from nsl_tools.formats.matrices.safetensors import SafetensorsEmbeddings
from nsl_tools.formats.matrices.vector_bins import VectorBinEmbeddings
from nsl_tools.formats.tables.embeddings import TableEmbeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.formats.graphs.writer import GraphWriter
    from nsl_tools.options import BuildGraphOptions

OTHER_SUFFIXES = {
    ".arrow", ".avro", ".csv", ".feather", ".fbin", ".gexf", ".gml", ".graphml", ".json", ".jsonl",
    ".mat", ".mtx", ".npy", ".orc", ".pickle", ".pkl", ".safetensors", ".tfr", ".tfrecord",
    ".tfrecords", ".xlsx", ".zip",
}  # fmt: skip
"""Suffixes of known formats in which graphs are not written: a name that ends so is a mistake."""

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
GRAPH_WRITERS: tuple[type[GraphWriter], ...] = (TsvGraph, ParquetGraph, SparseGraph, KnnGraph)
"""By their suffixes; a file whose suffix nobody knows is written as TSV, as NSL does."""


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


def graph_format(path: str) -> type[GraphWriter]:
    """Return what writes a graph to `path`, by its suffix.

    Raises:
        UsageError: the suffix is that of a format that is not written, or its library is not
            installed.
    """
    base, _ = shard_set_of(path) or (path, 1)
    stem, suffix = os.path.splitext(base.lower())
    writer = next((writer for writer in GRAPH_WRITERS if suffix in writer.suffixes), TsvGraph)
    is_compressed = suffix in (".gz", ".zst")
    inner = os.path.splitext(stem)[1] if is_compressed else suffix
    binary = {suffix for writer in GRAPH_WRITERS[1:] for suffix in writer.suffixes}
    if inner in OTHER_SUFFIXES or (is_compressed and inner in binary):
        known = ", ".join(writer.suffixes[0] for writer in GRAPH_WRITERS)
        raise UsageError(
            f"{path}: a graph is not written as {inner}{suffix if inner != suffix else ''}, "
            f"expected one of {known}, or another suffix for TSV"
        )
    if writer is KnnGraph:
        required("h5py", path, "hdf5")  # before the search, not after it
    return writer


def graph_writer(path: str, options: BuildGraphOptions) -> type[GraphWriter]:
    """Return what writes the output `path` of build-graph, by its suffix.

    Raises:
        UsageError: as for `graph_format`, or the options are not for the format.
    """
    writer = graph_format(path)
    if writer.needs_k and options.k is None:
        raise UsageError(
            f"-k: expected a number for {path}, whose rows are all alike, received all"
        )
    if options.edge_ids == "rows" and writer is TsvGraph:
        raise UsageError(f"--edge-ids: expected ids for {path}, which is TSV, received rows")
    return writer
