"""Varints of many places of an array at once: tags with lengths behind them, read and written.

Lengths are below 2^31, so they take at most 5 bytes, as protobuf demands. Only their shortest
form is read; any other is for the walk (`nsl_tools.formats.protobuf.wire`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.formats.protobuf.wire import CONTINUED, MAX_LENGTH

if TYPE_CHECKING:
    from nsl_tools.arrays.byte_spans import Bytes, Places

Words = npt.NDArray[np.uint64]

WORD_BYTES = 8  # that are read at once at each place
_BYTE = np.uint64(8)
_LONGEST = 5  # bytes of a varint that is a length or a tag
_STEPS = 1 << 7 * np.arange(1, _LONGEST)  # the first values that take another byte


class Reader:
    """Reads numbers at many places of an array of bytes at once."""

    def __init__(self, data: Bytes) -> None:
        """Read from `data`, behind whose end there are zeros."""
        self.data = data
        if len(data) < WORD_BYTES:
            data = np.concatenate([data, np.zeros(WORD_BYTES, np.uint8)])
        self._words: Words = np.ndarray(
            (len(data) - WORD_BYTES + 1,), np.uint64, data, strides=(1,)
        )

    def words(self, places: Places) -> Words:
        """Return the 8 bytes from each of `places`, none negative, on as a number."""
        try:
            return np.asarray(self._words[places])
        except IndexError:
            near = np.minimum(places, len(self._words) - 1)
            return np.asarray(self._words[near] >> ((places - near).astype(np.uint64) * _BYTE))

    def fields(self, places: Places) -> tuple[Bytes, Places, Places]:
        """Return of the field at each of `places` its tag of one byte, and where its content is.

        Returns:
            Tags; where contents start; where they end. Shapes (n,). A length that is too long,
            or not in its shortest form, gives a tag of 0, which no field has.
        """
        words = self.words(places)
        tags = words.astype(np.uint8)
        words >>= _BYTE
        lengths = words.view(np.int64) & 0xFF
        starts = places + 2
        if np.count_nonzero(lengths >= CONTINUED):
            _read_long(words, tags, lengths, starts)
        return tags, starts, starts + lengths

    def ends(self, places: Places) -> Places:
        """Return where the field at each of `places` ends, as `fields` does, and faster."""
        lengths = self.data.take(places + 1, mode="clip")
        ends: Places = places + (lengths + np.int64(2))
        if np.count_nonzero(more := lengths >= CONTINUED):
            long = np.flatnonzero(more)
            second = self.data.take(places[long] + 2, mode="clip").astype(np.int64)
            ends[long] += (second << 7) - CONTINUED + 1
            if len(longer := long[second >= CONTINUED]):
                ends[longer] = self.fields(places[longer])[2]
        return ends


def _read_long(words: Words, tags: Bytes, lengths: Places, starts: Places) -> None:
    """Make lengths of one byte, those at the start of `words`, ones of as many as they have.

    And set `starts` behind them, and `tags` to 0 for those that are not good.
    """
    rows = np.flatnonzero(lengths >= CONTINUED)
    words = words[rows]
    for shift in range(7, 7 * _LONGEST, 7):
        words >>= _BYTE
        byte = words.view(np.int64) & 0xFF
        lengths[rows] += byte - 1 << shift  # in the byte before, the highest bit was no digit
        starts[rows] += 1
        tags[rows[byte == 0]] = 0
        more = byte >= CONTINUED
        rows, words = rows[more], words[more]
        if not len(rows):
            break
    tags[rows] = 0
    tags[lengths > MAX_LENGTH] = 0


def varint_sizes(values: Places) -> Places:
    """Return how many bytes each of `values`, below 2^35, takes as a varint."""
    return _sizes(values, _STEPS)


def length_sizes(sizes: Places) -> Places:
    """Return how many bytes a length takes that is, with as many bytes as it says, of `sizes`."""
    return _sizes(sizes, _STEPS + np.arange(1, _LONGEST))


def _sizes(values: Places, steps: Places) -> Places:
    sizes = np.ones(len(values), np.int64)
    for step in steps:
        larger = values >= step
        if not larger.any():
            break
        sizes += larger
    return sizes


def put_varints(values: Places, sizes: Places, out: Bytes, places: Places) -> None:
    """Write varints, whose sizes are known, to `places` in `out`."""
    while len(values):
        more = sizes > 1
        out[places] = (values & 0x7F | more * np.int64(CONTINUED)).astype(np.uint8)
        rows = np.flatnonzero(more)
        values, sizes, places = values[rows] >> 7, sizes[rows] - 1, places[rows] + 1
