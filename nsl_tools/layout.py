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

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools import example
from nsl_tools.wire import WireError, fields, read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LAYOUTS_PER_LENGTH = 4
_CONTINUATION_BIT = 0x80


class Layout:
    """The structure of one canonical record: which bytes must match, where features are."""

    def __init__(self, payload: bytes, features: example.Features) -> None:
        mask = np.full(len(payload), 0xFF, np.uint8)
        self._spans: list[tuple[bytes, int, int]] = []
        for name, start, end in _feature_spans(payload, features):
            self._spans.append((name, start, end))
            for a, b, bits in _content_spans(payload[start:end]):
                mask[start + a : start + b] = bits
        self._columns = np.flatnonzero(mask)
        self._bits = mask[self._columns]
        self._template = np.frombuffer(payload, np.uint8)[self._columns] & self._bits

    def matches(self, records: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Tell for each row of `records`, shape (n, length), whether it has this layout."""
        found = records[:, self._columns] & self._bits
        return np.asarray((found == self._template).all(axis=1))

    def cut(self, payload: bytes) -> example.Features:
        """Return the features of a record that matches."""
        return {name: payload[start:end] for name, start, end in self._spans}


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

    def parse(self, payloads: Sequence[bytes]) -> tuple[list[example.Features], frozenset[int]]:
        """Parse each payload, in order, and tell which ones no layout fitted.

        The serialization of those that a layout fitted is canonical.

        Raises:
            ExampleError: one is not an Example; its `index` says which.
        """
        parsed: list[example.Features | None] = [None] * len(payloads)
        for length, rows in _rows_by_length(payloads):
            self._parse_equal_lengths(payloads, length, rows, parsed)
        walked = frozenset(i for i, features in enumerate(parsed) if features is None)
        return [
            _parse_one(payloads[i], i) if features is None else features
            for i, features in enumerate(parsed)
        ], walked

    def _parse_equal_lengths(
        self,
        payloads: Sequence[bytes],
        length: int,
        rows: npt.NDArray[np.intp],
        parsed: list[example.Features | None],
    ) -> None:
        layouts = self._layouts.setdefault(length, [])
        joined = b"".join(map(payloads.__getitem__, rows.tolist()))
        records = np.frombuffer(joined, np.uint8).reshape(len(rows), length)
        tried = 0
        while len(rows):
            if tried == len(layouts) and not _learn(layouts, payloads, int(rows[0])):
                return
            layout = layouts[tried]
            tried += 1
            fits = layout.matches(records)
            for row in rows[fits].tolist():
                parsed[row] = layout.cut(payloads[row])
            rows, records = rows[~fits], records[~fits]


def _rows_by_length(
    payloads: Sequence[bytes],
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    if not len(lengths):
        return
    order = np.argsort(lengths, kind="stable")
    bounds = np.flatnonzero(np.diff(lengths[order])) + 1
    for rows in np.split(order, bounds):
        if lengths[rows[0]]:
            yield int(lengths[rows[0]]), rows


def _learn(layouts: list[Layout], payloads: Sequence[bytes], row: int) -> bool:
    """Add the layout of record `row`, if it is canonical and there is room."""
    if len(layouts) == _LAYOUTS_PER_LENGTH:
        return False
    features = _parse_one(payloads[row], row)
    if example.encode(features) != payloads[row]:
        return False
    layouts.append(Layout(payloads[row], features))
    return True


def _parse_one(payload: bytes, index: int) -> example.Features:
    try:
        return example.parse(payload)
    except WireError as err:
        raise ExampleError(index, f"not a tf.train.Example: {err}") from err


class ExampleError(ValueError):
    """The payload at `index` of a batch is not an Example, or not the one expected.

    `reason` is the kind of problem, under which it is counted if it is skipped.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index
        self.reason = "not a tf.train.Example"
