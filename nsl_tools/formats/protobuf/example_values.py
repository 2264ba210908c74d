"""The values of many encoded features at once, whose spans `example_columns` finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
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
    from nsl_tools.formats.protobuf.varints import Words


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
    few = 1 << 15  # bytes: copying one by one takes fewer steps than span by span
    if offsets[-1] < few:
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
    # With zeros behind it, no word reaches past the end.
    values = Reader(np.append(content, np.zeros(WORD_BYTES, np.uint8))).words(starts)
    values &= _digit_bits().take(sizes, mode="clip")
    _join_digits(values, longest)
    for place in range(WORD_BYTES, longest):
        rows = np.flatnonzero(sizes > place)
        digits = content[starts[rows] + place] & np.uint8(CONTINUED - 1)
        values[rows] |= digits.astype(np.uint64) << np.uint64(7 * place)
    return Values(values.view(np.int64), np.searchsorted(ends, offsets, side="right"))


@cache
def _digit_bits() -> Words:
    """Return the bits of a word that are digits, by the bytes of a varint, shape (9,)."""
    digits = (bytes([CONTINUED - 1] * size) for size in range(WORD_BYTES + 1))
    return np.array([int.from_bytes(each, "little") for each in digits], np.uint64)


def _join_digits(words: Words, longest: int) -> None:
    """Push the seven digits of each byte, of up to `longest`, together, in place."""
    # Those of two bytes, then of four, then of eight.
    joins = (1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF)
    for width, low in joins:
        if longest > width:
            upper = words >> np.uint64(width)
            upper &= np.uint64(low << 7 * width)
            words &= np.uint64(low)
            words |= upper


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
