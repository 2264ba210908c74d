"""Many examples encoded at once, feature by feature: the bytes that `example.encode` gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import copy_spans, fill, offsets_of, put
from nsl_tools.formats.protobuf.example import ITEM, VALUE, Kind
from nsl_tools.formats.protobuf.varints import put_varints, varint_sizes
from nsl_tools.formats.protobuf.wire import CONTINUED, write_field
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed, frame_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Bytes, Places


@dataclass(frozen=True)
class Column:
    """A feature of n examples, its values encoded.

    Attributes:
        name: of the feature.
        kind: what the values are, of `example.Kind`.
        data: holds the values: texts as `text_items` gives them, little-endian float32, or
            int64 as `varints` gives them.
        bounds: where those of each example start, and where the last end, shape (n + 1,).
        present: which examples have the feature, shape (n,).
    """

    name: bytes
    kind: int
    data: Bytes = field(repr=False)
    bounds: Places = field(repr=False)
    present: npt.NDArray[np.bool_] = field(repr=False)


def encode_examples(columns: Sequence[Column]) -> Framed:
    """Return examples as records, end to end, yet to be given to `frames.seal`.

    Args:
        columns: at least one, all of as many examples; features are in their order.
    """
    entries = [_Entries(column) for column in columns]
    maps = np.sum([entry.sizes for entry in entries], axis=0)
    heads = 1 + varint_sizes(maps)
    ends = offsets_of(HEADER_BYTES + heads + maps + FOOTER_BYTES)
    out = np.empty(ends[-1], np.uint8)
    place = ends[:-1].copy()
    put(frame_headers(heads + maps), out, place)
    place += HEADER_BYTES
    out[place] = ITEM
    put_varints(maps, heads - 1, out, place + 1)
    place += heads
    for entry in entries:
        entry.write(out, place)
        place += entry.sizes
    return Framed(out, ends)


class _Entries:
    """The entries of one feature in the maps of n examples.

    Attributes:
        sizes: of the entries, 0 where there is none, shape (n,).
    """

    def __init__(self, column: Column) -> None:
        self._column = column
        self._name = write_field(ITEM, column.name)
        self._runs = np.diff(column.bounds)
        # Numbers are one run in their list, if there are any; texts are items as they are.
        numbers = column.kind != Kind.BYTES
        self._run_heads = (1 + varint_sizes(self._runs)) * (self._runs > 0) * numbers
        self._lists = self._run_heads + self._runs
        self._features = 1 + varint_sizes(self._lists) + self._lists
        self._inner = len(self._name) + 1 + varint_sizes(self._features) + self._features
        self.sizes = (1 + varint_sizes(self._inner) + self._inner) * column.present

    def write(self, out: Bytes, places: Places) -> None:
        """Write the entries to their places."""
        column = self._column
        rows = np.flatnonzero(column.present)
        place = places[rows].copy()
        for tag, lengths in (
            (ITEM, self._inner), (None, None), (VALUE, self._features), (column.kind, self._lists),
        ):  # fmt: skip
            if tag is None or lengths is None:
                fill(self._name, out, place)
                place += len(self._name)
            else:
                place += _put_field(tag, lengths[rows], out, place)
        headed = np.flatnonzero(self._run_heads[rows])
        place[headed] += _put_field(ITEM, self._runs[rows[headed]], out, place[headed])
        copy_spans(column.data, column.bounds[:-1][rows], self._runs[rows], out, place)


def _put_field(tag: int, lengths: Places, out: Bytes, places: Places) -> Places:
    """Write a tag and a length to each of `places`; return how many bytes they take."""
    sizes = varint_sizes(lengths)
    out[places] = tag
    put_varints(lengths, sizes, out, places + 1)
    return 1 + sizes


def text_items(data: Bytes, starts: Places, lengths: Places) -> tuple[Bytes, Places]:
    """Return texts as the items of lists, end to end, and their n + 1 bounds."""
    sizes = varint_sizes(lengths)
    bounds = offsets_of(1 + sizes + lengths)
    out = np.empty(bounds[-1], np.uint8)
    places = bounds[:-1]
    heads = _put_field(ITEM, lengths, out, places)
    copy_spans(data, starts, lengths, out, places + heads)
    return out, bounds


def varints(values: npt.NDArray[np.int64]) -> tuple[Bytes, Places]:
    """Return whole numbers as varints, end to end, and their n + 1 bounds."""
    left = values.view(np.uint64).copy()
    sizes = np.ones(len(values), np.int64)
    for bits in range(7, 64, 7):
        larger = left >= np.uint64(1 << bits)
        if not larger.any():
            break
        sizes += larger
    bounds = offsets_of(sizes)
    out = np.empty(bounds[-1], np.uint8)
    rows, places = np.arange(len(values)), bounds[:-1].copy()
    while len(rows):
        more = sizes[rows] > 1
        digits = (left[rows] & np.uint64(CONTINUED - 1)).astype(np.uint8)
        out[places[rows]] = digits | more * np.uint8(CONTINUED)
        rows = rows[more]
        left[rows] >>= np.uint64(7)
        sizes[rows] -= 1
        places[rows] += 1
    return out, bounds
