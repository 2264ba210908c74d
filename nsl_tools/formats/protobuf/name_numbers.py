"""Numbers for the names of map entries: which of them are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.formats.protobuf.example import ITEM, VALUE
from nsl_tools.formats.protobuf.varints import WORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.formats.protobuf.lockstep import Flags
    from nsl_tools.formats.protobuf.varints import Reader, Words

_NAME = 2  # bytes before it: a tag, and a length of one byte
_PART = WORD_BYTES - _NAME
"""Bytes of a name that are looked at together with what is before it, or behind it."""
# Masks by the length of a name, up to 6, of what is compared: of the 8 bytes from its tag on (tag,
# length, name), and of those around its end (name, tag of the value).
_HEAD = np.array([(1 << 8 * (_NAME + size)) - 1 for size in range(_PART + 1)], np.uint64)
_TAIL = np.array([(1 << 56) - (1 << 8 * (_PART - size)) for size in range(_PART + 1)], np.uint64)
_LENGTH_SHIFT, _LENGTH = np.uint64(8), np.uint64(0xFF)
_LONGEST = 127  # of one byte
_TAGS = bytes((ITEM, VALUE))
_SLOT_BITS = 12  # of the slots of a table: some thousands of names seldom share one
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def numbered(reader: Reader, places: Places) -> tuple[Places, Places, list[bytes]]:
    """Return a number for the name in each of m map entries, and the names that they stand for.

    Args:
        reader: of the bytes that hold the entries.
        places: where the content of each starts, from 4 on.

    Returns:
        Numbers, -1 for an entry that does not start with a name of less than 128 bytes, all
        UTF-8, and the tag of a value; where names end; the names.
    """
    heads = reader.words(places)
    lengths = (heads >> _LENGTH_SHIFT & _LENGTH).view(np.int64)
    ends = places + (_NAME + lengths)
    tails = reader.words(ends - _PART)
    sizes = np.minimum(lengths, _PART)
    keys = [heads & _HEAD.take(sizes), tails & _TAIL.take(sizes)]
    keys += _between(reader, ends, lengths)
    like, same = _equals(keys)
    numbers, known = _numbers_of(reader, places, ends, like)
    return np.where(same, numbers, -1), ends, known


def _between(reader: Reader, ends: Places, lengths: Places) -> Iterator[Words]:
    """Yield what is between the head and the tail of each name, 8 bytes at a time, zero if none."""
    for place in range(_PART, min(_LONGEST, lengths.max(initial=0)) - _PART, WORD_BYTES):
        rows = np.flatnonzero(lengths > place + _PART)
        found = np.zeros(len(ends), np.uint64)
        found[rows] = reader.words(ends[rows] - np.maximum(lengths[rows] - place, WORD_BYTES))
        yield found


def _equals(keys: list[Words]) -> tuple[Places, Flags]:
    """Return for each name one that has its keys, the same for all that do, and if there is one."""
    hashes = keys[0] * _FACTOR
    for key in keys[1:]:
        hashes += key
        hashes *= _FACTOR
    # The last one in a slot of a table is that of most: names are few.
    slots = (hashes >> np.uint64(64 - _SLOT_BITS)).view(np.int64)
    table = np.zeros(1 << _SLOT_BITS, np.int64)
    table[slots] = np.arange(len(slots))
    like = table.take(slots)
    agree = _agree(keys, like, slice(None))
    others = np.flatnonzero(~agree)
    if len(others):
        _, firsts, which = np.unique(hashes[others], return_index=True, return_inverse=True)
        like[others] = others[firsts[which]]
        agree[others] = _agree(keys, like, others)
    return like, agree


def _agree(keys: list[Words], like: Places, rows: Places | slice) -> Flags:
    return np.asarray(np.logical_and.reduce([key[rows] == key.take(like[rows]) for key in keys]))


def _numbers_of(
    reader: Reader, places: Places, ends: Places, like: Places
) -> tuple[Places, list[bytes]]:
    numbers = np.full(len(like), -1)
    known: dict[bytes, int] = {}
    is_first = np.zeros(len(like), np.bool_)
    is_first[like] = True
    for first in np.flatnonzero(is_first).tolist():
        part = reader.data[places[first] : ends[first] + 1].tobytes()
        if _is_good(part):
            numbers[first] = known.setdefault(part[_NAME:-1], len(known))
    return numbers.take(like), list(known)


def _is_good(part: bytes) -> bool:
    """Tell whether part of an entry is a name, not too long and UTF-8, and the tag of a value."""
    try:
        part[_NAME:-1].decode()
    except UnicodeDecodeError:
        return False
    return len(part) <= _NAME + _LONGEST + 1 and part[:1] + part[-1:] == _TAGS
