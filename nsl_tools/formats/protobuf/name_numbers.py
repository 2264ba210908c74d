"""Numbers for names: which of many spans of bytes are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import all_equal, by_value, picked
from nsl_tools.formats.protobuf.varints import WORD_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.formats.protobuf.lockstep import Flags, Spans
    from nsl_tools.formats.protobuf.varints import Reader

_MASKS = np.array([(1 << 8 * size) - 1 for size in range(WORD_BYTES + 1)], np.uint64)
_LONGEST_NAME = 1 << 10
"""Longer ones, of which each 8 bytes take a step, are left to the walk."""
_SLOT_BITS = 12
_NO_LENGTH = np.uint64(1 << 63)
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64
)


def numbered(reader: Reader, names: Spans, good: Flags) -> tuple[Places, list[bytes]]:
    """Return a number for each of m names, and the names that numbers stand for.

    Args:
        reader: of the bytes that hold the names.
        names: where each is.
        good: which of them to number, shape (m,).

    Returns:
        Numbers, -1 for a name that is not good or not UTF-8; the names.
    """
    good = good & (names.lengths <= _LONGEST_NAME)
    lengths = np.where(good, names.lengths, 0)
    keys = _keys(reader, np.where(good, names.starts, 0), lengths)
    keys[0][~good] = _NO_LENGTH
    like, agree = _equals(keys)
    good &= agree
    good &= _agree_between(reader, names, np.where(good, lengths, 0), like)
    return _numbers_of(reader, names, like, good)


def _equals(keys: npt.NDArray[np.uint64]) -> tuple[Places, Flags]:
    """Return for each name one that has its keys, the same for all that do, and if there is one."""
    hashes = (keys * _FACTORS[:, np.newaxis]).sum(axis=0)
    # The last one in a slot of a table is that of most: names are few.
    slots = (hashes >> np.uint64(64 - _SLOT_BITS)).view(np.int64)
    table = np.zeros(1 << _SLOT_BITS, np.int64)
    table[slots] = np.arange(len(slots))
    like = table[slots]
    agree = _agree(keys, like, slice(None))
    others = np.flatnonzero(~agree)
    if len(others):
        _, firsts, which = np.unique(hashes[others], return_index=True, return_inverse=True)
        like[others] = others[firsts[which]]
        agree[others] = _agree(keys, like, others)
    return like, agree


def _keys(reader: Reader, starts: Places, lengths: Places) -> npt.NDArray[np.uint64]:
    """Return the length, the first and the last 8 bytes of each name: all of most, shape (4, m).

    And a hash of what is between them.
    """
    short = np.minimum(lengths, WORD_BYTES)
    masks = _MASKS[short]
    first, last = reader.words(starts), reader.words(starts + lengths - short)
    between = np.zeros(len(starts), np.uint64)
    rows = np.flatnonzero(lengths > 2 * WORD_BYTES)
    for place in range(WORD_BYTES, int(lengths.max(initial=0)) - WORD_BYTES, WORD_BYTES):
        rows = rows[lengths[rows] > place + WORD_BYTES]
        between[rows] = between[rows] * _FACTORS[3] + reader.words(starts[rows] + place)
    return np.stack([lengths.astype(np.uint64), first & masks, last & masks, between])


def _agree(keys: npt.NDArray[np.uint64], like: Places, rows: Places | slice) -> Flags:
    return np.asarray(np.logical_and.reduce([key[rows] == key[like[rows]] for key in keys]))


def _agree_between(reader: Reader, names: Spans, lengths: Places, like: Places) -> Flags:
    """Tell which names agree in the middle of long ones, of which keys have only a hash."""
    agree = np.ones(len(like), np.bool_)
    others = like != np.arange(len(like))
    long = np.flatnonzero(others & (lengths > 2 * WORD_BYTES))
    for first, places in by_value(like[long]):
        rows, length = long[places], int(lengths[first])
        name = reader.data[names.starts[first] : names.ends[first]]
        texts = picked(reader.data, names.starts[rows], length)
        if not all_equal(texts, name):
            agree[rows] = (texts == name).all(axis=1)
    return agree


def _numbers_of(
    reader: Reader, names: Spans, like: Places, good: Flags
) -> tuple[Places, list[bytes]]:
    numbers = np.full(len(like), -1)
    known: dict[bytes, int] = {}
    is_first = np.zeros(len(like), np.bool_)
    is_first[like] = True
    for first in np.flatnonzero(is_first & good).tolist():
        name = reader.data[names.starts[first] : names.ends[first]].tobytes()
        if _is_utf8(name):
            numbers[first] = known.setdefault(name, len(known))
    return np.where(good, numbers[like], -1), list(known)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
