"""The ids of all rows, for the few rows whose text itself is needed: for ties and messages."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import copy_spans, offsets_of
from nsl_tools.arrays.fingerprints import texts_of
from nsl_tools.arrays.ids import MOST_BYTES, id_ranks, texts_of_bounds
from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.spill.scratch import ScratchFile

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    import pyarrow as pa

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.memory_budget import MemoryBudget

Rows = npt.NDArray[np.int64]


class IdTexts:
    """Ids, appended in batches; beyond a memory budget they lie in a scratch file."""

    def __init__(self, memory: MemoryBudget, stack: contextlib.ExitStack) -> None:
        """Keep a share of the memory; `stack` closes the scratch file."""
        self._memory = memory
        self._budget = memory.share("id_texts")
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

    @property
    def mean_size(self) -> float:
        """How many bytes an id has on average."""
        return self._size / max(1, self._count)

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
        if len(self._data) > self._budget:
            if self._file is None:
                self._file = self._stack.enter_context(ScratchFile())
            self._file.write(self._data)
            self._data.clear()

    def fetch(self, rows: Rows) -> pa.Array:
        """Return the ids of ascending `rows`, shape (m,), as a binary array."""
        spans = list(self._spans(rows))
        places = offsets_of(np.concatenate([rows[:0], *(lengths for _, _, lengths in spans)]))
        out = np.empty(places[-1], np.uint8)
        done = 0
        for offset, starts, lengths in spans:
            own = places[done : done + len(starts) + 1]
            self._fill(out[own[0] : own[-1]], offset, starts, lengths)
            done += len(starts)
        return texts_of_bounds(places, out)

    def _spans(self, rows: Rows) -> Iterator[tuple[int, Places, Places]]:
        """Yield for each piece its start, and the starts in it and lengths of texts of `rows`."""
        start = 0
        while start < len(rows):
            piece = bisect_right(self._firsts, int(rows[start])) - 1
            after = self._firsts[piece + 1] if piece + 1 < len(self._firsts) else self._count
            end = int(np.searchsorted(rows, after))
            offset, lengths = self._pieces[piece]
            own = rows[start:end] - self._firsts[piece]
            if isinstance(lengths, int):
                yield offset, own * lengths, np.full(len(own), lengths, np.int64)
            else:
                sizes = lengths.astype(np.int64)
                yield offset, offsets_of(sizes)[own], sizes[own]
            start = end

    def _fill(self, out: Bytes, offset: int, starts: Places, lengths: Places) -> None:
        """Put the texts of one piece end to end into `out`."""
        first, last = int(starts[0]), int(starts[-1] + lengths[-1])
        written = self._file is not None and offset < self._file.size
        # Where most of it is not asked for, each text is read by itself.
        if self._file is not None and written and last - first > 4 * len(out):
            spans = zip((offset + starts).tolist(), lengths.tolist(), strict=True)
            self._file.read_spans(out.data, spans)
            return
        data = self._read(offset + first, last - first)
        copy_spans(data, starts - first, lengths, out, offsets_of(lengths)[:-1])

    def _read(self, offset: int, size: int) -> Bytes:
        """Return `size` bytes from `offset`; a piece is wholly in the file or in memory."""
        written = 0 if self._file is None else self._file.size
        if offset >= written:
            start = offset - written
            return np.array(memoryview(self._data)[start : start + size], np.uint8)
        found = np.empty(size, np.uint8)
        if self._file is not None:
            self._file.read_into(found.data, offset)
        return found

    def ranks(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered, by bytes.

        Raises:
            UsageError: their ids are longer together than may be in memory.
        """
        many = len(rows) * 16 > self._count
        ranking = 60  # bytes that it takes for each id, beside the id itself
        needed = self._count * ranking + self._size
        fits = needed < self._budget and self._size <= MOST_BYTES
        if self._ranks is None and many and fits:
            self._ranks = id_ranks(self.fetch(np.arange(self._count)))
        if self._ranks is not None:
            return self._ranks[rows]
        distinct, places = np.unique(rows, return_inverse=True)
        self._refuse_long(distinct)
        return id_ranks(self.fetch(distinct))[places]

    def _refuse_long(self, rows: Rows) -> None:
        most = self._memory.bound("ranked_ids")
        if self._size <= min(most, MOST_BYTES):
            return
        size = sum(int(lengths.sum()) for _, _, lengths in self._spans(rows))
        what = f"{len(rows):,} ids, {shown_size(size)} together, which decide between edges of one "
        if size > most:
            needed = sufficient_for(size, "ranked_ids")
            raise UsageError(
                f"--memory-limit: expected at least {shown_size(needed)} for {what}"
                f"weight, received {shown_size(self._memory.limit)}"
            )
        if size > MOST_BYTES:
            raise UsageError(f"{what}weight, expected {shown_size(MOST_BYTES)} at most")
