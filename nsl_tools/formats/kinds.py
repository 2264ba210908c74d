"""What a file holds, and what an output can: examples, the rows of a matrix, or a graph."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Literal

from nsl_tools.errors import UsageError
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import STANDARD_STREAM, shard_set_of
from nsl_tools.files.readings import opened
from nsl_tools.formats.matrices.hdf5 import Hdf5Embeddings, hdf5_errors_as_data_errors
from nsl_tools.formats.matrices.npz import NpzEmbeddings, zip_errors_as_data_errors
from nsl_tools.formats.matrices.reader import MatrixEmbeddings
from nsl_tools.formats.matrices.vector_bins import VectorBinEmbeddings
from nsl_tools.formats.registry import OTHER_SUFFIXES, embedding_format, graph_format
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.parquet import ParquetTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.formats.graphs.writer import GraphWriter

Kind = Literal["examples", "a matrix", "a graph"]


def kind_of(paths: Sequence[str]) -> Kind:
    """Return what some files hold.

    Raises:
        DataError: one cannot be read. UsageError: they do not hold the same.
    """
    kinds = [_kind_of(path) for path in paths]
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            listed = f"{paths[0]} ({kinds[0]}) and {path} ({kind})"
            raise UsageError(f"INPUTS: expected files that hold the same, received {listed}")
    return kinds[0]


def _kind_of(path: str) -> Kind:
    if path == STANDARD_STREAM:
        return "examples"
    if _suffix(path) == ".tsv":
        return "a graph"
    if is_table(path):
        with opened_table(path) as table:
            is_graph = {"source", "target", "weight"} <= set(table.names)
            return "a graph" if is_graph else "examples"
    if _starts_as_lines(path):
        return "a graph"
    reader = embedding_format(path)
    is_sparse = reader is NpzEmbeddings and "indptr.npy" in _names_of_zip(path)
    if is_sparse or (reader is Hdf5Embeddings and "knns" in _names_of_hdf5(path)):
        return "a graph"
    return "a matrix" if issubclass(reader, MatrixEmbeddings) else "examples"


def _starts_as_lines(path: str) -> bool:
    """Tell whether the first line of a file is text with tabs: a graph, of any suffix as in NSL."""
    first = first_bytes(path, 1 << 12).partition(b"\n")[0]
    return b"\t" in first and first.replace(b"\t", b"").decode(errors="replace").isprintable()


def _names_of_zip(path: str) -> list[str]:
    import zipfile  # here, since it takes 10 ms to import, and few need it

    with opened(path) as file, zip_errors_as_data_errors(path):
        return zipfile.ZipFile(file).namelist()


def _names_of_hdf5(path: str) -> list[str]:
    with contextlib.suppress(ModuleNotFoundError):  # which whoever reads the file then says
        import h5py

        with opened(path) as file, hdf5_errors_as_data_errors(path), h5py.File(file) as archive:
            return list(archive)
    return []


def _suffix(path: str) -> str:
    """Return the suffix of a name, in small letters, without that of a compression."""
    base, _ = shard_set_of(path) or (path, 1)
    stem, suffix = os.path.splitext(base.lower())
    return os.path.splitext(stem)[1] if suffix in (".gz", ".zst") else suffix


def output_kind(kind: Kind, output: str) -> Literal["examples", "a matrix"] | type[GraphWriter]:
    """Return what to write: examples or a matrix, or what writes a graph.

    Raises:
        UsageError: what the inputs hold, a `kind`, is not written to such a file.
    """
    suffix = _suffix(output)
    if kind == "a graph":
        return graph_format(output)
    if suffix in (".npy", *VectorBinEmbeddings.suffixes):
        return "a matrix"
    graphs = {".tsv", ".npz", *Hdf5Embeddings.suffixes}
    tables = set(ParquetTable.suffixes) | {".tfr", ".tfrecord", ".tfrecords"}
    if suffix in (OTHER_SUFFIXES | graphs) - tables:
        verb = "are" if kind == "examples" else "is"
        expected = "expected .parquet, .npy, .fbin, or another suffix for TFRecord"
        raise UsageError(f"{output}: {kind} {verb} not written as {suffix}, {expected}")
    return "examples"
