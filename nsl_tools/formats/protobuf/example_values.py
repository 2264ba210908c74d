"""The values of many encoded features at once, whose spans `example_columns` finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import copy_spans, gather, offsets_of
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES, Spans, sole_contents, walk
from nsl_tools.formats.protobuf.varints import WORD_BYTES, Reader
from nsl_tools.formats.protobuf.wire import CONTINUED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.arrays.byte_spans import Bytes, Places

_FEW_BYTES = 1 << 15  # that are copied one by one: fewer steps than span by span
_DIGIT_MASK = np.uint64(CONTINUED - 1)  # of the 7 bits of a number in each byte of a varint
_DIGITS_OF = np.array(
    [int.from_bytes(bytes([CONTINUED - 1] * size), "little") for size in range(WORD_BYTES + 1)],
    np.uint64,
)
"""By the bytes of a varint, the bits of a word that are its digits."""
_JOINS = [
    (1, np.uint64(0x007F007F007F007F)),
    (2, np.uint64(0x00003FFF00003FFF)),
    (4, np.uint64(0x000000000FFFFFFF)),
]
"""Of a step that joins digits: bytes on either side, and the bits of the lower ones."""


@dataclass(frozen=True)
class Values:
    """The values of n features, those of one behind those of the other.

    Attributes:
        flat: all of them, shape (m,): float32, int64, or bytes as objects.
        offsets: where those of each feature start, and where the last end, shape (n + 1,).
    """

    flat: npt.NDArray[Any] = field(repr=False)
    offsets: Places = field(repr=False)

    @property
    def lengths(self) -> Places:
        """How many values each feature has, shape (n,)."""
        return np.diff(self.offsets)

    def of_groups(self, count: int, rows: slice) -> Values:
        """Return the values of some rows of each of `count` groups, all of as many features."""
        size = (len(self.offsets) - 1) // count
        bounds = [self.offsets[first : first + size + 1] for first in range(0, size * count, size)]
        parts = [self.flat[b[rows.start] : b[rows.stop]] for b in bounds]
        lengths = [np.diff(b[rows.start : rows.stop + 1]) for b in bounds]
        return Values(np.concatenate(parts), offsets_of(np.concatenate(lengths)))


def kinds_of(data: Bytes, features: Spans) -> Bytes:
    """Return the kind (`example.Kind`) of each canonical feature, 0 of an empty one: shape (n,)."""
    kinds: Bytes = data.take(features.starts, mode="clip")
    return np.where(features.starts < features.ends, kinds, 0)


def values_of(data: Bytes, features: Spans, kind: int) -> Values:
    """Return the values of canonical features, all of which are of one kind, or empty.

    Args:
        data: the bytes that hold them.
        features: n of them.
        kind: what they are, of `example.Kind`.
    """
    kinds, runs = sole_contents(data, features)
    if kind == example.Kind.BYTES:
        return _texts(data, features, kinds, runs)
    # Numbers are one run, and a feature without one has no numbers.
    none = kinds == 0
    starts = np.where(none, 0, runs.starts)
    lengths = np.where(none, 0, runs.lengths)
    content = _end_to_end(data, starts, lengths)
    offsets = offsets_of(lengths)
    if kind == example.Kind.FLOAT:
        return Values(content.view("<f4"), offsets // FLOAT_BYTES)
    return _integers(content, offsets)


def _end_to_end(data: Bytes, starts: Places, lengths: Places) -> Bytes:
    if len(lengths) and (lengths == lengths[0]).all():
        return np.ascontiguousarray(gather(data, starts, int(lengths[0]))).reshape(-1)
    offsets = offsets_of(lengths)
    if offsets[-1] < _FEW_BYTES:
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return data.take(places)
    out = np.empty(offsets[-1], np.uint8)
    copy_spans(data, starts, lengths, out, offsets[:-1])
    return out


def _integers(content: Bytes, offsets: Places) -> Values:
    """Return the numbers that runs of varints hold, which end at `offsets` in `content`."""
    ends = np.flatnonzero(content < CONTINUED) + 1
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 0, ends[:-1]
    sizes = ends - starts
    longest = int(sizes.max(initial=0))
    values = Reader(content).words(starts)
    values &= _DIGITS_OF.take(sizes, mode="clip")
    # Seven bits of each byte are digits: join those of two bytes, then of four, then of eight.
    for width, low in _JOINS:
        if longest > width:
            values = values & low | values >> np.uint64(width) & low << np.uint64(7 * width)
    for place in range(WORD_BYTES, longest):
        rows = np.flatnonzero(sizes > place)
        digits = content[starts[rows] + place].astype(np.uint64) & _DIGIT_MASK
        values[rows] |= digits << np.uint64(7 * place)
    return Values(values.view(np.int64), np.searchsorted(ends, offsets, side="right"))


def _texts(data: Bytes, features: Spans, kinds: Bytes, sole: Spans) -> Values:
    """Return the texts of features; `kinds` are those of the ones that have one text alone."""
    one = kinds == example.Kind.BYTES
    several = np.flatnonzero(~one & (features.starts < features.ends))
    owners, spans, odd = _several(Reader(data), features, several)
    owners = np.append(np.flatnonzero(one), owners)
    starts, ends = (np.append(a[one], b) for a, b in zip(sole, spans, strict=True))
    order = np.argsort(owners, kind="stable")
    content = data.tobytes()
    pieces = map(slice, starts[order].tolist(), ends[order].tolist())
    texts = _objects((content[piece] for piece in pieces), len(order))
    values = Values(texts, offsets_of(np.bincount(owners, minlength=len(kinds))))
    if not len(odd):
        return values
    return _with(values, {row: _walked(content, features, row) for row in odd.tolist()})


def _several(reader: Reader, features: Spans, rows: Places) -> tuple[Places, Spans, Places]:
    """Find the texts of the features at `rows`.

    Returns:
        The row of each text, ascending; where it is; rows that are left to the walk.
    """
    _, starts, ends = reader.fields(features.starts[rows])
    filled = starts < ends
    rows, lists = rows[filled], Spans(starts, ends).at(filled)
    whole = np.ones(len(rows), np.bool_)
    owners, steps, places = walk(reader, lists, whole)
    tags, *spans = reader.fields(places)
    whole[owners[tags != example.ITEM]] = False
    kept = np.flatnonzero(whole[owners])
    kept = kept[np.lexsort((steps[kept], owners[kept]))]
    return rows[owners[kept]], Spans(*spans).at(kept), rows[~whole]


def _walked(content: bytes, features: Spans, row: int) -> list[bytes]:
    return example.decode_bytes(content[features.starts[row] : features.ends[row]])


def _with(values: Values, others: dict[int, list[bytes]]) -> Values:
    """Return texts with those of some features replaced, by row."""
    rows = np.split(values.flat, values.offsets[1:-1])
    texts = [others.get(row, found) for row, found in enumerate(rows)]
    lengths = np.array(list(map(len, texts)), np.int64)
    return Values(_objects(chain.from_iterable(texts), int(lengths.sum())), offsets_of(lengths))


def _objects(texts: Iterable[bytes], count: int) -> npt.NDArray[Any]:
    return np.fromiter(texts, object, count)
