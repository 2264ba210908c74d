"""Ids as 128-bit fingerprints, so that tables of them are plain arrays of numbers.

Hashing depends on a secret of the run, so that nobody can make ids whose fingerprints
collide, or fall into one bucket of a table. Two ids that are chosen without knowing the secret
share a fingerprint with this chance:

- Ids of up to 16 bytes are two words, `(a, b)`, which become `a + G(b)` and `b + H(a + G(b))`.
  That can be undone, so they never share a fingerprint. G and H are random functions of a
  strongly universal family; so the second number, by which tables are sorted, is the same for
  two ids with a chance of 2^-63, and its first n bits are with one of about 2^-n.
- Ids of up to 256 bytes have four hashes of that family, over all of their 32-bit words, of 32
  bits each: two of them, or one and a shorter id, share all with a chance of 2^-128.
- Longer ones have a keyed BLAKE2b, which costs by bytes, however few there are.

So some of n ids of more than 16 bytes share one with a chance of about n * n / 2^129: 1e-21
for a thousand million. No output of a run depends on the secret: fingerprints are compared
only for equality, and their order decides only about places in tables.

Source of the family, `((k0 + sum(k_i * x_i)) mod 2^64) >> 32`, and of its being strongly
universal: Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer
arithmetic without primes", STACS 1996; Thorup, "High speed hashing for integers and strings",
arXiv:1504.06804. Padding texts with zeros makes no two ids equal, since ids hold no NUL.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import Bytes, Places, picked
from nsl_tools.arrays.groups import HALF_WORD
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

Words = npt.NDArray[np.uint64]

_BLOCK = 16  # bytes of two words: those of a fingerprint, and of an id that are hashed together
_LOW_HALF = np.uint64((1 << 32) - 1)  # the lower 32 bits of a word


class Keys:
    """The secret numbers by which a run hashes ids."""

    HASHES = 4  # of 32 bits each: together a fingerprint
    LONGEST = 256  # bytes of an id that has those; they are slow where ids are few
    BYTES = 8 * (12 + (1 + LONGEST // 4) * HASHES + 8)

    def __init__(self, secret: bytes | None = None) -> None:
        """Take `BYTES` bytes, random ones if none are given."""
        numbers = np.frombuffer(secret or os.urandom(self.BYTES), np.uint64)
        self.rounds = numbers[:12].reshape(2, 2, 3)
        self.texts = numbers[12:-8].reshape(-1, self.HASHES)
        self.long = numbers[-8:].tobytes()


# Made while the module is loaded, so that two threads cannot make two.
_OF_THE_RUN = Keys()


def fingerprints(ids: pa.Array, keys: Keys = _OF_THE_RUN) -> tuple[Words, Words]:
    """Return the upper and the lower half of each id's fingerprint, shapes (n,).

    Args:
        ids: binary array without null and without NUL in a value.
        keys: those of the run; fingerprints by others cannot be compared with them.
    """
    offsets, data = texts_of(ids)
    high, low = np.empty(len(ids), np.uint64), np.empty(len(ids), np.uint64)
    for rows in _batches(offsets):
        padded, starts, lengths = _pieces(offsets[rows.start : rows.stop + 1], data)
        _fingerprint((padded, starts, lengths), keys, high[rows], low[rows])
    return high, low


def _batches(offsets: npt.NDArray[np.int32]) -> Iterator[slice]:
    """Yield rows whose ids are hashed together: so many, or so many bytes, or one."""
    start, end = 0, len(offsets) - 1
    while start < end:
        limit = min(int(offsets[start]) + TUNING.hashed_bytes, int(offsets[-1]))
        part = offsets[start + 1 : start + TUNING.hashed_ids + 1]
        stop = start + max(1, int(np.searchsorted(part, np.int32(limit), side="right")))
        yield slice(start, stop)
        start = stop


def _fingerprint(texts: tuple[Bytes, Places, Places], keys: Keys, high: Words, low: Words) -> None:
    """Put the fingerprints of texts, at starts and of lengths, into `high` and `low`."""
    lengths = texts[2]
    shortest, longest = int(lengths.min()), int(lengths.max())
    for least, most, hashed in (
        (0, _BLOCK, _of_short),
        (_BLOCK + 1, keys.LONGEST, _of_texts),
        (keys.LONGEST + 1, longest, _of_long),
    ):
        if least <= shortest and longest <= most:
            high[:], low[:] = hashed(*texts, keys)
            return
        rows = np.flatnonzero((lengths >= least) & (lengths <= most))
        if len(rows):
            high[rows], low[rows] = hashed(texts[0], texts[1][rows], lengths[rows], keys)


def _of_short(padded: Bytes, starts: Places, lengths: Places, keys: Keys) -> tuple[Words, Words]:
    low, high = _words(padded, starts, lengths)
    low += _universal(high, keys.rounds[0])
    high += _universal(low, keys.rounds[1])
    # Collisions are as unlikely as before; but ids that count up fill buckets more evenly.
    factor = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio; odd, so it can be undone
    high ^= high >> HALF_WORD
    high *= factor
    return high, low


def _universal(words: Words, keys: Words) -> Words:
    """Return two hashes of each of `words` in one number; `keys` has shape (2, 3)."""
    lower, upper = words & _LOW_HALF, words >> HALF_WORD
    first, second = (lower * key[1] + upper * key[2] + key[0] for key in keys)
    return _joined(first, second)


def _joined(first: Words, second: Words) -> Words:
    """Return the upper halves of two numbers as one."""
    second >>= HALF_WORD
    first &= ~_LOW_HALF
    first |= second
    return first


def _of_texts(padded: Bytes, starts: Places, lengths: Places, keys: Keys) -> tuple[Words, Words]:
    sums = np.repeat(keys.texts[0][:, np.newaxis], len(starts), axis=1)
    for block in range(0, int(lengths.max()), _BLOCK):
        rows: slice | Places = slice(None)
        if block and (left := np.flatnonzero(lengths > block)).size < len(lengths):
            rows = left
        rest = np.minimum(lengths[rows] - block, _BLOCK)
        words = _words(padded, starts[rows] + block, rest)
        _add_products(words, keys.texts[1 + block // 4 :], sums, rows)
    return _joined(sums[0], sums[1]), _joined(sums[2], sums[3])


def _add_products(
    words: tuple[Words, Words], keys: Words, sums: Words, rows: slice | Places
) -> None:
    """Add to each row of `sums`, shape (4, n), the products of its keys and of `words`."""
    halves = [half for word in words for half in (word & _LOW_HALF, word >> HALF_WORD)]
    for hashes, factors in zip(sums, keys.T, strict=True):
        total = halves[0] * factors[0]
        for half, factor in zip(halves[1:], factors[1 : len(halves)], strict=True):
            total += half * factor
        hashes[rows] += total


def _of_long(data: Bytes, starts: Places, lengths: Places, keys: Keys) -> tuple[Words, Words]:
    from hashlib import blake2b  # here, since ids are seldom so long

    spans = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
    texts = (data[start:end].data for start, end in spans)
    digests = [blake2b(text, digest_size=_BLOCK, key=keys.long).digest() for text in texts]
    words = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    return words[:, 0], words[:, 1]


def leading_words(ids: pa.Array) -> tuple[Words, Words]:
    """Return the first 8 bytes of each id and the next 8 as numbers, shapes (n,).

    Of ids of up to 16 bytes without NUL, they order as the bytes do.
    """
    offsets, data = texts_of(ids)
    high, low = np.empty(len(ids), np.uint64), np.empty(len(ids), np.uint64)
    for rows in _batches(offsets):
        padded, starts, lengths = _pieces(offsets[rows.start : rows.stop + 1], data)
        first, second = _words(padded, starts, np.minimum(lengths, _BLOCK))
        high[rows], low[rows] = first.byteswap(), second.byteswap()
    return high, low


def _words(padded: Bytes, starts: Places, lengths: Places) -> tuple[Words, Words]:
    """Return the spans at `starts`, of up to 16 bytes, as two numbers each, padded by zeros."""
    words = picked(padded, starts, _BLOCK).view(np.uint64)
    first, second = _masks()
    return words[:, 0] & first[lengths], words[:, 1] & second[lengths]


@cache
def _masks() -> Words:
    """Return which bits of the first and of the second word 0 to 16 bytes fill, shape (2, 17)."""
    counts = range(_BLOCK + 1)
    first = [(1 << 8 * min(n, 8)) - 1 for n in counts]
    return np.array([first, [(1 << 8 * max(n - 8, 0)) - 1 for n in counts]], np.uint64)


def _pieces(offsets: npt.NDArray[np.int32], data: Bytes) -> tuple[Bytes, Places, Places]:
    """Return the texts between `offsets`, and some bytes after, with their starts and lengths."""
    first, last = int(offsets[0]), int(offsets[-1])
    # A window onto the last text reaches beyond it.
    padded = data[first : last + _BLOCK]
    if len(padded) < last - first + _BLOCK:
        padded = np.concatenate([padded, np.zeros(_BLOCK, np.uint8)])
    return padded, offsets[:-1].astype(np.int64) - first, np.diff(offsets).astype(np.int64)


def certainly_distinct(ids: pa.Array) -> bool:
    """Tell whether half fingerprints prove that each of `ids` occurs once; False proves nothing."""
    halves, _ = fingerprints(ids)
    halves.sort()
    return bool((halves[1:] != halves[:-1]).all())


def rows_among(ids: pa.Array, some: pa.Array) -> Places:
    """Return the rows of `ids` whose id is one of `some`, ascending.

    The texts decide. If `some` are few, parts of the fingerprints leave few texts to compare.
    """
    if len(some) > TUNING.few_to_seek:
        import pyarrow.compute as pc

        return np.flatnonzero(pc.is_in(ids, value_set=some).to_numpy(zero_copy_only=False))
    bits = 20  # a table of 1 MiB, in which few of so few ids share a place
    sieve = np.zeros(1 << bits, np.bool_)
    sieve[_first_bits(some, bits)] = True
    rows = np.flatnonzero(sieve[_first_bits(ids, bits)]).tolist()
    texts = set(some.to_pylist())
    return np.array([row for row in rows if ids[row].as_py() in texts], np.int64)


def _first_bits(ids: pa.Array, bits: int) -> Places:
    high, _ = fingerprints(ids)
    return np.asarray(high >> np.uint64(64 - bits), np.int64)


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
