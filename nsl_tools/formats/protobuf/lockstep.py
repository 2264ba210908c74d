"""Walking many encoded messages in lockstep: one step of all of them is a few numpy calls.

Only the form that protobuf itself writes is taken; what has another one is told apart, for
the walk of single messages (`nsl_tools.formats.protobuf.example`), which is the reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.formats.protobuf.example import ITEM, Kind
from nsl_tools.formats.protobuf.varints import (
    WORD_BYTES,
    Reader,
    length_sizes,
    put_varints,
    varint_sizes,
)
from nsl_tools.formats.protobuf.wire import CONTINUED
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.formats.protobuf.varints import Words

Flags = npt.NDArray[np.bool_]

FLOAT_BYTES = 4  # of a number of a float list
_NUMBERS = 4  # more than any of the fields for lists, which are 1 to 3
_IS_LIST = np.isin(np.arange(256), (Kind.BYTES, Kind.FLOAT, Kind.INT64))


class Spans(NamedTuple):
    """Pieces of data: where each starts and ends, shapes (n,)."""

    starts: Places
    ends: Places

    @property
    def lengths(self) -> Places:
        """How many bytes each has."""
        return self.ends - self.starts

    def at(self, rows: Places | Flags | slice) -> Spans:
        """Return some of them."""
        return Spans(self.starts[rows], self.ends[rows])


def walk(reader: Reader, messages: Spans, fits: Flags) -> tuple[Places, Places, Places]:
    """Find the fields of messages, none of which is empty, a field of each at a time.

    Args:
        reader: of the bytes that hold the messages.
        messages: m of them. Tags are not looked at.
        fits: set to False for those that do not end where a field does, and for the few that
            have many more fields than others, shape (m,).

    Returns:
        Of each field the place of its message, how many fields come before it, and where it
        starts: shapes (n,), those of one message in order.
    """
    few = 8  # messages, if no others are left after many steps: they are left to the walk
    rows, places, limits = np.arange(len(fits)), *messages
    owners, starts = [rows[:0]], [rows[:0]]
    while len(rows):
        if len(rows) <= few and len(owners) > TUNING.steps:
            fits[rows] = False
            break
        owners.append(rows)
        starts.append(places)
        places = reader.ends(places)
        more = places < limits
        if np.count_nonzero(more) < len(rows):
            fits[rows[places > limits]] = False
            rows, places, limits = rows[more], places[more], limits[more]
    steps = np.repeat(np.arange(-1, len(owners) - 1), list(map(len, owners)))
    return np.concatenate(owners), steps, np.concatenate(starts)


def features_of(reader: Reader, places: Places, ends: Places, good: Flags) -> Spans:
    """Return the encoded features that lie from `places`, where their lengths are, to `ends`.

    Args:
        reader: of the bytes that hold them.
        places: m of them.
        ends: where each should end.
        good: set to False for those that do not, or are not in canonical form, shape (m,). Those
            that are not good are not looked at.
    """
    sizes = ends - places
    features = Spans(places + length_sizes(sizes), ends)
    kinds = reader.data.take(features.starts, mode="clip")
    expected, masks = _heads()
    which = sizes * _NUMBERS + (kinds >> 3 & _NUMBERS - 1)
    heads = reader.words(places) & masks.take(sizes, mode="clip")
    others = np.flatnonzero(good & (heads != expected.take(which, mode="clip")))
    _, starts, found = reader.fields(places[others] - 1)
    good[others] = (starts == features.starts[others]) & (found == ends[others])
    _refuse_odd(reader, features, others[good[others]], good)
    numbers = np.flatnonzero(good & (kinds == Kind.INT64))
    good[numbers] = ~_unsound(reader, features.at(numbers))
    return features


@lru_cache(maxsize=1)
def _heads() -> tuple[Words, Words]:
    """Return what comes before the only value, or run of numbers, of a feature.

    Returns:
        By the bytes from the length of the feature to its end, and by its kind, the first 8 of
        them, zeros from the value on, or 1 if there is none; by these bytes, ones for all before
        the value.
    """
    most = 1 << 11  # bytes of a feature to be looked up
    heads, masks = np.ones((most, _NUMBERS), np.uint64), np.zeros(most, np.uint64)
    runs = np.arange(most)
    lists = 1 + varint_sizes(runs) + runs
    values = 1 + varint_sizes(lists) + lists
    sizes = varint_sizes(values) + values
    for kind, width in ((Kind.BYTES, 1), (Kind.FLOAT, FLOAT_BYTES), (Kind.INT64, 1)):
        out, places = np.zeros(WORD_BYTES * most, np.uint8), WORD_BYTES * runs
        for numbers in np.broadcast_arrays(values, kind, lists, ITEM, runs):
            put_varints(numbers, varint_sizes(numbers), out, places)
            places = places + varint_sizes(numbers)
        good = np.flatnonzero((sizes < most) & (runs > 0) & (runs % width == 0))
        heads[sizes[good], kind >> 3] = out.view(np.uint64)[good]
        unused = WORD_BYTES * (1 + runs) - places
        masks[sizes[good]] = ~np.uint64(0) >> (8 * unused[good]).astype(np.uint64)
    return heads.ravel(), masks


def _refuse_odd(reader: Reader, features: Spans, rows: Places, fits: Flags) -> None:
    """Set `fits` to False for features, at `rows`, that are not in canonical form.

    But for numbers of more than 10 bytes.
    """
    kinds, contents = sole_contents(reader.data, features.at(rows))
    floats = (kinds == Kind.FLOAT) & (contents.lengths % FLOAT_BYTES == 0)
    numbers = (contents.lengths > 0) & (floats | (kinds == Kind.INT64))
    fits[rows] = numbers | (kinds == Kind.BYTES)
    rows = rows[kinds == 0]
    empty = features.lengths[rows] == 0
    kinds, starts, ends = reader.fields(features.starts[rows])
    fits[rows] = empty | _IS_LIST[kinds] & (ends == features.ends[rows])
    several = np.flatnonzero(fits[rows] & ~empty & (starts < ends))
    texts = _hold_texts(reader, Spans(starts, ends).at(several))
    fits[rows[several]] = texts & (kinds[several] == Kind.BYTES)


def _hold_texts(reader: Reader, lists: Spans) -> Flags:
    """Tell which lists, none of which is empty, are fields of texts alone."""
    good = np.ones(len(lists.starts), np.bool_)
    owners, _, places = walk(reader, lists, good)
    good[owners[reader.fields(places)[0] != ITEM]] = False
    return good


def sole_contents(data: Bytes, features: Spans) -> tuple[Bytes, Spans]:
    """Return the kind of each canonical feature, and where its only value, or run of numbers, is.

    The kind is 0 where there are more values, none, or more than values: the span is then that
    of the first value, if there is one.
    """
    reader = Reader(data)
    kinds, starts, ends = reader.fields(features.starts)
    sole = (ends == features.ends) & (starts < ends)
    tags, values, value_ends = reader.fields(np.where(starts < features.ends, starts, 0))
    sole &= (tags == ITEM) & (value_ends == ends)
    return np.where(sole, kinds, 0), Spans(values, value_ends)


def _unsound(reader: Reader, runs: Spans) -> Flags:
    """Tell which runs of varints, one behind the other, are cut, or hold one of over 10 bytes."""
    unsound: Flags = reader.data[runs.ends - 1] >= CONTINUED
    longest, piece = 10, 1 << 18  # bytes of a varint, and those that are looked at together
    long = np.flatnonzero(runs.lengths > longest)
    extent = range(int(runs.starts[long[0]]), int(runs.ends[long[-1]]), piece) if len(long) else ()
    for start in extent:
        places = start + _continued(reader.data[start : start + piece + longest - 1])
        owners = np.searchsorted(runs.starts, places, "right") - 1
        unsound[owners[places < runs.ends[owners]]] = True
    return unsound


def _continued(data: Bytes) -> Places:
    """Return places in all stretches of 10 bytes or more that are no last ones of varints."""
    both = np.uint16(CONTINUED << 8 | CONTINUED)
    pairs = data[: len(data) // 2 * 2].view(np.uint16) & both == both
    for step in (1, 2):
        pairs = pairs[:-step] & pairs[step:]
    places = 2 * np.flatnonzero(pairs)  # of 8 such bytes, as each stretch has them
    before, ninth, tenth = (
        data.take(places + step, mode="clip") >= CONTINUED
        for step in (-1, WORD_BYTES, WORD_BYTES + 1)
    )
    return places[ninth & (before | tenth)]
