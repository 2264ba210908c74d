"""Encoded neighbours: one block of bytes each, with gaps for rank and weight.

A block holds the map entries that a neighbour adds to a packed example: its
edge's weight, then its features. Names hold the rank: all ranks of as many
digits give names, and so entries and blocks, of equal length, so that one block
serves them all once the digits are put into their places. Where these are follows the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nsl_tools.arrays.byte_spans import Texts, by_value, copy_spans, fill, gather, offsets_of, put
from nsl_tools.feature_names import NEIGHBOR_PREFIX, WEIGHT_NAME, neighbor_weight
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES
from nsl_tools.formats.protobuf.varints import put_varints, varint_sizes
from nsl_tools.formats.protobuf.wire import MAX_LENGTH
from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.formats.protobuf.example_columns import Parsed
    from nsl_tools.formats.protobuf.lockstep import Spans

_PREFIX = NEIGHBOR_PREFIX.encode()
GAP_BYTES = 4
"""For the place of a gap in its block."""


@dataclass(frozen=True)
class Blocks:
    """The blocks of n neighbours.

    Attributes:
        lengths: bytes of each block, shape (n,).
        gaps: how many places of digits follow it, uint32 each, counted from its start.
        data: all of it, end to end.
    """

    lengths: Places
    gaps: Places
    data: Bytes


def make_blocks(
    parsed: Parsed, rows: Places, digits: Places, rename_weight: str | None = None
) -> Blocks:
    """Return the block of the record at each of `rows`, for ranks of so many digits, shapes (n,).

    Raises:
        ExampleError: a neighbour has a feature called `weight`, which is not to be renamed, or
            is too long.
    """
    if parsed.alike and len(rows) and (digits == digits[0]).all():
        return _alike_blocks(parsed, rows, digits[:1], rename_weight)
    at_once = 1 << 16  # features, unless one record has more; each takes 300 bytes meanwhile
    features = np.cumsum(np.diff(parsed.bounds)[rows])
    cuts = np.flatnonzero(np.diff(features // at_once)) + 1
    parts = [
        _blocks(parsed, some, own, rename_weight)[0]
        for some, own in zip(np.split(rows, cuts), np.split(digits, cuts), strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    lengths, gaps, data = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("lengths", "gaps", "data")
    )
    return Blocks(lengths, gaps, data)


def _alike_blocks(
    parsed: Parsed, rows: Places, digits: Places, rename_weight: str | None
) -> Blocks:
    """Return blocks that differ in the content of values alone."""
    one, places = _blocks(parsed, rows[:1], digits, rename_weight)
    out = np.tile(one.data, (len(rows), 1))
    values = parsed.bounds[rows]
    for column, place in enumerate(places.tolist()):
        starts, ends = parsed.values.at(values + column)
        size = int(ends[0] - starts[0])
        out[:, place : place + size] = gather(parsed.data, starts, size)
    lengths, gaps = np.repeat(one.lengths, len(rows)), np.repeat(one.gaps, len(rows))
    return Blocks(lengths, gaps, out.ravel())


def _blocks(
    parsed: Parsed, rows: Places, digits: Places, rename_weight: str | None
) -> tuple[Blocks, Places]:
    """Return blocks, and the place of each feature's value in them."""
    counts = np.diff(parsed.bounds)[rows]
    owner, firsts = np.repeat(np.arange(len(rows)), counts), offsets_of(counts)
    features = np.arange(len(owner)) + (parsed.bounds[rows] - firsts[:-1])[owner]
    numbers = parsed.names[features]
    new = _new_name(parsed.known, numbers, rows[owner], rename_weight)
    entries = _Entries(parsed.known, new, numbers, digits[owner], parsed.values.at(features))
    weights = Texts([_weight_entry(count) for count in range(int(digits.max(initial=0)) + 1)])
    before = weights.lengths[digits]
    within = offsets_of(entries.lengths)
    lengths = before + np.diff(within[firsts])
    _refuse_long(rows, lengths)
    bounds = offsets_of(lengths + GAP_BYTES * (counts + 1))
    starts, behind = bounds[:-1], bounds[:-1] + lengths
    out = np.empty(bounds[-1], np.uint8)
    weights.write(digits, out, starts)
    places = within[:-1] + (starts + before - within[firsts[:-1]])[owner]
    values = entries.write(parsed.data, out, places)
    first_gap = _weight_entry(0).index(_PREFIX) + len(_PREFIX)
    _put_numbers(np.full(len(rows), first_gap), out, behind)
    ordinal = np.arange(len(owner)) - firsts[owner] + 1
    _put_numbers(places + entries.gaps - starts[owner], out, behind[owner] + GAP_BYTES * ordinal)
    return Blocks(lengths, counts + 1, out), values


def _put_numbers(numbers: Places, out: Bytes, places: Places) -> None:
    put(numbers.astype("<u4").view(np.uint8).reshape(-1, GAP_BYTES), out, places)


def _packed_name(digits: int, name: bytes) -> bytes:
    """Return the name of a neighbour's feature, all digits of its rank zero."""
    return _PREFIX + b"0" * digits + b"_" + name


def _weight_entry(digits: int) -> bytes:
    name = _packed_name(digits, WEIGHT_NAME.encode())
    return example.encode_entry(name, example.encode_floats([0.0]))


def weight_places(digits: Places) -> Places:
    """Return where in a block, for ranks of so many digits, the bytes of the edge's weight are."""
    return len(_weight_entry(0)) - FLOAT_BYTES + digits


class _NewName(NamedTuple):
    """The number of the name that is another in blocks, -1 if none is, and that other name."""

    number: int
    name: bytes


class _Entries:
    """The map entries of m features of neighbours: a head, and what is copied from a name on.

    Attributes:
        lengths: of each, shape (m,).
        gaps: where in it the digits of the rank are.
    """

    def __init__(
        self, known: Sequence[bytes], new: _NewName, numbers: Places, digits: Places, values: Spans
    ) -> None:
        """Take features by the `numbers` of their names, for ranks of so many digits.

        Args:
            known: all names, each of which stands before the values of its features.
            new: the one that is not copied.
            numbers: of names, shape (m,).
            digits: how many the ranks have, shape (m,).
            values: where encoded features are.
        """
        self._digits, self._values, self._new_name = digits, values, new.name
        self._is_new = (numbers == new.number).astype(np.int64)
        old = np.array([len(name) * (i != new.number) for i, name in enumerate(known)], np.int64)
        names = old[numbers]
        self._copied = names + 1 + varint_sizes(values.lengths) + values.lengths
        added = len(_packed_name(0, b"")) + digits + len(new.name) * self._is_new
        self._names = names + added
        self._name_sizes = varint_sizes(self._names)
        self._inner = 1 + self._name_sizes + added + self._copied
        self._inner_sizes = varint_sizes(self._inner)
        self.lengths = 1 + self._inner_sizes + self._inner
        self.gaps = 2 + self._inner_sizes + self._name_sizes + len(_PREFIX)

    def write(self, data: Bytes, out: Bytes, places: Places) -> Places:
        """Write them to `places`, and return where values are; `data` holds the values."""
        ends = places + self.lengths
        starts = ends - self._copied
        copy_spans(data, self._values.ends - self._copied, self._copied, out, starts)
        for kind, rows in by_value((2 * self._digits + self._is_new).astype(np.int8)):
            name = _packed_name(kind // 2, self._new_name * (kind % 2))
            fill(name, out, starts[rows] - len(name))
        out[places] = example.ITEM
        put_varints(self._inner, self._inner_sizes, out, places + 1)
        places = places + 1 + self._inner_sizes
        out[places] = example.ITEM
        put_varints(self._names, self._name_sizes, out, places + 1)
        return np.asarray(ends - self._values.lengths)


def _refuse_long(rows: Places, lengths: Places) -> None:
    """Raise ExampleError if the block of one of `rows` is longer than a record may be."""
    too_long = np.flatnonzero(lengths > MAX_LENGTH)
    if len(too_long):
        raise ExampleError(
            int(rows[too_long[0]]),
            f"this example takes {shown_size(lengths[too_long[0]])} as a neighbour, at most "
            f"{shown_size(MAX_LENGTH)} can be read",
        )


def _new_name(
    known: Sequence[bytes], numbers: Places, rows: Places, new_name: str | None
) -> _NewName:
    """Return which of the names that are `known` is another when neighbours are packed."""
    if WEIGHT_NAME.encode() not in known:
        return _NewName(-1, b"")
    weight = known.index(WEIGHT_NAME.encode())
    holders = rows[numbers == weight]
    if new_name is None and len(holders):
        raise ExampleError(
            int(holders.min()),
            f"a neighbour has a feature {WEIGHT_NAME!r}, which the edge weight "
            f"{neighbor_weight(0)!r} would overwrite: rename it, or give --rename-weight",
        )
    renamed = (new_name or WEIGHT_NAME).encode()
    if renamed in known:
        both = np.intersect1d(holders, rows[numbers == known.index(renamed)])
        if len(both):
            raise ExampleError(
                int(both[0]),
                f"a neighbour has a feature {new_name!r} already: give another --rename-weight",
            )
    return _NewName(weight, renamed)
