"""Numbers for the names of map entries: which of them are the same."""

from __future__ import annotations

from functools import cache
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
_LONGEST = 127  # bytes of a name whose length takes one
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: it spreads what differs


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
    lengths = (heads >> np.uint64(8) & np.uint64(0xFF)).view(np.int64)  # behind a byte of tag
    ends = places + (_NAME + lengths)
    tails = reader.words(ends - _PART)
    sizes, (head, tail) = np.minimum(lengths, _PART), _masks()
    keys = [heads & head.take(sizes), tails & tail.take(sizes)]
    keys += _between(reader, ends, lengths)
    like, same = _equals(keys)
    numbers, known = _numbers_of(reader, places, ends, like)
    return np.where(same, numbers, -1), ends, known


@cache
def _masks() -> tuple[Words, Words]:
    """Return what of 8 bytes is compared, by the length of a name, up to 6, shapes (7,).

    Of those from its tag on (tag, length, name), and around its end (name, tag of the value).
    """
    sizes = range(_PART + 1)
    head = [(1 << 8 * (_NAME + size)) - 1 for size in sizes]
    tail = [(1 << 56) - (1 << 8 * (_PART - size)) for size in sizes]
    return np.array(head, np.uint64), np.array(tail, np.uint64)


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
    bits = 12  # of a slot: some thousands of names seldom share one
    slots = (hashes >> np.uint64(64 - bits)).view(np.int64)
    table = np.zeros(1 << bits, np.int64)
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
    tags = part[:1] + part[-1:]
    return len(part) <= _NAME + _LONGEST + 1 and tags == bytes((ITEM, VALUE))
