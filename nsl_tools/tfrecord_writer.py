"""TFRecord output: payloads to framed records, in one file or a shard set.

Shards are contiguous and even: shard `i` of `N` holds records `total * i // N`
up to `total * (i + 1) // N`, so that the shards one after the other are the
single file.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.output import Outputs
from nsl_tools.shards import resolve_output, split_evenly
from nsl_tools.spans import offsets_of
from nsl_tools.tfrecord import FOOTER_BYTES, HEADER_BYTES, Framed, frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RECORDS_PER_WRITE = 256


def write_records(
    path: str, payloads: Iterable[bytes], total: int, compression: str = "auto"
) -> None:
    """Write exactly `total` payloads to output `path`: a file, `base@N` or `-`.

    Raises:
        OutputError: an output cannot be written.
    """
    write_framed(path, map(_framed, _batches(iter(payloads))), total, compression)


def write_framed(
    path: str, batches: Iterable[Framed], total: int, compression: str = "auto"
) -> None:
    """Write batches of records, exactly `total` of them, to output `path`.

    Raises:
        OutputError: an output cannot be written.
    """
    remaining = iter(batches)
    left = Framed(np.empty(0, np.uint8), np.zeros(1, np.int64))
    shards = resolve_output(path)
    with Outputs(compression) as outputs:
        for shard, rows in zip(shards, split_evenly(total, len(shards)), strict=True):
            with outputs.open(shard) as file:
                missing = len(rows)
                while missing:
                    left = left if len(left) else next(remaining)
                    count = min(missing, len(left))
                    file.write(left.data[left.ends[0] : left.ends[count]].data)
                    left = Framed(left.data, left.ends[count:])
                    missing -= count


def _framed(payloads: list[bytes]) -> Framed:
    data = np.frombuffer(frame(*payloads), np.uint8)
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return Framed(data, offsets_of(sizes + HEADER_BYTES + FOOTER_BYTES))


def _batches(payloads: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(islice(payloads, _RECORDS_PER_WRITE)):
        yield batch
