"""Embeddings in HDF5 files: one of the data sets, a matrix of numbers. It takes `h5py`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.errors import DataError
from nsl_tools.files.readings import opened
from nsl_tools.formats.extras import required
from nsl_tools.formats.matrices.matrix import EXPECTED, NumberMatrix
from nsl_tools.formats.matrices.members import chosen_member
from nsl_tools.formats.matrices.reader import MatrixEmbeddings
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.formats.matrices.matrix import Numbers


class Hdf5Embeddings(MatrixEmbeddings):
    """Reads the rows of a data set: `--array` or `file.h5:/name` names it, or the only matrix."""

    format_name = "HDF5"
    suffixes = (".h5", ".hdf5", ".he5")
    magic = (b"\x89HDF\r\n\x1a\n",)
    uses = frozenset({"ids", "array"})

    @contextlib.contextmanager
    def opened_matrix(self, path: str) -> Iterator[NumberMatrix]:
        """Open the matrix of a file."""
        h5py = required("h5py", path, "hdf5")
        members: dict[str, bool] = {}

        def add(name: str, found: Any) -> None:
            if isinstance(found, h5py.Dataset):
                members[name] = len(found.shape or ()) == 2  # noqa: PLR2004 - rows and columns

        with (
            opened(path) as file,
            hdf5_errors_as_data_errors(path),
            h5py.File(file, "r") as archive,
        ):
            archive.visititems(add)
            name = chosen_member(path, members, self._options.array)
            dataset = dataset_of(path, archive, name)
            yield DatasetMatrix(path, dataset, memory_of(self._options).limit // 16)


def dataset_of(path: str, archive: Any, name: str) -> Any:
    """Return a data set of an open file.

    Raises:
        DataError: there is none of the name, or its values are in other files, which nobody
            compares with what they were, and in which libhdf5 ends the process.
    """
    h5py = required("h5py", path, "hdf5")
    if not isinstance(archive.get(name, getlink=True), h5py.HardLink):
        raise DataError(path, "", f"{name!r} is no data set of this file")
    found = archive.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(path, "", f"{name!r} is no data set")
    if found.is_virtual or found.external:
        raise DataError(path, "", f"the values of {name!r} are in other files: copy them into one")
    return found


class DatasetMatrix(NumberMatrix):
    """A data set of an open file."""

    def __init__(self, path: str, dataset: Any, most_bytes: int) -> None:
        """Take a data set, of which blocks take no more than `most_bytes`."""
        if dataset.dtype.kind == "V":  # as bfloat16 has in `.npy` alone
            raise DataError(path, "", f"{dataset.name!r} is of {dataset.dtype}, {EXPECTED}")
        super().__init__(path, dataset.shape or (), dataset.dtype)
        self._dataset = dataset
        self._most_bytes = most_bytes

    def rows_at_once(self, block_bytes: int) -> int:
        """Return how many rows to read together: those of whole chunks, if that is not too many."""
        rows = super().rows_at_once(block_bytes)
        # A chunk may be compressed, and is decompressed anew for each block that has a part of it.
        chunk = (self._dataset.chunks or (1,))[0]
        whole = -(-rows // chunk) * chunk
        return whole if whole * self.row_bytes <= self._most_bytes else rows

    def read(self, first: int, count: int) -> Numbers:
        """Return rows."""
        with hdf5_errors_as_data_errors(self.path):
            block = np.empty((count, self.shape[1]), self.dtype)
            self._dataset.read_direct(block, np.s_[first : first + count])
            return block


@contextlib.contextmanager
def hdf5_errors_as_data_errors(path: str) -> Iterator[None]:
    """Turn what a library says of a file into a DataError."""
    try:
        yield
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as err:
        raise DataError(path, "", f"cannot be read as HDF5: {err}") from err
