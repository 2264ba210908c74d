"""TFRecord output: payloads to framed records, in one file or a shard set.

Shards are contiguous and even: shard `i` of `N` holds records `total * i // N`
up to `total * (i + 1) // N`, so that the shards one after the other are the
single file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.output import Outputs
from nsl_tools.shards import resolve_output, split_evenly
from nsl_tools.tfrecord import frame

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
    remaining = iter(payloads)
    shards = resolve_output(path)
    with Outputs(compression) as outputs:
        for shard, rows in zip(shards, split_evenly(total, len(shards)), strict=True):
            with outputs.open(shard) as file:
                for batch in _batches(remaining, len(rows)):
                    file.write(frame(*batch))


def _batches(payloads: Iterator[bytes], count: int) -> Iterator[list[bytes]]:
    while count:
        batch = [next(payloads) for _ in range(min(count, _RECORDS_PER_WRITE))]
        count -= len(batch)
        yield batch
