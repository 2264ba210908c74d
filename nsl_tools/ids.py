"""Node ids: bytes that stand in a TSV column and in an Example feature alike."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.fingerprints import leading_words, texts_of
from nsl_tools.spans import Bytes, Places, copy_spans, offsets_of

_FORBIDDEN = b"\t\r\n\0"
_FEW = 50_000  # sorted sooner than pyarrow.compute is imported
_SHORT = 16  # bytes, which are two numbers


def id_problem(node: bytes) -> str | None:
    """Return what is wrong with an id, or None: ids are non-empty UTF-8 without control marks."""
    if not node:
        return "the id is empty"
    if any(mark in node for mark in _FORBIDDEN):
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


def shown(text: bytes, limit: int = 60) -> str:
    """Return bytes for a message: quoted, escaped, at most `limit` of them."""
    quoted = repr(text[:limit].decode(errors="backslashreplace"))
    return quoted if len(text) <= limit else f"{quoted}..."


def id_ranks(ids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the place of each of n ids in sorted order, shape (n,).

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
    if len(ids) < _FEW:
        return np.array(sorted(range(len(ids)), key=ids.to_pylist().__getitem__), np.int64)
    import pyarrow.compute as pc

    return np.asarray(pc.array_sort_indices(ids).to_numpy(), np.int64)


def texts_at(data: Bytes, starts: Places, lengths: Places) -> pa.Array:
    """Return the texts of `lengths` bytes at `starts` of `data`, shapes (m,), as a binary array."""
    places = offsets_of(lengths)
    out = np.empty(places[-1], np.uint8)
    copy_spans(data, starts, lengths, out, places[:-1])
    buffers = [None, pa.py_buffer(places.astype(np.int32)), pa.py_buffer(out)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(lengths), buffers)
