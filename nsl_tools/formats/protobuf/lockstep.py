"""Walking many encoded messages in lockstep: one step of all of them is a few numpy calls.

Only the form that protobuf itself writes is taken; what has another one is told apart, for
the walk of single messages (`nsl_tools.formats.protobuf.example`), which is the reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.formats.protobuf.example import BYTES_LIST, FLOAT_LIST, INT64_LIST, ITEM
from nsl_tools.formats.protobuf.varints import (
    WORD_BYTES,
    Reader,
    length_sizes,
    put_varints,
    varint_sizes,
)
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.formats.protobuf.varints import Words

Flags = npt.NDArray[np.bool_]

_FEW = 8  # records that are walked alone, if they have many entries
"""Messages that are left to the walk if, after so many steps, they are the only ones left."""
FLOAT_BYTES = 4
_CONTINUED, _LONGEST = 0x80, 10  # of a varint: the bit of all bytes but the last, and bytes
_CONTINUED_PAIR = np.uint16(0x8080)
_PIECE = 1 << 18  # bytes that are looked at together
_KIND_SHIFT, _KINDS = 3, 4  # of the tag of a list: the bits before its number, and numbers
_SOON = 1 << 11  # features of fewer bytes are looked up
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_IS_LIST = np.isin(np.arange(256), (BYTES_LIST, FLOAT_LIST, INT64_LIST))


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
    rows, places, limits = np.arange(len(fits)), *messages
    owners, starts = [rows[:0]], [rows[:0]]
    while len(rows):
        if len(rows) <= _FEW and len(owners) > TUNING.steps:
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
    which = sizes * _KINDS + (kinds >> _KIND_SHIFT & _KINDS - 1)
    heads = reader.words(places) & masks.take(sizes, mode="clip")
    others = np.flatnonzero(good & (heads != expected.take(which, mode="clip")))
    _, starts, found = reader.fields(places[others] - 1)
    good[others] = (starts == features.starts[others]) & (found == ends[others])
    _refuse_odd(reader, features, others[good[others]], good)
    numbers = np.flatnonzero(good & (kinds == INT64_LIST))
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
    heads, masks = np.ones((_SOON, _KINDS), np.uint64), np.zeros(_SOON, np.uint64)
    runs = np.arange(_SOON)
    run_sizes = varint_sizes(runs)
    lists = 1 + run_sizes + runs
    list_sizes = varint_sizes(lists)
    values = 1 + list_sizes + lists
    value_sizes = varint_sizes(values)
    sizes = value_sizes + values
    near, numbers = sizes < _SOON, runs > 0
    unused = WORD_BYTES - (value_sizes + 1 + list_sizes + 1 + run_sizes)
    masks[sizes[near]] = _ALL >> (8 * unused[near]).astype(np.uint64)
    out, places = np.zeros((_SOON, WORD_BYTES), np.uint8), WORD_BYTES * runs
    put_varints(values, value_sizes, out.ravel(), places)
    put_varints(lists, list_sizes, out.ravel(), places + value_sizes + 1)
    put_varints(runs, run_sizes, out.ravel(), places + WORD_BYTES - unused - run_sizes)
    out[runs, value_sizes + 1 + list_sizes] = ITEM
    for kind, good in (
        (BYTES_LIST, near),
        (FLOAT_LIST, near & numbers & (runs % FLOAT_BYTES == 0)),
        (INT64_LIST, near & numbers),
    ):
        out[runs, value_sizes] = kind
        heads[sizes[good], kind >> _KIND_SHIFT] = out.view(np.uint64)[good, 0]
    return heads.ravel(), masks


def _refuse_odd(reader: Reader, features: Spans, rows: Places, fits: Flags) -> None:
    """Set `fits` to False for features, at `rows`, that are not in canonical form.

    But for numbers of more than 10 bytes.
    """
    rows = rows[features.starts[rows] < features.ends[rows]]
    ends = features.ends[rows]
    kinds, starts, list_ends = reader.fields(features.starts[rows])
    good = _IS_LIST[kinds] & (list_ends == ends)
    fits[rows] = good
    filled = np.flatnonzero(good & (starts < ends))
    rows, lists, kinds = rows[filled], Spans(starts, ends).at(filled), kinds[filled]
    tags, starts, ends = reader.fields(lists.starts)
    sole = (tags == ITEM) & (ends == lists.ends)
    texts = kinds == BYTES_LIST
    fits[rows[~(texts | sole & (starts < ends))]] = False
    floats = kinds == FLOAT_LIST
    fits[rows[floats & ((ends - starts) % FLOAT_BYTES > 0)]] = False
    several = texts & ~sole
    fits[rows[several]] &= _hold_texts(reader, lists.at(several))


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
    """Tell which runs of varints are cut, or hold one of more than 10 bytes."""
    unsound = reader.data[np.maximum(runs.ends, 1) - 1] >= _CONTINUED
    long = np.flatnonzero(~unsound & (runs.lengths > _LONGEST))
    unsound[long] = _overlong(reader, runs.at(long))
    return np.asarray(unsound)


def _overlong(reader: Reader, runs: Spans) -> Flags:
    """Tell which runs of varints, one behind the other, hold one of more than 10 bytes."""
    overlong = np.zeros(len(runs.starts), np.bool_)
    end = int(runs.ends.max(initial=0))
    for start in range(int(runs.starts.min(initial=end)), end, _PIECE):
        places = start + _continued(reader.data[start : start + _PIECE + _LONGEST - 1])
        owners = np.searchsorted(runs.starts, places, "right") - 1
        overlong[owners[places < runs.ends[owners]]] = True
    return overlong


def _continued(data: Bytes) -> Places:
    """Return places in all stretches of 10 bytes or more that are no last ones of varints."""
    pairs = data[: len(data) // 2 * 2].view(np.uint16) & _CONTINUED_PAIR == _CONTINUED_PAIR
    for step in (1, 2):
        pairs = pairs[:-step] & pairs[step:]
    places = 2 * np.flatnonzero(pairs)  # of 8 such bytes, as each stretch has them
    before, ninth, tenth = (
        data.take(places + step, mode="clip") >= _CONTINUED
        for step in (-1, WORD_BYTES, WORD_BYTES + 1)
    )
    return places[ninth & (before | tenth)]
