"""Embeddings in `.npy` files: a matrix, read by blocks of rows; their ids are in a text file.

A file is one array of two dimensions, of float16, float32 or float64, in C order. Its header
is text that looks like Python; it is matched, never evaluated, and compared with the size of
the file before anything is read.

Source of the format: NumPy's `numpy/lib/format.py`, versions 1.0 to 3.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.filesystem import state_of
from nsl_tools.files.readings import opened
from nsl_tools.formats.embedding_batch import EmbeddingReader
from nsl_tools.formats.id_lines import id_lines
from nsl_tools.formats.table_rows import Rows, UsableRows
from nsl_tools.memory import shown_size
from nsl_tools.options import (
    DEFAULT_EMBEDDING_FEATURE,
    DEFAULT_ID_FEATURE,
    DEFAULT_MAX_RECORD_BYTES,
    memory_of,
)
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from nsl_tools.formats.embedding_batch import Batches, NewRows
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.spill.matrix import Floats
    from nsl_tools.statistics import Statistics


def _header_patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what matches the dictionary that a header is, and each of its pairs."""
    gap, text, count = rb"[ \t\n]*", rb"'[^'\\]*'|\"[^\"\\]*\"", rb"(?:0|[1-9][0-9]{0,18})"
    numbers = rb"\(%b(?:%b%b,%b)*(?:%b%b)?\)" % (gap, count, gap, gap, count, gap)
    entry = rb"%b(?:%b)%b:%b(?:%b|True|False|%b)%b" % (gap, text, gap, gap, text, numbers, gap)
    dictionary = rb"\{%b,%b,%b(?:,%b)?\} *\n?" % (entry, entry, entry, gap)
    pair = rb"(%b)%b:%b(%b|True|False|%b)" % (text, gap, gap, text, numbers)
    return re.compile(dictionary), re.compile(pair)


_MAGIC = b"\x93NUMPY"
_DICTIONARY, _PAIR = _header_patterns()
_EXPECTED = "expected a matrix of floats in C order"


class NpyEmbeddings(EmbeddingReader):
    """Reads the rows of matrices; the ids of all are the lines of the one file `--ids`."""

    holds_ids = False

    def unused_options(self, *, seeded: bool) -> Iterator[tuple[str, object, object]]:
        """Yield the options that name or bound what only records have."""
        given = self._options
        yield "--embedding-feature-name", given.embedding_feature, DEFAULT_EMBEDDING_FEATURE
        if not seeded:
            yield "--max-record-bytes", given.max_record_bytes, DEFAULT_MAX_RECORD_BYTES
            yield "--id-feature-name", given.id_feature, DEFAULT_ID_FEATURE

    def expected_bytes(self) -> int:
        """Return how much memory the vectors of all files take.

        Raises:
            DataError: the header of one is not what it should be.
        """
        return sum(4 * rows * width for rows, width in map(shape_of, self._paths))

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:  # noqa: ARG002 - a row may be refused after it is read
        """Yield all rows that can be used, in order, as every reader does."""
        self._require_memory()
        usable = UsableRows(skipped.statistics)
        for rows in self._rows(skipped.statistics):
            yield from usable.batches(rows)

    def _require_memory(self) -> None:
        """Refuse files of which some rows do not fit the memory."""
        limit = memory_of(self._options).limit
        for path in self._paths:
            width = shape_of(path)[1]
            copies = 8  # of a row, each of up to 8 bytes for a number
            if (needed := copies * 8 * width) > limit:
                raise UsageError(
                    f"--memory-limit: expected at least {shown_size(needed)} for the rows of "
                    f"{path} ({width:,} numbers each), received {shown_size(limit)}"
                )

    def _rows(self, statistics: Statistics) -> Iterator[Rows]:
        with id_lines(str(self._options.ids), statistics) as lines:
            for path in self._paths:
                first = 0
                for vectors in read_rows(path, TUNING.table_bytes):
                    line = lines.taken + 1
                    ids = lines.take(len(vectors))
                    if len(ids) < len(vectors):
                        problem = f"{lines.taken:,} ids, expected one for each row of {path}"
                        raise DataError(lines.name, "", problem)
                    lengths = np.full(len(vectors), vectors.shape[1], np.int64)
                    none, values = np.empty(0, np.int64), vectors.reshape(-1)
                    yield Rows(path, first, ids, lengths, values, none, lines.name, line)
                    first += len(vectors)
            if more := lines.rest():
                problem = f"{lines.taken + more:,} ids, expected {lines.taken:,}, one for each row"
                raise DataError(lines.name, "", problem)


@dataclass(frozen=True)
class Matrix:
    """Where the numbers of a file are.

    Attributes:
        shape: rows and columns.
        kind: a float type, of either byte order.
        offset: byte where the first row starts.
    """

    shape: tuple[int, int]
    kind: np.dtype[np.floating]
    offset: int

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return self.shape[1] * self.kind.itemsize


def read_rows(path: str, block_bytes: int) -> Iterator[Floats]:
    """Yield all rows, in blocks of shape (m, d), of about `block_bytes` in the file.

    Numbers that float32 cannot hold are infinite.

    Raises:
        DataError: the file is not what it should be, or changed while it was read.
    """
    with opened(path) as file:
        matrix = read_header(path, file)
        file.seek(matrix.offset)
        step = max(1, block_bytes // matrix.row_bytes)
        for first in range(0, matrix.shape[0], step):
            yield _block(path, file, matrix, min(step, matrix.shape[0] - first))


def _block(path: str, file: BufferedReader, matrix: Matrix, rows: int) -> Floats:
    block = np.empty((rows, matrix.shape[1]), matrix.kind)
    if file.readinto(block.view(np.uint8).data) != block.nbytes:
        raise DataError(path, "", "ends early: it was cut while it was read")
    # What overflows, or is a signalling NaN, is reported as not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        return block.astype(np.float32, copy=False)


def shape_of(path: str) -> tuple[int, int]:
    """Return the shape of the matrix in a file.

    Raises:
        DataError: the file is not what it should be.
    """
    with opened(path) as file:
        return read_header(path, file).shape


def read_header(path: str, file: BufferedReader) -> Matrix:
    """Return what the header at the start of `file` says.

    Raises:
        DataError: it is not the header of a matrix of floats, or not that of this file.
    """
    header = _header_text(path, file)
    entries = {key[1:-1]: value for key, value in _PAIR.findall(header)}
    if not _DICTIONARY.fullmatch(header) or set(entries) != {b"descr", b"fortran_order", b"shape"}:
        raise DataError(path, "", f"the header is {shown(header)}, {_EXPECTED}")
    return _checked(path, entries, file.tell(), state_of(file.fileno()).size)


def _header_text(path: str, file: BufferedReader) -> bytes:
    head = file.read(len(_MAGIC) + 2)
    if not head.startswith(_MAGIC):
        raise DataError(path, "", f"not a .npy file: it starts with {shown(head)}")
    version = head[-2], head[-1]
    length_bytes = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
    if len(head) < len(_MAGIC) + 2 or version not in length_bytes:
        raise DataError(path, "", "not a .npy file of a known version: expected 1.0, 2.0 or 3.0")
    length = int.from_bytes(file.read(length_bytes[version]), "little")
    longest = 10_000  # bytes: as NumPy itself accepts
    if length > longest:
        problem = f"the header takes {length} bytes, expected at most {longest}"
        raise DataError(path, "", problem)
    header = file.read(length)
    if len(header) < length:
        raise DataError(path, "", f"the file is cut within its header of {length} bytes")
    return header


def _checked(path: str, entries: dict[bytes, bytes], offset: int, size: int) -> Matrix:
    kind, shape = entries[b"descr"], tuple(map(int, re.findall(rb"[0-9]+", entries[b"shape"])))
    order = entries[b"fortran_order"]
    is_matrix = entries[b"shape"].startswith(b"(") and len(shape) == 2  # noqa: PLR2004 - rows and columns
    if not is_matrix or not re.fullmatch(rb"['\"][<>=]?f[248]['\"]", kind):
        found = entries[b"shape"].decode(errors="replace")
        name = shown(kind.strip(b"'\""))
        raise DataError(path, "", f"shape {found} of {name}, {_EXPECTED}")
    if order not in (b"True", b"False") or (order == b"True" and min(shape) > 1):
        problem = f"shape {shape} in Fortran order, {_EXPECTED}: save numpy.ascontiguousarray of it"
        raise DataError(path, "", problem)
    if not shape[1]:
        raise DataError(path, "", "dimension 0, expected at least 1")
    matrix = Matrix((shape[0], shape[1]), np.dtype(kind[1:-1].decode()), offset)
    _check_size(path, matrix, size - offset)
    return matrix


def _check_size(path: str, matrix: Matrix, found: int) -> None:
    expected = matrix.shape[0] * matrix.row_bytes
    if found == expected:
        return
    cause = "the file is cut" if found < expected else "bytes follow the array"
    problem = (
        f"{found} bytes of numbers, expected {expected} for shape {matrix.shape} of "
        f"{matrix.kind}: {cause}"
    )
    raise DataError(path, "", problem)
