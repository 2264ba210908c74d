"""Embeddings in `.npz` files: one of the arrays that `numpy.savez` put into a zip file."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError
from nsl_tools.files.readings import opened
from nsl_tools.files.streams import CHUNK
from nsl_tools.formats.matrices.matrix import ColumnMatrix, NumberMatrix, check_size
from nsl_tools.formats.matrices.members import chosen_member
from nsl_tools.formats.matrices.npy import matrix_of
from nsl_tools.formats.matrices.npy_header import read_header
from nsl_tools.formats.matrices.reader import MatrixEmbeddings
from nsl_tools.spill.scratch import Spool

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

    from nsl_tools.files.streams import ByteStream


class NpzEmbeddings(MatrixEmbeddings):
    """Reads the rows of an array: the one that `--array` names, or the only matrix."""

    format_name = ".npz"
    suffixes = (".npz",)
    magic = (b"PK\x03\x04",)
    uses = frozenset({"ids", "array"})

    @contextlib.contextmanager
    def opened_matrix(self, path: str) -> Iterator[NumberMatrix]:
        """Open the matrix of a file."""
        import zipfile  # here, since it takes 10 ms to import, and few need it

        with opened(path) as file, zip_errors_as_data_errors(path):
            archive = zipfile.ZipFile(file)
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
            members = {name: _is_matrix(path, archive, f"{name}.npy") for name in names}
            name = f"{chosen_member(path, members, self._options.array)}.npy"
            with archive.open(name) as stream, contextlib.ExitStack() as stack:
                header = read_header(path, stream)
                matrix = matrix_of(path, header, stream)
                found = archive.getinfo(name).file_size - header.bytes
                check_size(path, found, matrix.shape, matrix.dtype)
                if isinstance(matrix, ColumnMatrix):
                    # Its columns are read piece by piece, which a zip file does not let us.
                    copy = stack.enter_context(_copied(stream))
                    matrix = ColumnMatrix(path, header.shape, header.dtype, (copy, 0))
                yield matrix


def _is_matrix(path: str, archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as stream:
        return len(read_header(path, stream).shape) == 2  # noqa: PLR2004 - rows and columns


@contextlib.contextmanager
def _copied(stream: ByteStream) -> Iterator[Spool]:
    with Spool() as spool:
        while data := stream.read(CHUNK):
            spool.write(data)
        yield spool


@contextlib.contextmanager
def zip_errors_as_data_errors(path: str) -> Iterator[None]:
    """Turn what `zipfile` says of a file into a DataError."""
    import zipfile

    try:
        yield
    # NotImplementedError: of an unknown compression; RuntimeError: encrypted.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as err:
        raise DataError(path, "", f"cannot be read as .npz: {err}") from err
