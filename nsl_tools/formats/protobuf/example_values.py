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
from nsl_tools.formats.protobuf.varints import Reader
from nsl_tools.formats.protobuf.wire import CONTINUED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.arrays.byte_spans import Bytes, Places

_DIGITS = 7  # bits of a number in each byte of a varint
_DIGIT_MASK = np.uint64((1 << _DIGITS) - 1)


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
    out = np.empty(lengths.sum(), np.uint8)
    copy_spans(data, starts, lengths, out, offsets_of(lengths)[:-1])
    return out


def _integers(content: Bytes, offsets: Places) -> Values:
    """Return the numbers that runs of varints hold, which end at `offsets` in `content`."""
    ends = np.flatnonzero(content < CONTINUED) + 1
    starts = np.append(0, ends[:-1])
    sizes = ends - starts
    values = np.zeros(len(ends), np.uint64)
    for place in range(int(sizes.max(initial=0))):
        rows = slice(None) if not place else np.flatnonzero(sizes > place)
        digits = content[starts[rows] + place].astype(np.uint64) & _DIGIT_MASK
        values[rows] |= digits << np.uint64(_DIGITS * place)
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
