"""Node ids: bytes that both a TSV column and an Example feature can hold."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.arrays.byte_spans import Bytes, Places, copy_spans, offsets_of
from nsl_tools.arrays.fingerprints import leading_words, texts_of
from nsl_tools.errors import DataError, UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import MemoryBudget, sufficient_for
from nsl_tools.tuning import TUNING

_SHORT = 16  # bytes of an id that are compared as two 64-bit numbers
MOST_BYTES = (1 << 31) - 1
"""Bytes of all texts of a binary array of Arrow, whose offsets have 32 bits."""


def id_problem(node: bytes) -> str | None:
    """Return what is wrong with an id, or None: ids are non-empty UTF-8 without control marks."""
    if not node:
        return "the id is empty"
    if any(mark in node for mark in b"\t\r\n\0"):
        return f"the id {shown(node)} holds a tab, CR, LF or NUL"
    try:
        node.decode()
    except UnicodeDecodeError:
        return f"the id {shown(node)} is not UTF-8"
    return None


def first_bad_id(ids: Sequence[bytes]) -> int | None:
    """Return the index of the first id that `id_problem` objects to, or None."""
    joined = b"\n".join(ids)
    separators = max(len(ids) - 1, 0)
    if (
        all(ids)
        and joined.count(b"\n") == separators
        and not any(map(joined.count, (b"\t", b"\r", b"\0")))
    ):
        try:
            joined.decode()
        except UnicodeDecodeError:
            pass
        else:
            return None
    return next(i for i, node in enumerate(ids) if id_problem(node))


def certainly_valid(ids: pa.Array) -> bool:
    """Tell whether all ids are plain: not empty, ASCII, and without the first control marks."""
    offsets, every = texts_of(ids)
    data = every[offsets[0] : offsets[-1]]
    first, after_last = 14, 128  # ASCII but for the first control marks: tab, LF, CR and NUL
    plain = data.min(initial=first) >= first and data.max(initial=0) < after_last
    return bool(plain and (offsets[1:] > offsets[:-1]).all())


def shown(text: bytes, limit: int = 60) -> str:
    """Return bytes for a message: quoted, escaped, at most `limit` of them."""
    quoted = repr(text[:limit].decode(errors="backslashreplace"))
    return quoted if len(text) <= limit else f"{quoted}..."


def id_ranks(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the rank of each of n ids in sorted order, from 0, shape (n,).

    Ids compare as bytes, which for UTF-8 is the order of code points.
    """
    order = _order(ids)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _order(ids: pa.Array) -> Places:
    """Return the rows of n ids, each of which occurs once, in the order of their bytes."""
    if np.diff(texts_of(ids)[0]).max(initial=0) <= _SHORT:
        high, low = leading_words(ids)
        later = (high[1:] > high[:-1]) | (high[1:] == high[:-1]) & (low[1:] > low[:-1])
        if later.all():
            return np.arange(len(ids))
        return np.lexsort((low, high)) if low.any() else np.argsort(high)
    most_bytes = 1 << 22  # that the list of ids may copy
    few = len(ids) < TUNING.few_to_sort
    if few and np.ptp(texts_of(ids)[0][[0, -1]]) < most_bytes:
        return np.array(sorted(range(len(ids)), key=ids.to_pylist().__getitem__), np.int64)
    import pyarrow.compute as pc

    return np.asarray(pc.array_sort_indices(ids).to_numpy(), np.int64)


def texts_at(data: Bytes, starts: Places, lengths: Places) -> pa.Array:
    """Return the texts of `lengths` bytes at `starts` of `data`, shapes (m,), as a binary array."""
    places = offsets_of(lengths)
    out = np.empty(places[-1], np.uint8)
    copy_spans(data, starts, lengths, out, places[:-1])
    return texts_of_bounds(places, out)


def texts_of_bounds(bounds: Places, data: Bytes | bytearray) -> pa.Array:
    """Return n texts, end to end in `data`, not more than `MOST_BYTES`, as a binary array.

    Args:
        bounds: where each starts, and where the last ends, shape (n + 1,).
        data: their bytes.
    """
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(bounds) - 1, buffers)


class IdColumn:
    """The ids of all nodes, appended in batches, to be in memory together.

    It grows in place: the ids are not copied at the end.
    """

    def __init__(self, source: str, memory: MemoryBudget) -> None:
        """Take a share of the memory; `source` is a file, for messages."""
        self._source = source
        self._memory = memory
        self._data = bytearray()
        self._lengths = [np.empty(0, np.int32)]
        self._size = self._count = 0

    @property
    def bytes(self) -> int:
        """How much memory its nodes take."""
        beside = 24  # bytes of a node: where its id is, its norm, its scale, its rank
        return self._size + beside * self._count

    def add(self, ids: pa.Array) -> None:
        """Append the ids of a binary array; those beyond the limit are only counted."""
        offsets, data = texts_of(ids)
        text = data[offsets[0] : offsets[-1]]
        self._size += len(text)
        self._count += len(ids)
        if self._size > MOST_BYTES or self.bytes > self._memory.bound("ids"):
            self._data = bytearray()
            self._lengths.clear()
        else:
            self._data += text.data
            self._lengths.append(np.diff(offsets))

    def array(self) -> pa.Array:
        """Return all as a binary array.

        Raises:
            UsageError: they take more memory than they may.
            DataError: they are too long for one array.
        """
        what = f"the ids of {self._count:,} nodes, {shown_size(self._size)} together"
        if self.bytes > self._memory.bound("ids"):
            needed = sufficient_for(self.bytes, "ids")
            raise UsageError(
                f"--memory-limit: expected at least {shown_size(needed)} for {what}, "
                f"received {shown_size(self._memory.limit)}"
            )
        if self._size > MOST_BYTES:
            problem = f"{what}, expected {shown_size(MOST_BYTES)} at most: shorten them"
            raise DataError(self._source, "", problem)
        bounds = offsets_of(np.concatenate(self._lengths))
        self._lengths.clear()
        return texts_of_bounds(bounds, self._data)
