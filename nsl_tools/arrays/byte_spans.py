"""Spans of bytes in one array: windows onto it, and copies of many spans at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def windows(data: Bytes, length: int) -> Bytes:
    """Return every window of `length` bytes of `data`, shape (n - length + 1, length), a view."""
    count = max(len(data) - length + 1, 0)
    view: Bytes = np.ndarray((count, length), np.uint8, data, strides=(1, 1))
    return view


def gather(data: Bytes, starts: Places, length: int) -> Bytes:
    """Return the spans of `length` bytes at `starts`, shape (m, length); a view where it can be."""
    if len(starts) == 1:
        return windows(data, length)[int(starts[0]) : int(starts[0]) + 1]
    if len(starts) > 1:
        steps = np.diff(starts)
        if steps[0] > 0 and (steps == steps[0]).all():
            last = int(starts[-1]) + 1
            return windows(data, length)[int(starts[0]) : last : int(steps[0])]
    return picked(data, starts, length)


def picked(data: Bytes, starts: Places, length: int) -> Bytes:
    """Return copies of the spans of `length` bytes at `starts`, shape (m, length)."""
    if not length:
        return windows(data, 0)[starts]
    return _items(data, length)[starts].view(np.uint8).reshape(-1, length)


def all_equal(rows: Bytes, row: Bytes) -> bool:
    """Tell whether each of `rows`, shape (m, length), each of which is end to end, equals `row`."""
    if not len(row):
        return True
    items: npt.NDArray[np.void] = rows.view(_item(len(row)))
    return items.tobytes() == row.tobytes() * len(rows)


def put(rows: Bytes, out: Bytes, places: Places) -> None:
    """Copy `rows`, shape (m, length), each of which is end to end, to `places` in `out`."""
    if length := rows.shape[1]:
        _items(out, length)[places] = rows.view(_item(length))[:, 0]


def fill(text: bytes, out: Bytes, places: Places) -> None:
    """Copy one text to many `places` in `out`."""
    if text:
        _items(out, len(text))[places] = np.frombuffer(text, _item(len(text)))


def _items(data: Bytes, length: int) -> npt.NDArray[np.void]:
    """Return the windows as one item each: numpy copies these several times as fast as rows."""
    count = max(len(data) - length + 1, 0)
    view: npt.NDArray[np.void] = np.ndarray((count,), _item(length), data, strides=(1,))
    return view


def _item(length: int) -> np.dtype[np.void]:
    return np.dtype((np.void, length))


def by_value(values: npt.NDArray[np.integer]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each value that occurs, ascending, with the indices of those that have it."""
    if not len(values):
        return
    if (values == values[0]).all():
        yield int(values[0]), np.arange(len(values))
        return
    order = np.argsort(values, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        yield int(values[rows[0]]), rows


def copy_spans(data: Bytes, starts: Places, lengths: Places, out: Bytes, places: Places) -> None:
    """Copy the spans at `starts` of `data`, of `lengths` bytes, to `places` in `out`."""
    if not len(lengths):
        return
    if (lengths == lengths[0]).all():
        _copy_equal(data, starts, int(lengths[0]), out, places)
        return
    few = 16  # spans that are copied one by one
    long = 1 << 12  # bytes of a span; from here on each is copied by itself
    # The exponent of a float is the place of its highest bit.
    widths = (np.frexp(lengths.astype(np.float32))[1] - 1).astype(np.int8)
    for exponent, rows in by_value(widths):
        width = 1 << exponent if exponent >= 0 else 0
        begin, target, length = starts[rows], places[rows], lengths[rows]
        if len(rows) < few or width >= long:
            spans = zip(begin.tolist(), target.tolist(), length.tolist(), strict=True)
            for start, place, size in spans:
                out[place : place + size] = data[start : start + size]
            continue
        # The first bytes, a power of two of them, and the last ones, are all.
        _copy_equal(data, begin, width, out, target)
        _copy_equal(data, begin + length - width, width, out, target + length - width)


def _copy_equal(data: Bytes, starts: Places, length: int, out: Bytes, places: Places) -> None:
    if length:
        put(gather(data, starts, length), out, places)


def offsets_of(lengths: Places) -> Places:
    """Return where each of n spans, end to end, starts, and where the last ends: shape (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Texts:
    """A few texts, to be copied to many places.

    Attributes:
        lengths: of each, shape (n,).
    """

    def __init__(self, texts: list[bytes]) -> None:
        self.lengths = np.array(list(map(len, texts)), np.int64)
        self._texts = texts

    def write(self, which: npt.NDArray[np.intp], out: Bytes, places: Places) -> None:
        """Copy the text with each number to its place."""
        for number, rows in by_value(which):
            fill(self._texts[number], out, places[rows])
