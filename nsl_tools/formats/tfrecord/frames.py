"""How records stand in a TFRecord file: framed by their lengths and checksums.

A record is `length (uint64) | masked CRC32C of the length | payload | masked
CRC32C of the payload`, little-endian.

Source: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import Bytes, Places, gather, put
from nsl_tools.arrays.crc32c import MASK_DELTA, length_crcs, masked, promised_crc

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_BYTES = 12  # a length of 8 bytes, and its checksum
FOOTER_BYTES = 4  # the checksum of the record
HEADER_TYPE = np.dtype([("length", "<u8"), ("crc", "<u4")])
_MANY = 64  # records, whose checksums are checked sooner together than one by one

_crc32c = google_crc32c.value


def masked_crc(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and offset as TFRecord stores it."""
    crc = int(_crc32c(data))
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def masked_crcs(
    data: bytes | Bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Return `masked_crc` of each span of `data`, shape (n,)."""
    long = 1 << 12  # bytes of a mean record, above which a view of each costs less than a copy
    if isinstance(data, bytes) and len(data) > long * len(starts):
        data = np.frombuffer(data, np.uint8)  # of which a slice is no copy, but takes longer
    spans = map(data.__getitem__, slices_of(starts, ends))
    crcs = np.fromiter(map(_crc32c, spans), np.uint32, len(starts))
    return masked(crcs)


def frame_headers(lengths: Places) -> Bytes:
    """Return the 12 bytes before each payload of so many bytes, below 2^32: shape (n, 12)."""
    headers = np.empty(len(lengths), HEADER_TYPE)
    headers["length"] = lengths
    headers["crc"] = masked(length_crcs(headers["length"]))
    return headers.view(np.uint8).reshape(-1, HEADER_BYTES)


def frame(*payloads: bytes) -> bytes:
    """Return `payloads` as records, end to end."""
    parts = []
    for payload in payloads:
        footer = masked_crc(payload).to_bytes(4, "little")
        parts += [frame_header(len(payload)), payload, footer]
    return b"".join(parts)


def frame_header(length: int) -> bytes:
    """Return the 12 bytes that come before a payload of `length` bytes."""
    prefix = length.to_bytes(8, "little")
    return prefix + masked_crc(prefix).to_bytes(4, "little")


@dataclass(frozen=True)
class Framed:
    """Records as they stand in a file, n of them end to end.

    Attributes:
        data: their bytes, uint8.
        ends: where each starts, and where the last ends, shape (n + 1,), int64.
    """

    data: Bytes = field(repr=False)
    ends: Places = field(repr=False)

    def __len__(self) -> int:
        return len(self.ends) - 1


def slices_of(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield the slice of each span."""
    return map(slice, starts.tolist(), ends.tolist())


def footers_of(data: bytes, ends: Places) -> npt.NDArray[np.uint32]:
    """Return the checksum that each record has behind its end, shape (n,)."""
    footers = gather(np.frombuffer(data, np.uint8), ends, FOOTER_BYTES)
    return np.ascontiguousarray(footers).view("<u4")[:, 0]


def first_damaged(
    data: bytes, starts: Places, ends: Places, footers: npt.NDArray[np.uint32]
) -> int | None:
    """Return the first record that is not what its checksum says; None if all are.

    Args:
        data: whole records, end to end, with their headers and checksums.
        starts: where the content of each starts, shape (n,).
        ends: where it ends.
        footers: the checksum of each.
    """
    if _kept_promise(data, starts, ends, footers):
        return None
    wrong = np.flatnonzero(masked_crcs(data, starts, ends) != footers)
    return int(wrong[0]) if len(wrong) else None


def _kept_promise(
    data: bytes, starts: Places, ends: Places, footers: npt.NDArray[np.uint32]
) -> bool:
    """Tell whether the records are many, of one length, and sum up to what they promise."""
    lengths = ends - starts
    if len(lengths) < _MANY or (lengths != lengths[0]).any():
        return False
    whole = data[: int(ends[-1]) + FOOTER_BYTES]
    return bool(promised_crc(data[:HEADER_BYTES], footers) == _crc32c(whole))


def seal(records: Framed) -> Framed:
    """Write the checksum behind each record, and return them."""
    starts, after = records.ends[:-1] + HEADER_BYTES, records.ends[1:] - FOOTER_BYTES
    crcs = masked_crcs(records.data, starts, after).astype("<u4")
    put(crcs.view(np.uint8).reshape(-1, FOOTER_BYTES), records.data, after)
    return records
