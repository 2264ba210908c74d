"""Ids as 128-bit fingerprints, so that tables of them are plain arrays of numbers.

Ids of up to 16 bytes have different fingerprints: they are two words, and the
mixing can be undone. Of n longer ids, two share one with a chance of about
n * n / 2^129; for a thousand million of them, that is 1e-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.spans import Bytes, Places, picked

if TYPE_CHECKING:
    import pyarrow as pa

Words = npt.NDArray[np.uint64]

_BLOCK = 16
_ROWS = 1 << 13  # done at once, so that what it takes stays in the processor's cache
_SIEVE_BITS = 20
_FEW = 10_000  # found sooner than pyarrow.compute is imported
# For each number of bytes from 0 to 16, the bits of both words that are the id's own.
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_LOW_MASKS, _HIGH_MASKS = _MASKS[np.r_[0:9, [8] * 8]], _MASKS[np.r_[[0] * 8, 0:9]]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(ids: pa.Array) -> tuple[Words, Words]:
    """Return the upper and the lower half of each id's fingerprint, shapes (n,).

    Args:
        ids: binary array without null and without NUL in a value.
    """
    offsets, data = texts_of(ids)
    high, low = np.empty(len(ids), np.uint64), np.empty(len(ids), np.uint64)
    for start in range(0, len(ids), _ROWS):
        rows = slice(start, start + _ROWS)
        _fingerprint(offsets[start : start + _ROWS + 1], data, high[rows], low[rows])
    return high, low


def _fingerprint(offsets: npt.NDArray[np.int32], data: Bytes, high: Words, low: Words) -> None:
    """Put the fingerprints of the texts between n + 1 `offsets` into `high` and `low`."""
    padded, starts, lengths = _pieces(offsets, data)
    high[:], low[:] = 0, 0
    _absorb(high, low, padded, starts, np.minimum(lengths, _BLOCK))
    for start in range(_BLOCK, int(lengths.max(initial=0)), _BLOCK):
        rows = np.flatnonzero(lengths > start)
        rest = np.minimum(lengths[rows] - start, _BLOCK)
        upper, lower = high[rows], low[rows]
        _absorb(upper, lower, padded, starts[rows] + start, rest)
        high[rows], low[rows] = upper, lower


def leading_words(ids: pa.Array) -> tuple[Words, Words]:
    """Return the first 8 bytes of each id and the next 8 as numbers, shapes (n,).

    Of ids of up to 16 bytes without NUL, they order as the bytes do.
    """
    offsets, data = texts_of(ids)
    high, low = np.empty(len(ids), np.uint64), np.empty(len(ids), np.uint64)
    for start in range(0, len(ids), _ROWS):
        rows = slice(start, start + _ROWS)
        padded, starts, lengths = _pieces(offsets[start : start + _ROWS + 1], data)
        words = picked(padded, starts, _BLOCK).view(np.uint64)
        lengths = np.minimum(lengths, _BLOCK)
        high[rows] = (words[:, 0] & _LOW_MASKS[lengths]).byteswap()
        low[rows] = (words[:, 1] & _HIGH_MASKS[lengths]).byteswap()
    return high, low


def _pieces(offsets: npt.NDArray[np.int32], data: Bytes) -> tuple[Bytes, Places, Places]:
    """Return the texts between `offsets`, and some bytes after, with their starts and lengths."""
    first, last = int(offsets[0]), int(offsets[-1])
    # A window onto the last text reaches beyond it.
    padded = data[first : last + _BLOCK]
    if len(padded) < last - first + _BLOCK:
        padded = np.concatenate([padded, np.zeros(_BLOCK, np.uint8)])
    return padded, offsets[:-1].astype(np.int64) - first, np.diff(offsets).astype(np.int64)


def surely_distinct(ids: pa.Array) -> bool:
    """Tell whether each of `ids` occurs once, as half of its fingerprint does; False is a maybe."""
    halves, _ = fingerprints(ids)
    halves.sort()
    return bool((halves[1:] != halves[:-1]).all())


def rows_among(ids: pa.Array, some: pa.Array) -> Places:
    """Return the rows of `ids` whose id is one of `some`, ascending.

    The texts decide; parts of the fingerprints leave few to look at, if `some` are few.
    """
    if len(some) > _FEW:
        import pyarrow.compute as pc

        return np.flatnonzero(pc.is_in(ids, value_set=some).to_numpy(zero_copy_only=False))
    sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
    sieve[_sieve_places(some)] = True
    rows = np.flatnonzero(sieve[_sieve_places(ids)]).tolist()
    texts = set(some.to_pylist())
    return np.array([row for row in rows if ids[row].as_py() in texts], np.int64)


def _sieve_places(ids: pa.Array) -> Places:
    high, _ = fingerprints(ids)
    return np.asarray(high >> np.uint64(64 - _SIEVE_BITS), np.int64)


def texts_of(ids: pa.Array) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Return the offsets of a binary array, shape (n + 1,), and the data they point into: views."""
    _, offsets, data = ids.buffers()
    found = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    return found, np.frombuffer(data or b"", np.uint8)


def spans_of(ids: pa.Array, rows: Places) -> tuple[Bytes, Places, Places]:
    """Return the data of a binary array, and starts and lengths in it of the texts at `rows`."""
    offsets, data = texts_of(ids)
    starts = offsets[rows].astype(np.int64)
    return data, starts, offsets[rows + 1] - starts


def _absorb(high: Words, low: Words, padded: Bytes, starts: Places, lengths: Places) -> None:
    """Mix the next `lengths` bytes, up to 16, into the words."""
    words = picked(padded, starts, _BLOCK).view(np.uint64)
    low ^= words[:, 0] & _LOW_MASKS[lengths]
    high ^= words[:, 1] & _HIGH_MASKS[lengths]
    # Each step can be undone, given the other word.
    high += _mixed(low)
    low += _mixed(high)
    high += _mixed(low)


def _mixed(words: Words) -> Words:
    mixed: Words = words ^ (words >> np.uint64(32))
    mixed *= _ODD
    mixed ^= mixed >> np.uint64(29)
    mixed *= _ODD
    mixed ^= mixed >> np.uint64(32)
    return mixed
