"""Walking many encoded messages in lockstep: one step of all of them is a few numpy calls.

Only the form that protobuf itself writes is taken; what has another one is told apart, for
the walk of single messages (`nsl_tools.formats.protobuf.example`), which is the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.formats.protobuf.example import BYTES_LIST, FLOAT_LIST, INT64_LIST, ITEM, VALUE
from nsl_tools.formats.protobuf.varints import Reader
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.arrays.byte_spans import Bytes, Places

Flags = npt.NDArray[np.bool_]

_FEW = 8  # records that are walked alone, if they have many entries
"""Messages that are left to the walk if, after so many steps, they are the only ones left."""
FLOAT_BYTES = 4
_CONTINUED, _LONGEST = 0x80, 10  # of a varint: the bit of all bytes but the last, and bytes
_PIECE = 1 << 18  # bytes that are looked at together
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
        messages: m of them. Tags are not looked at, nor where the last field ends.
        fits: set to False for the few that have many more fields than others, shape (m,).

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
            rows, places, limits = rows[more], places[more], limits[more]
    steps = np.repeat(np.arange(-1, len(owners) - 1), list(map(len, owners)))
    return np.concatenate(owners), steps, np.concatenate(starts)


def split_entries(reader: Reader, entries: Spans) -> tuple[Spans, Spans, Flags]:
    """Return the name and the value in each entry of a map, and whether it has this form."""
    tags, starts, ends = reader.fields(entries.starts)
    good = (tags == ITEM) & (ends == entries.ends)
    name_tags, names, name_ends = reader.fields(starts)
    good &= (name_tags == ITEM) & (name_ends < ends)
    tags, values, value_ends = reader.fields(np.where(good, name_ends, starts))
    good &= (tags == VALUE) & (value_ends == ends)
    return Spans(names, name_ends), Spans(values, value_ends), good


def refuse_odd_features(reader: Reader, features: Spans, fits: Flags) -> None:
    """Set `fits` to False for encoded features that are not in canonical form, shape (m,).

    Those that do not fit are not looked at.
    """
    rows = np.flatnonzero(fits & (features.starts < features.ends))
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
    numbers = sole & (kinds == INT64_LIST)
    fits[rows[numbers]] &= ~_unsound(reader, Spans(starts, ends).at(numbers))
    several = texts & ~sole
    fits[rows[several]] &= _hold_texts(reader, lists.at(several))


def _hold_texts(reader: Reader, lists: Spans) -> Flags:
    """Tell which lists, none of which is empty, are fields of texts alone."""
    good = np.ones(len(lists.starts), np.bool_)
    owners, _, places = walk(reader, lists, good)
    tags, _, ends = reader.fields(places)
    good[owners[(tags != ITEM) | (ends > lists.ends[owners])]] = False
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
        own = slice(
            int(np.searchsorted(runs.ends, start, "right")),
            int(np.searchsorted(runs.starts, start + _PIECE)),
        )
        piece = reader.data[start : start + _PIECE + _LONGEST - 1]
        places = start + np.flatnonzero(_are_continued(piece))
        firsts, lasts = runs.at(own)
        overlong[own] |= np.searchsorted(places, firsts) < np.searchsorted(
            places, lasts - _LONGEST + 1
        )
    return overlong


def _are_continued(data: Bytes) -> Flags:
    """Tell whether the 10 bytes from each place on are all parts of varints but the last ones."""
    found = data >= _CONTINUED
    for step in (1, 2, 4, 2):
        found = found[:-step] & found[step:]
    return found
