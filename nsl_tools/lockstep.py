"""Walking many encoded messages in lockstep: one step of all of them is a few numpy calls.

Only the form that protobuf itself writes is taken; what has another one is told apart, for
the walk of single messages (`nsl_tools.example`), which is the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.example import BYTES_LIST, FLOAT_LIST, INT64_LIST, ITEM, VALUE
from nsl_tools.spans import Bytes, Places, copy_spans, offsets_of
from nsl_tools.varints import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

Flags = npt.NDArray[np.bool_]

_FEW, _STEPS = 8, 64
"""Messages that are left to the walk if, after so many steps, they are the only ones left."""
_FLOAT_BYTES = 4
_CONTINUED = 0x80


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


def items(
    reader: Reader, messages: Spans, rows: Places, fits: Flags
) -> Iterator[tuple[Places, Spans]]:
    """Walk messages that should be fields of tag `ITEM` alone, a field of each at a time.

    Args:
        reader: of the bytes that hold the messages.
        messages: m of them, none of which is empty.
        rows: the place in `fits` of each, shape (m,).
        fits: set to False for those that are something else.

    Yields:
        The rows that have another field, and the contents of these fields.
    """
    places, limits = messages
    step = 0
    while len(rows):
        if len(rows) <= _FEW and step >= _STEPS:
            fits[rows] = False
            return
        tags, starts, ends = reader.fields(places)
        good = (tags == ITEM) & (ends <= limits)
        if np.count_nonzero(good) < len(rows):
            fits[rows[~good]] = False
            rows, starts, ends, limits = rows[good], starts[good], ends[good], limits[good]
            if not len(rows):
                return
        yield rows, Spans(starts, ends)
        places = ends
        more = ends < limits
        if np.count_nonzero(more) < len(rows):
            rows, places, limits = rows[more], ends[more], limits[more]
        step += 1


def split_entries(reader: Reader, entries: Spans) -> tuple[Spans, Spans, Flags]:
    """Return the name and the value in each entry of a map, and whether it has this form."""
    tags, starts, ends = reader.fields(entries.starts)
    good = (tags == ITEM) & (ends < entries.ends)
    behind = ends if good.all() else np.where(good, ends, entries.starts)
    value_tags, value_starts, value_ends = reader.fields(behind)
    good &= (value_tags == VALUE) & (value_ends == entries.ends)
    return Spans(starts, ends), Spans(value_starts, value_ends), good


def refuse_odd_features(reader: Reader, features: Spans, fits: Flags) -> None:
    """Set `fits` to False for encoded features that are not in canonical form, shape (m,).

    Those that do not fit are not looked at.
    """
    rows = np.flatnonzero(fits & (features.starts < features.ends))
    ends = features.ends[rows]
    kinds, starts, list_ends = reader.fields(features.starts[rows])
    fits[rows[list_ends != ends]] = False
    fits[rows[~np.isin(kinds, (BYTES_LIST, FLOAT_LIST, INT64_LIST))]] = False
    for kind in (BYTES_LIST, FLOAT_LIST, INT64_LIST):
        own = np.flatnonzero((kinds == kind) & (list_ends == ends) & (starts < ends))
        if len(own):
            lists = Spans(starts[own], ends[own])
            check = _refuse_odd_texts if kind == BYTES_LIST else _refuse_odd_numbers
            check(reader, lists, rows[own], fits, kind)


def _refuse_odd_texts(reader: Reader, lists: Spans, rows: Places, fits: Flags, _kind: int) -> None:
    for _ in items(reader, lists, rows, fits):
        pass


def _refuse_odd_numbers(reader: Reader, lists: Spans, rows: Places, fits: Flags, kind: int) -> None:
    tags, starts, ends = reader.fields(lists.starts)
    good = (tags == ITEM) & (ends == lists.ends) & (starts < ends)
    if kind == FLOAT_LIST:
        good &= (ends - starts) % _FLOAT_BYTES == 0
    else:
        good[good] = reader.data[ends[good] - 1] < _CONTINUED
        good[good] = ~_overlong(reader, Spans(starts, ends).at(good))
    fits[rows[~good]] = False


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


def _overlong(reader: Reader, runs: Spans) -> Flags:
    """Tell which runs of varints, of which none is cut, hold one of more than 10 bytes."""
    bounds = offsets_of(runs.ends - runs.starts)
    values = np.empty(bounds[-1], np.uint8)
    copy_spans(reader.data, runs.starts, np.diff(bounds), values, bounds[:-1])
    # Whether so many bytes from each on are continued: 1, 2, 4, 8, and then 10 of them.
    found = values >= _CONTINUED
    del values  # a run may be as long as a record may be
    for step in (1, 2, 4):
        found = found[:-step] & found[step:]
    ten = np.zeros(bounds[-1], np.bool_)
    np.logical_and(found[:-2], found[2:], out=ten[: len(found[2:])])
    return np.logical_or.reduceat(ten, bounds[:-1]) if len(ten) else ten
