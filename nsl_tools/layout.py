"""Parsing many examples of one byte layout at once.

Most files hold records of a few layouts only: the same features, in the same
order, of the same lengths. A `Layout` is taken from one parsed record: the
bytes that give the structure (tags, lengths, names; in packed int64 values the
continuation bits) against those that only hold content. Another record of the
same length and structure bytes parses to the same spans, so one vectorised
comparison replaces the walk. The walk (`example.parse`) remains the reference,
for every record that no known layout fits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools import example
from nsl_tools.spans import Bytes, all_equal, by_length, gather
from nsl_tools.wire import WireError, fields, read_varint, write_varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.spans import Places

_LAYOUTS_PER_LENGTH = 4
_CONTINUATION_BIT = 0x80
_ALL_BITS = 0xFF
_MOST_SPANS = 4096
"""Values and features of a record whose layout is worth to be known."""
_MOST_BYTES = 1 << 25
"""Of layouts that are known; more are forgotten, all together."""
_SPAN_BYTES, _PIECE_BYTES = 250, 350
"""Objects of a feature, and of a piece of structure."""


class Layout:
    """The structure of one canonical record: which bytes must match, where features are.

    Attributes:
        spans: start and end of each feature, by name, in order.
        head: bytes before the feature map.
        length: of the record.
        nbytes: about how much memory it takes.
    """

    def __init__(
        self,
        payload: bytes,
        features: Iterable[tuple[bytes, int, int]],
        contents: Iterable[tuple[int, int, int]],
    ) -> None:
        """Take the layout of `payload` from the spans of its features and of their content.

        Args:
            payload: a canonical record.
            features: name, start and end of each.
            contents: bits that are structure, start and end of each content.
        """
        self.spans = {name: (start, end) for name, start, end in features}
        self.head = read_varint(payload, 1, len(payload))[1]
        self.length = len(payload)
        record = np.frombuffer(payload, np.uint8)
        self._pieces: list[tuple[slice, int, Bytes]] = [
            (slice(a, b), bits, record[a:b] & np.uint8(bits))
            for bits, a, b in _structure(contents, len(payload))
        ]
        sizes = sum(piece.nbytes for _, _, piece in self._pieces)
        self.nbytes = sizes + sum(map(len, self.spans)) + _SPAN_BYTES * len(self.spans)
        self.nbytes += _PIECE_BYTES * len(self._pieces)

    def matches(self, records: Bytes) -> npt.NDArray[np.bool_]:
        """Tell for each row of `records`, shape (n, length), whether it has this layout."""
        fits = np.ones(len(records), np.bool_)
        for span, bits, template in self._pieces:
            # Where all bits count, which is nearly everywhere, they need no picking.
            found = records[:, span] if bits == _ALL_BITS else records[:, span] & np.uint8(bits)
            if not all_equal(found, template):
                fits &= (found == template).all(axis=1)
        return fits


def _structure(
    contents: Iterable[tuple[int, int, int]], end: int
) -> Iterator[tuple[int, int, int]]:
    """Yield which bits are structure, from where to where: all, but in the contents."""
    position = 0
    for bits, a, b in contents:
        if a == b:
            continue
        if position < a:
            yield _ALL_BITS, position, a
        if bits:
            yield bits, a, b
        position = b
    if position < end:
        yield _ALL_BITS, position, end


@dataclass(frozen=True)
class Group:
    """The m records of a batch that have one layout.

    Attributes:
        layout: theirs; what it fits is in canonical form.
        rows: their places in the batch, ascending, shape (m,).
        records: their bytes, shape (m, layout.length), possibly a view.
    """

    layout: Layout
    rows: npt.NDArray[np.intp]
    records: Bytes

    def features(self, index: int) -> example.Features:
        """Return the features of the record at `index` of this group."""
        payload = self.records[index].tobytes()
        return {name: payload[start:end] for name, (start, end) in self.layout.spans.items()}


@dataclass(frozen=True)
class Parsed:
    """A batch of n parsed records: each is in one group or walked.

    Attributes:
        groups: those that a layout fits.
        walked: features of the others, by place in the batch, ascending; their
            serialization may not be canonical.
        unknown: what else is in those of them that hold more than features.
    """

    groups: list[Group]
    walked: dict[int, example.Features]
    unknown: dict[int, example.Unknown] = field(default_factory=dict)

    def features(self, index: int) -> example.Features:
        """Return the features of the record at `index` of the batch."""
        if index in self.walked:
            return self.walked[index]
        for group in self.groups:
            place = int(np.searchsorted(group.rows, index))
            if place < len(group.rows) and group.rows[place] == index:
                return group.features(place)
        raise IndexError(index)

    def whole(self, index: int) -> example.Features:
        """Return the features of a walked record with the unknown fields in them."""
        features = self.walked[index]
        return {**features, **self.unknown[index].values} if index in self.unknown else features


def _feature_spans(
    payload: bytes, features: example.Features
) -> list[tuple[bytes, int, int]] | None:
    """Return each feature's name and span, if `payload` is their canonical serialization."""
    before = [before_value(name, len(feature)) for name, feature in features.items()]
    head = b"%c%b" % (
        example.ITEM,
        write_varint(sum(map(len, before)) + sum(map(len, features.values()))),
    )
    spans = []
    fits, position = payload.startswith(head), len(head)
    for start, (name, feature) in zip(before, features.items(), strict=True):
        place = position + len(start)
        # No copy is made of either: it may be as large as a record may be.
        fits = fits and payload.startswith(start, position) and payload.startswith(feature, place)
        position = place + len(feature)
        spans.append((name, place, position))
    return spans if fits and position == len(payload) else None


def before_value(name: bytes, length: int) -> bytes:
    """Return what comes before a value of `length` bytes in an entry of a feature map."""
    inner = b"%c%b%b" % (example.ITEM, write_varint(len(name)), name)
    inner += b"%c%b" % (example.VALUE, write_varint(length))
    return b"%c%b%b" % (example.ITEM, write_varint(len(inner) + length), inner)


def _content_spans(payload: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the structure bits, start and end of each value of a canonical feature."""
    if start == end:
        return
    _, first = read_varint(payload, start + 1, end)
    bits = _CONTINUATION_BIT if payload[start] == example.INT64_LIST else 0
    for _, a, b in fields(payload, first, end):
        yield bits, a, b


class ExampleParser:
    """Parses batches of serialized examples, learning their layouts as it goes."""

    def __init__(self) -> None:
        self._layouts: dict[int, list[Layout]] = {}
        self._bytes = 0

    def parse(self, data: bytes, starts: Places, ends: Places) -> Parsed:
        """Parse the records that lie from `starts` to `ends` in `data`, shapes (n,).

        Raises:
            ExampleError: one is not an Example; its `index` says which.
        """
        if self._bytes > _MOST_BYTES:
            self._layouts.clear()
            self._bytes = 0
        groups: list[Group] = []
        walked: dict[int, example.Features] = {}
        unknown: dict[int, example.Unknown] = {}
        for length, rows in by_length(ends - starts):
            rest = self._parse_equal_lengths(data, starts, length, rows, groups)
            for row in rest.tolist():
                payload = data[starts[row] : ends[row]]
                walked[row], more = _parse_one(payload, row)
                if more:
                    unknown[row] = more
        return Parsed(groups, dict(sorted(walked.items())), unknown)

    def _parse_equal_lengths(
        self,
        data: bytes,
        starts: Places,
        length: int,
        rows: npt.NDArray[np.intp],
        groups: list[Group],
    ) -> npt.NDArray[np.intp]:
        """Add groups of `rows`, which have `length`; return those that no layout fits."""
        layouts = self._layouts.setdefault(length, [])
        records = gather(np.frombuffer(data, np.uint8), starts[rows], length)
        tried = 0
        while length and len(rows):
            if tried == len(layouts) and not self._learn(layouts, records[0], int(rows[0])):
                break
            fits = layouts[tried].matches(records)
            if fits.all():
                groups.append(Group(layouts[tried], rows, records))
                return rows[:0]
            if fits.any():
                groups.append(Group(layouts[tried], rows[fits], records[fits]))
            rows, records = rows[~fits], records[~fits]
            tried += 1
        return rows

    def _learn(self, layouts: list[Layout], record: Bytes, row: int) -> bool:
        """Add the layout of a record, in place `row`, if it is canonical and there is room."""
        if len(layouts) == _LAYOUTS_PER_LENGTH or self._bytes > _MOST_BYTES:
            return False
        payload = record.tobytes()
        spans = _feature_spans(payload, _parse_one(payload, row)[0])
        if spans is None or len(spans) > _MOST_SPANS:
            return False
        each = (_content_spans(payload, start, end) for _, start, end in spans)
        contents = list(islice(chain.from_iterable(each), _MOST_SPANS + 1))
        if len(contents) > _MOST_SPANS:
            return False
        layouts.append(Layout(payload, spans, contents))
        self._bytes += layouts[-1].nbytes
        return True


def _parse_one(payload: bytes, index: int) -> tuple[example.Features, example.Unknown]:
    try:
        features, unknown = example.parse_whole(payload)
    except WireError as err:
        raise ExampleError(index, f"not a tf.train.Example: {err}") from err
    if unknown.outside and example.holds_feature_lists(unknown):
        problem = "a tf.train.SequenceExample with feature lists, expected a tf.train.Example"
        raise ExampleError(index, problem)
    return features, unknown


class ExampleError(ValueError):
    """The payload at `index` of a batch is not an Example, or not the one expected.

    `reason` is the kind of problem, under which it is counted if it is skipped.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index
        self.reason = "not a tf.train.Example"
