"""The CRC32C of many records at once, as the checksums that they carry promise it.

A CRC32C is a polynomial over GF(2) modulo that of Castagnoli, and `n` bytes that follow
multiply it by x^8n: what stands in the footers of records tells the checksum of them all,
end to end, without a look at their content. One pass of the C library over all of them
is then enough, where one for each record would cost more than its bytes do.

If one record is damaged, the sums differ, as surely as its own would. If several are, in
ways that cancel each other, which happens by chance once in 2^31 times, they do not.
Here the highest bit of a number is the coefficient of x^0, as is usual for CRC32C.
"""

from __future__ import annotations

from functools import lru_cache

import google_crc32c
import numpy as np
import numpy.typing as npt

MASK_DELTA = 0xA282EAD8  # what TFRecord adds to a checksum that it has rotated
_CASTAGNOLI = 0x82F63B78  # the polynomial of CRC32C, its highest power left out, bits reversed
_ONE = 1 << 31  # the polynomial 1: bits are reversed
_ROW = 64  # words of a row, of which all are multiplied at once
_FOOTER_BYTES = 4  # the checksum behind a record

Words = npt.NDArray[np.uint32]


def promised_crc(header: bytes, footers: Words) -> int:
    """Return the CRC32C of n records end to end, as their checksums promise it.

    Args:
        header: the 12 bytes before each payload; they tell its length.
        footers: the masked checksum after each payload, shape (n,).
    """
    length = int.from_bytes(header[:8], "little")
    rotated = footers - np.uint32(MASK_DELTA)
    crcs = rotated << np.uint32(15) | rotated >> np.uint32(17)
    words = crcs ^ footers ^ np.uint32(_same(header))
    return _times(_folded(words, len(header) + length + _FOOTER_BYTES), _shift(_FOOTER_BYTES))


def masked(crcs: Words) -> Words:
    """Return checksums as TFRecord stores them: rotated and offset."""
    return np.asarray((crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(MASK_DELTA))


def length_crcs(lengths: npt.NDArray[np.uint64]) -> Words:
    """Return the CRC32C of each length, below 2^32, as 8 bytes: shape (n,)."""
    parts = lengths.astype("<u4").view(np.uint8).reshape(-1, 4)
    tables = _length_table()
    found: Words = tables[0][parts[:, 0]]
    for table, part in zip(tables[1:], parts.T[1:], strict=True):
        if part.any():
            found ^= table[part] ^ table[0]
    return found


@lru_cache(maxsize=1)
def _length_table() -> Words:
    """Return the CRC32C of 8 bytes that are zero, but for one of the first four: shape (4, 256)."""
    lengths = [(byte << 8 * place) for place in range(4) for byte in range(256)]
    crcs = [google_crc32c.value(length.to_bytes(8, "little")) for length in lengths]
    return np.array(crcs, np.uint32).reshape(4, 256)


@lru_cache(maxsize=16)
def _same(header: bytes) -> int:
    """Return the part of the sum of `header | payload | footer` that all records share.

    Before the footer's place.
    """
    before = _times(google_crc32c.value(header), _shift(int.from_bytes(header[:8], "little")))
    after = _times(google_crc32c.value(bytes(_FOOTER_BYTES)), _shift(-_FOOTER_BYTES))
    return before ^ after


def _folded(words: Words, stride: int) -> int:
    """Return the sum of `words`, shape (n,), each times x^8s, s what follows it: `stride` each."""
    tables = 256 * np.arange(4 * _ROW)  # where that of each byte of a row starts
    while len(words) > 1:
        rows = -(-len(words) // _ROW)
        # What comes first counts for nothing if it is zero.
        padded = np.zeros(rows * _ROW, "<u4")
        padded[rows * _ROW - len(words) :] = words
        places = padded.view(np.uint8).reshape(rows, -1) + tables
        words = np.bitwise_xor.reduce(_products(stride).take(places), axis=1)
        stride *= _ROW
    return int(words[0])


@lru_cache(maxsize=16)
def _products(stride: int) -> Words:
    """Return each byte of a word times each power of x^(8 * stride), the highest first.

    Shape (_ROW * 4 * 256,): a table for each of _ROW words' four bytes, the lowest first.
    """
    powers, step = [_ONE], _shift(stride)
    while len(powers) < _ROW:
        powers.append(_times(powers[-1], step))
    bits = [np.array(powers[::-1], np.uint32)]
    for _ in range(31):  # the bits below a word's highest
        odd = bits[-1] & np.uint32(1)
        bits.append(bits[-1] >> np.uint32(1) ^ odd * np.uint32(_CASTAGNOLI))
    found = np.zeros((_ROW, 4, 256), np.uint32)
    for bit, product in enumerate(reversed(bits)):
        table, low = found[:, bit // 8], 1 << bit % 8
        table[:, low : 2 * low] = table[:, :low] ^ product[:, np.newaxis]
    return found.reshape(-1)


@lru_cache(maxsize=64)
def _shift(count: int) -> int:
    """Return x^(8 * count), which adds `count` bytes; a negative one takes them away."""
    exponent = 8 * count % ((1 << 31) - 1)  # so many times x is 1
    power, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            power = _times(power, square)
        square = _times(square, square)
        exponent >>= 1
    return power


def _times(left: int, right: int) -> int:
    """Return the product of two polynomials."""
    found = 0
    while left:
        if left & _ONE:
            found ^= right
        left = left << 1 & 0xFFFFFFFF
        right = right >> 1 ^ (_CASTAGNOLI if right & 1 else 0)
    return found
