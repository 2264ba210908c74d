"""Parsing many examples at once: each feature of each becomes a span of bytes.

The records of a batch are walked in lockstep: first the entries of all feature maps, one of
each at a time, whatever their lengths; then what is in them, for all entries together. So as
many steps are made as a record has features, not as there are records. Records that are not
in canonical form, the one that protobuf itself writes, are walked one by one and encoded anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import Bytes, all_equal, gather, offsets_of
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.lockstep import Flags, Spans, features_of, sole_contents, walk
from nsl_tools.formats.protobuf.name_numbers import numbered
from nsl_tools.formats.protobuf.varints import Reader, length_sizes
from nsl_tools.formats.protobuf.wire import CONTINUED, WireError
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from nsl_tools.arrays.byte_spans import Places

_ALL_BITS = 0xFF  # of a byte


@dataclass(frozen=True)
class Odd:
    """What a record holds beside features.

    Attributes:
        outside: bytes of unknown fields of the Example, which follow its feature map.
        is_counted: whether there are any, or unknown fields among the entries of the map.
    """

    outside: int
    is_counted: bool


@dataclass(frozen=True)
class Parsed:
    """A batch of n parsed records, which have m features together.

    Attributes:
        data: the bytes of the batch, and behind them those of records that were encoded anew.
        maps: where the entries of each record's features are, n of them.
        bounds: record i has the features from `bounds[i]` to `bounds[i + 1]`, shape (n + 1,).
        names: the place in `known` of each feature's name, shape (m,).
        values: where each encoded feature is, m of them.
        known: all names.
        odd: what else is in those records that hold more than features.
        plain: features without the unknown fields in them, by record and name.
        alike: whether all records are known to differ in the content of values alone.
    """

    data: Bytes = field(repr=False)
    maps: Spans
    bounds: Places
    names: Places
    values: Spans
    known: list[bytes]
    odd: dict[int, Odd] = field(default_factory=dict)
    plain: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    alike: bool = False

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def nbytes(self) -> int:
        """About how much memory it takes beside `data`."""
        arrays = (*self.maps, self.bounds, self.names, *self.values)
        name = 100  # bytes of one as an object, beside its text
        other = 300  # bytes of an odd record, or a feature without its unknown fields, as objects
        texts = sum(map(len, self.known)) + name * len(self.known)
        odd = other * (len(self.odd) + len(self.plain)) + sum(map(len, self.plain.values()))
        return texts + odd + sum(array.nbytes for array in arrays)

    def features(self, index: int) -> example.Features:
        """Return the features of the record at `index`."""
        rows = range(*self.bounds[index : index + 2].tolist())
        found = {self.known[self.names[i]]: self.bytes_at(self.values, i) for i in rows}
        plain = {name: value for (row, name), value in self.plain.items() if row == index}
        return {**found, **plain}

    def bytes_at(self, spans: Spans, index: int) -> bytes:
        """Return the bytes of one of `spans`."""
        return self.data[spans.starts[index] : spans.ends[index]].tobytes()

    def column(self, name: bytes) -> Spans:
        """Return where the feature `name` of each record is, an empty span where it has none."""
        starts, ends = np.zeros((2, len(self)), np.int64)
        if name in self.known:
            places, rows = self.having(self.known.index(name))
            starts[rows], ends[rows] = self.values.at(places)
        return Spans(starts, ends)

    def only(self, names: Container[bytes]) -> Parsed:
        """Return the records with no other features than those of these names."""
        wanted = np.array([name in names for name in self.known], np.bool_)
        kept = wanted[self.names]
        before = offsets_of(kept.astype(np.int64))
        return replace(
            self, bounds=before[self.bounds], names=self.names[kept], values=self.values.at(kept)
        )

    def having(self, name: int) -> tuple[Places, Places]:
        """Return the features that have a name, by its place in `known`, and their records."""
        if self.alike:
            first = np.flatnonzero(self.names[: self.bounds[1]] == name)
            rows = np.arange(len(self)) if len(first) else first
            return self.bounds[rows] + first, rows
        places = np.flatnonzero(self.names == name)
        return places, np.searchsorted(self.bounds, places, side="right") - 1


class ExampleError(ValueError):
    """The payload at `index` of a batch is not an Example, or not the one expected.

    `reason` is the kind of problem, under which it is counted if it is skipped.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index
        self.reason = "not a tf.train.Example"


class ExampleParser:
    """Parses batches of serialized examples."""

    def __init__(self) -> None:
        self._pattern: _Pattern | None = None

    def parse(self, data: bytes, starts: Places, ends: Places) -> Parsed:
        """Parse the records that lie from `starts` to `ends` in `data`, shapes (n,).

        Raises:
            ExampleError: one is not an Example; its `index` says which.
        """
        reader = Reader(np.frombuffer(data, np.uint8))
        if len(starts) > TUNING.alike_records and (ends - starts == ends[0] - starts[0]).all():
            record = reader.data[starts[0] : ends[0]]
            if self._pattern is None or not self._pattern.fits(record[np.newaxis]):
                self._pattern = _Pattern(record)
            if found := self._pattern.parsed(reader.data, starts):
                return found
        return _parse(reader, data, starts, ends)


def _parse(reader: Reader, data: bytes, starts: Places, ends: Places) -> Parsed:
    tags, *maps = reader.fields(starts)
    fits = (tags == example.ITEM) & (maps[1] == ends)
    parsed = _canonical(reader, Spans(*maps), fits)
    if fits.all():
        return parsed
    again = _Anew(len(data), parsed.known)
    for row in np.flatnonzero(~fits).tolist():
        again.add(row, data[starts[row] : ends[row]])
    return again.joined(data, parsed, fits)


def _canonical(reader: Reader, maps: Spans, fits: Flags) -> Parsed:
    """Parse records that are canonical; set `fits` to False for those that are not."""
    filled = np.flatnonzero(fits & (maps.starts < maps.ends))
    whole = np.ones(len(filled), np.bool_)
    rows, steps, starts = walk(reader, maps.at(filled), whole)
    rows = filled[rows]
    bounds, (starts,) = _in_order(rows, steps, len(fits), starts)
    ends = np.append(starts[1:], 0)
    ends[bounds[1:][filled] - 1] = maps.ends[filled]
    contents = starts + 1 + length_sizes(ends - starts - 1)
    numbers, places, known = numbered(reader, contents)
    good = (numbers >= 0) & (reader.data.take(starts) == example.ITEM)
    values = features_of(reader, places + 1, ends, good)
    rows = np.repeat(np.arange(len(fits)), np.diff(bounds))
    fits[rows[~good]] = False
    fits[filled[~whole]] = False
    _refuse_repeated(rows, numbers, len(known), fits)
    return Parsed(reader.data, maps, bounds, numbers, values, known)


class _Pattern:
    """A record, and those that differ from it in the content of values alone.

    Most files hold such records; one look at each byte then replaces the walk.
    """

    def __init__(self, record: Bytes) -> None:
        """Take a record, which must be an Example, as the first of those to compare with it."""
        payload = record.tobytes()
        reader, ends = Reader(np.frombuffer(payload, np.uint8)), np.array([len(payload)])
        self._one = _parse(reader, payload, np.array([0]), ends)
        self._pieces = list(_structure(self._one))
        self._length = len(record)  # less than of its data, if it was encoded anew

    def fits(self, records: Bytes) -> bool:
        """Tell whether all of `records`, shape (n, length), are such."""
        one = self._one.data
        return records.shape[1] == self._length == len(one) and all(
            all_equal(records[:, piece], one[piece])
            if bits == _ALL_BITS
            else not ((records[:, piece] ^ one[piece]) & np.uint8(bits)).any()
            for piece, bits in self._pieces
        )

    def parsed(self, data: Bytes, starts: Places) -> Parsed | None:
        """Parse the records of this length at `starts` in `data`; None if some are others."""
        one = self._one
        if not self.fits(gather(data, starts, self._length)):
            return None
        maps, values = (
            Spans(*(np.add.outer(starts, places).ravel() for places in spans))
            for spans in (one.maps, one.values)
        )
        bounds = np.arange(len(starts) + 1) * len(one.names)
        names = np.tile(one.names, len(starts))
        return Parsed(data, maps, bounds, names, values, one.known, alike=True)


def _structure(one: Parsed) -> Iterator[tuple[slice, int]]:
    """Yield each piece that is equal in all records that are alike, and which of its bits are."""
    kinds, contents = sole_contents(one.data, one.values)
    position = 0
    for kind, start, end in zip(kinds.tolist(), *(p.tolist() for p in contents), strict=True):
        if kind and start < end:
            yield slice(position, start), _ALL_BITS
            position = end
        if kind == example.Kind.INT64:
            yield slice(start, end), CONTINUED
    yield slice(position, len(one.data)), _ALL_BITS


def _refuse_repeated(rows: Places, names: Places, count: int, fits: Flags) -> None:
    """Set `fits` to False for records that have one of `count` names twice."""
    pairs = np.sort(rows * (count + 1) + names)  # -1 is for those without a number
    fits[pairs[1:][pairs[1:] == pairs[:-1]] // (count + 1)] = False


def _in_order(
    rows: Places, steps: Places, count: int, *columns: Places
) -> tuple[Places, Iterator[Places]]:
    """Return where the features of each record start, shape (count + 1,), and columns by record.

    Args:
        rows: the record of each feature, shape (m,).
        steps: how many features of the record come before it.
        count: how many records there are.
        columns: something of each feature.
    """
    bounds = offsets_of(np.bincount(rows, minlength=count))
    places = np.empty(len(rows), np.int64)
    places[bounds[rows] + steps] = np.arange(len(rows))
    return bounds, (column[places] for column in columns)


class _Anew:
    """Records that are walked one by one, and encoded anew behind the others."""

    def __init__(self, end: int, known: list[bytes]) -> None:
        """Encode them from `end` on, with names that are `known` or added to them."""
        self._end = end
        self._parts: list[bytes] = []
        self._known = {name: number for number, name in enumerate(known)}
        self._rows: list[int] = []
        self._maps: list[tuple[int, int]] = []
        self._features: list[tuple[int, int, int, int, int]] = []
        self._odd: dict[int, Odd] = {}
        self._plain: dict[tuple[int, bytes], bytes] = {}

    def add(self, row: int, payload: bytes) -> None:
        """Add a record."""
        features, unknown = _walked(payload, row)
        start = self._end
        for step, (name, value) in enumerate({**features, **unknown.values}.items()):
            self._append(example.before_value(name, len(value)))
            number = self._known.setdefault(name, len(self._known))
            self._features.append((row, step, number, self._end, self._end + len(value)))
            self._append(value)
        self._append(bytes(unknown.among))
        self._rows.append(row)
        self._maps.append((start, self._end))
        self._append(bytes(unknown.outside))
        if unknown:
            is_counted = bool(unknown.outside or unknown.among)
            self._odd[row] = Odd(len(unknown.outside), is_counted)
            self._plain.update({(row, name): features[name] for name in unknown.values})

    def _append(self, part: bytes) -> None:
        self._parts.append(part)
        self._end += len(part)

    def joined(self, data: bytes, parsed: Parsed, fits: Flags) -> Parsed:
        """Return them together with those of the `parsed` records that fit."""
        array = np.frombuffer(b"".join([data, *self._parts]), np.uint8)
        self._parts.clear()
        parsed.maps.starts[self._rows], parsed.maps.ends[self._rows] = np.array(self._maps).T
        counts = np.diff(parsed.bounds)
        kept = np.repeat(fits, counts)
        rows = np.repeat(np.arange(len(fits)), counts)
        steps = np.arange(len(rows)) - parsed.bounds[rows]
        others = (rows, steps, parsed.names, *parsed.values)
        own = np.array(self._features, np.int64).reshape(-1, len(others)).T
        every = (np.append(other[kept], mine) for other, mine in zip(others, own, strict=True))
        rows, steps, *columns = every
        bounds, (names, *values) = _in_order(rows, steps, len(fits), *columns)
        spans, known = Spans(*values), list(self._known)
        return Parsed(array, parsed.maps, bounds, names, spans, known, self._odd, self._plain)


def _walked(payload: bytes, index: int) -> tuple[example.Features, example.Unknown]:
    try:
        features, unknown = example.parse_whole(payload)
    except WireError as err:
        raise ExampleError(index, f"not a tf.train.Example: {err}") from err
    if unknown.outside and example.holds_feature_lists(unknown):
        problem = "a tf.train.SequenceExample with feature lists, expected a tf.train.Example"
        raise ExampleError(index, problem)
    return features, unknown
