"""The ids of all rows, for the few rows where the text itself matters: ties and messages."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.fingerprints import texts_of
from nsl_tools.ids import id_ranks, texts_at
from nsl_tools.scratch import ScratchFile
from nsl_tools.spans import offsets_of

if TYPE_CHECKING:
    import contextlib

    from nsl_tools.spans import Bytes

Rows = npt.NDArray[np.int64]

_FEW = 16
"""For fewer than one in so many rows, not all ids are ranked."""
_RANK_BYTES = 60
"""What ranking all ids needs for each, beside the ids themselves, while it runs."""


class IdTexts:
    """Ids, appended in batches; beyond an allowance they lie in a scratch file."""

    def __init__(self, allowance: float, stack: contextlib.ExitStack) -> None:
        """Keep up to `allowance` bytes in memory; `stack` closes the scratch file."""
        self._allowance = allowance
        self._stack = stack
        self._data = bytearray()
        self._file: ScratchFile | None = None
        self._size = 0
        self._firsts: list[int] = []
        self._pieces: list[tuple[int, npt.NDArray[np.uint32] | int]] = []
        self._count = 0
        self._ranks: Rows | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, ids: pa.Array) -> None:
        """Append the ids of the next rows."""
        offsets, data = texts_of(ids)
        lengths = np.diff(offsets)
        uniform = len(lengths) and (lengths == lengths[0]).all()
        self._firsts.append(self._count)
        self._pieces.append((self._size, int(lengths[0]) if uniform else lengths.astype(np.uint32)))
        self._append(data[offsets[0] : offsets[-1]])
        self._count += len(ids)

    def _append(self, data: Bytes) -> None:
        self._size += len(data)
        self._data += data.data
        if len(self._data) > self._allowance:
            if self._file is None:
                self._file = self._stack.enter_context(ScratchFile())
            self._file.write(self._data)
            self._data.clear()

    def fetch(self, rows: Rows) -> pa.Array:
        """Return the ids of ascending `rows`, shape (m,), as a binary array."""
        none = np.empty(0, np.int64)
        parts = [texts_at(np.empty(0, np.uint8), none, none)]
        start = 0
        while start < len(rows):
            piece = bisect_right(self._firsts, int(rows[start])) - 1
            after = self._firsts[piece + 1] if piece + 1 < len(self._firsts) else self._count
            end = int(np.searchsorted(rows, after))
            parts.append(self._of_piece(piece, rows[start:end] - self._firsts[piece]))
            start = end
        return pa.concat_arrays(parts)

    def _of_piece(self, piece: int, rows: Rows) -> pa.Array:
        offset, lengths = self._pieces[piece]
        if isinstance(lengths, int):
            starts, sizes = rows * lengths, np.full(len(rows), lengths, np.int64)
            end = int(starts[-1]) + lengths
        else:
            offsets = offsets_of(lengths.astype(np.int64))
            starts, sizes = offsets[rows], lengths[rows].astype(np.int64)
            end = int(offsets[-1])
        return texts_at(self._read(offset, end), starts, sizes)

    def _read(self, offset: int, size: int) -> Bytes:
        """Return `size` bytes from `offset`; a piece is wholly in the file or in memory."""
        written = 0 if self._file is None else self._file.size
        if offset >= written:
            start = offset - written
            return np.frombuffer(bytes(self._data[start : start + size]), np.uint8)
        found = np.empty(size, np.uint8)
        if self._file is not None:
            self._file.read_into(found.data, offset)
        return found

    def ranks(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered, by bytes."""
        many = len(rows) * _FEW > self._count
        fits = self._count * _RANK_BYTES + self._size < self._allowance
        if self._ranks is None and many and fits:
            self._ranks = id_ranks(self.fetch(np.arange(self._count)))
        if self._ranks is not None:
            return self._ranks[rows]
        distinct, places = np.unique(rows, return_inverse=True)
        return id_ranks(self.fetch(distinct))[places]
