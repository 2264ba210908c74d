"""Graphs in which nodes are rows: sparse matrices in `.npz`, and `knns` and `dists` in HDF5."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.errors import DataError
from nsl_tools.files.readings import opened
from nsl_tools.files.streams import source
from nsl_tools.formats.extras import required
from nsl_tools.formats.graphs.edge_batches import EdgeRows, similarities
from nsl_tools.formats.matrices.hdf5 import dataset_of, hdf5_errors_as_data_errors
from nsl_tools.formats.matrices.matrix import fill
from nsl_tools.formats.matrices.npy_header import NpyHeader, read_header
from nsl_tools.formats.matrices.npz import zip_errors_as_data_errors
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Generator

    import pyarrow as pa

    from nsl_tools.files.streams import ByteStream
    from nsl_tools.formats.graphs.node_names import NodeNames
    from nsl_tools.statistics import Statistics

    Array = npt.NDArray[Any]
    Edges = Generator[pa.RecordBatch, None, int]


def read_sparse(
    path: str,
    statistics: Statistics,
    names: NodeNames,
    before: int = 0,
    read: Work | None = None,
) -> Edges:
    """Yield the edges in a sparse matrix, row after row, as batches of `EDGE_SCHEMA`.

    Args:
        path: of the file.
        statistics: counts what is skipped.
        names: the ids of nodes by their numbers.
        before: rows of other files, which come before those of this one.
        read: counts the bytes that are read.

    Returns:
        How many rows it has.

    Raises:
        DataError: the file cannot be read, or is no matrix of compressed sparse rows.
    """
    import zipfile  # here, since it takes 10 ms to import, and few need it

    with opened(path) as file, zip_errors_as_data_errors(path), contextlib.ExitStack() as stack:
        archive = zipfile.ZipFile(file)
        _require_sparse_rows(path, archive)
        distances = _text(path, archive, "weights") == "distance"  # as build-graph says of them
        bounds, columns, weights = (
            stack.enter_context(contextlib.closing(_Values(path, archive, name)))
            for name in ("indptr", "indices", "data")
        )
        ends = bounds.take(bounds.left).astype(np.int64)
        if not len(ends) or ends[0] or (np.diff(ends) < 0).any():
            raise DataError(path, "", "indptr does not rise from 0")
        for found in (columns, weights):
            if found.left != ends[-1]:
                problem = f"{found.left:,} {found.name}, expected {ends[-1]:,} as indptr says"
                raise DataError(path, "", problem)
        size, read = source(path).size() or 0, read or Work()
        for first in range(0, int(ends[-1]), step := max(1, TUNING.graph_bytes // 16)):
            places = np.arange(first, min(first + step, int(ends[-1])))
            sources = np.searchsorted(ends, places, side="right") - 1 + before
            pairs = sources, columns.take(len(places)).astype(np.int64)
            own = similarities(weights.take(len(places)).astype(np.float64), distances=distances)
            yield _named(path, first, pairs, own, names).usable(statistics)
            read.add(size * len(places) // int(ends[-1]))
    if not ends[-1]:
        statistics.counts["empty files"] += 1
    return len(ends) - 1


def read_knn(
    path: str,
    statistics: Statistics,
    names: NodeNames,
    before: int = 0,
    read: Work | None = None,
) -> Edges:
    """Yield the edges in matrices `knns` and `dists`, as batches of `EDGE_SCHEMA`.

    Args:
        path: of the file.
        statistics: counts what is skipped.
        names: the ids of nodes by their numbers.
        before: rows of other files, which come before those of this one.
        read: counts the bytes that are read.

    Returns:
        How many rows it has.

    Raises:
        DataError: the file cannot be read, or has no such matrices.
    """
    h5py = required("h5py", path, "hdf5")
    first = 0
    with opened(path) as file, hdf5_errors_as_data_errors(path), h5py.File(file, "r") as archive:
        knns, dists = (dataset_of(path, archive, name) for name in ("knns", "dists"))
        for found, kinds, expected in ((knns, "iu", "whole numbers"), (dists, "fiu", "numbers")):
            if found.dtype.kind not in kinds:
                problem = f"{found.name[1:]} is of {found.dtype}, expected {expected}"
                raise DataError(path, "", problem)
        if knns.shape != dists.shape or len(knns.shape) != 2:  # noqa: PLR2004 - rows and columns
            problem = (
                f"knns of shape {knns.shape}, dists of {dists.shape}, expected one matrix each"
            )
            raise DataError(path, "", problem)
        distances = _are_distances(path, dists)
        step = max(1, TUNING.graph_bytes // (16 * max(1, knns.shape[1])))
        size, read = source(path).size() or 0, read or Work()
        for row in range(0, knns.shape[0], step):
            targets, weights = knns[row : row + step], dists[row : row + step]
            weights = similarities(weights.astype(np.float64), distances=distances)
            places, columns = np.nonzero(targets != -1)  # where a node has a neighbour
            pairs = places + row + before, targets[places, columns].astype(np.int64)
            yield _named(path, first, pairs, weights[places, columns], names).usable(statistics)
            first += len(places)
            read.add(size * len(targets) // knns.shape[0])
    if not first:
        statistics.counts["empty files"] += 1
    return int(knns.shape[0])


def _are_distances(path: str, dists: Any) -> bool:
    """Tell whether the weights of a data set are distances, by its attribute, if it has one.

    Raises:
        DataError: the attribute is something else, or a text of varying length: in a damaged
            file, libhdf5 may search for that without an end.
    """
    name, known = "weights", (b"similarity", b"distance")
    if name not in dists.attrs:
        return False
    is_text = dists.attrs.get_id(name).dtype.kind == "S"
    found = dists.attrs[name] if is_text else None
    if found not in known:
        shown = repr(found) if is_text else "no text of fixed length"
        expected = f"expected {' or '.join(map(repr, known))} (numpy.bytes_), or none"
        raise DataError(path, "", f"the attribute {name!r} of dists is {shown}, {expected}")
    return bool(found == known[1])


def _named(
    path: str, first: int, pairs: tuple[Array, Array], weights: Array, names: NodeNames
) -> EdgeRows:
    """Return edges between nodes that are given by their numbers."""
    sources, targets = (names.of(rows, path) for rows in pairs)
    return EdgeRows(path, first, sources, targets, weights)


def _require_sparse_rows(path: str, archive: zipfile.ZipFile) -> None:
    names = set(archive.namelist())
    found = _text(path, archive, "format") or "none"
    if found != "csr" or not {f"{name}.npy" for name in ("indptr", "indices", "data")} <= names:
        expected = "expected one of compressed sparse rows: matrix.tocsr()"
        raise DataError(path, "", f"no sparse matrix, or of the format {found!r}, {expected}")


def _text(path: str, archive: zipfile.ZipFile, name: str) -> str:
    """Return the text that an array is, or how it starts; empty if there is no such array."""
    if f"{name}.npy" not in archive.namelist():
        return ""
    with archive.open(f"{name}.npy") as file:
        read_header(path, file)
        return file.read(16).rstrip(b"\0").decode(errors="replace")


class _Values:
    """The numbers of an array in a `.npz` file, from the first to the last.

    Attributes:
        name: of the array.
        left: how many are left.
    """

    def __init__(self, path: str, archive: zipfile.ZipFile, name: str) -> None:
        self.name = name
        self._path = path
        member = f"{name}.npy"
        self._stream: ByteStream = archive.open(member)
        header = read_header(path, self._stream)
        self._kind = _kind_of(path, name, header)
        (self.left,) = header.shape
        size = archive.getinfo(member).file_size - header.bytes
        if size != self.left * self._kind.itemsize:
            raise DataError(
                path, "", f"{name} takes {size} bytes, which is not what its shape says"
            )

    def take(self, count: int) -> Array:
        """Return the next numbers."""
        found = np.empty(count, self._kind)
        fill(self._stream, found, self._path)
        self.left -= count
        return found

    def close(self) -> None:
        """Close the array."""
        self._stream.close()  # type: ignore[attr-defined]


def _kind_of(path: str, name: str, header: NpyHeader) -> np.dtype[Any]:
    kinds = "fiu" if name == "data" else "iu"
    if not header.has_known_type or header.dtype.kind not in kinds or len(header.shape) != 1:
        problem = f"{name} has shape {header.shape} of {header.kind!r}, expected a list of numbers"
        raise DataError(path, "", problem)
    return header.dtype
