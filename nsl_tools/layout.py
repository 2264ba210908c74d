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
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools import example
from nsl_tools.spans import Bytes, all_equal, by_length, gather
from nsl_tools.wire import WireError, fields, read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.spans import Places

_LAYOUTS_PER_LENGTH = 4
_CONTINUATION_BIT = 0x80
_ALL_BITS = 0xFF


class Layout:
    """The structure of one canonical record: which bytes must match, where features are.

    Attributes:
        spans: start and end of each feature, by name, in order.
        head: bytes before the feature map.
        length: of the record.
    """

    def __init__(self, payload: bytes, features: example.Features) -> None:
        mask = np.full(len(payload), _ALL_BITS, np.uint8)
        self.spans: dict[bytes, tuple[int, int]] = {}
        for name, start, end in _feature_spans(payload, features):
            self.spans[name] = (start, end)
            for a, b, bits in _content_spans(payload[start:end]):
                mask[start + a : start + b] = bits
        self.head = read_varint(payload, 1, len(payload))[1]
        self.length = len(payload)
        record = np.frombuffer(payload, np.uint8)
        self._pieces = [
            (slice(a, b), mask[a], record[a:b] & mask[a:b]) for a, b in _equal_runs(mask) if mask[a]
        ]

    def matches(self, records: Bytes) -> npt.NDArray[np.bool_]:
        """Tell for each row of `records`, shape (n, length), whether it has this layout."""
        fits = np.ones(len(records), np.bool_)
        for span, bits, template in self._pieces:
            # Where all bits count, which is nearly everywhere, they need no picking.
            found = records[:, span] if bits == _ALL_BITS else records[:, span] & bits
            if not all_equal(found, template):
                fits &= (found == template).all(axis=1)
        return fits


def _equal_runs(values: Bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of equal values."""
    borders = np.flatnonzero(np.diff(values)) + 1
    yield from zip([0, *borders.tolist()], [*borders.tolist(), len(values)], strict=True)


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


def _feature_spans(payload: bytes, features: example.Features) -> Iterator[tuple[bytes, int, int]]:
    """Yield each feature's name and span in its canonical serialization."""
    _, position = read_varint(payload, 1, len(payload))
    for name, feature in features.items():
        position += len(example.encode_entry(name, feature))
        yield name, position - len(feature), position


def _content_spans(feature: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield `(start, end, structure bits)` of the values in a canonical feature."""
    if not feature:
        return
    _, start = read_varint(feature, 1, len(feature))
    bits = _CONTINUATION_BIT if feature[0] == example.INT64_LIST else 0
    for _, a, b in fields(feature, start, len(feature)):
        yield a, b, bits


class ExampleParser:
    """Parses batches of serialized examples, learning their layouts as it goes."""

    def __init__(self) -> None:
        self._layouts: dict[int, list[Layout]] = {}

    def parse(self, data: bytes, starts: Places, ends: Places) -> Parsed:
        """Parse the records that lie from `starts` to `ends` in `data`, shapes (n,).

        Raises:
            ExampleError: one is not an Example; its `index` says which.
        """
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
            if tried == len(layouts) and not _learn(layouts, records[0].tobytes(), int(rows[0])):
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


def _learn(layouts: list[Layout], payload: bytes, row: int) -> bool:
    """Add the layout of `payload`, record `row`, if it is canonical and there is room."""
    if len(layouts) == _LAYOUTS_PER_LENGTH:
        return False
    features, _ = _parse_one(payload, row)
    if example.encode(features) != payload:
        return False
    layouts.append(Layout(payload, features))
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
