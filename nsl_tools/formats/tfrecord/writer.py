"""TFRecord output: payloads to framed records, in one file or a shard set."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.errors import UsageError
from nsl_tools.files.paths import shard_set_of
from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nsl_tools.files.compression import ByteSink


def refuse_zstd(path: str) -> None:
    """Refuse an output of records whose name asks for Zstandard, which TensorFlow does not read.

    Raises:
        UsageError: it does.
    """
    base, _ = shard_set_of(path) or (path, 1)
    if base.endswith(".zst"):
        raise UsageError(f"{path}: records are compressed as .gz, or not, received .zst")


def write_records(
    path: str, payloads: Iterable[bytes], total: int, compression: str = "auto"
) -> None:
    """Write exactly `total` payloads to output `path`: a file, `base@N` or `-`.

    Raises:
        OutputError: an output cannot be written.
    """
    with ShardSet(path, compression) as shards:
        write_framed(shards, map(_framed, _batches(iter(payloads))), total)


class RecordSink(Protocol):
    """What writes records to one file."""

    def add(self, records: Framed, /) -> None:
        """Write some records."""

    def finish(self) -> None:
        """Write what comes at the end."""


class RecordFile:
    """Writes records as they are."""

    def __init__(self, file: ByteSink) -> None:
        self._file = file

    def add(self, records: Framed, /) -> None:
        """Write some records."""
        self._file.write(records.data[records.ends[0] : records.ends[-1]].data)

    def finish(self) -> None:
        """Do nothing: records are all."""


def write_framed(
    shards: ShardSet,
    batches: Iterable[Framed],
    total: int,
    begin: Callable[[ByteSink], RecordSink] = RecordFile,
) -> None:
    """Write batches of records, exactly `total` of them, to the files of a set.

    Args:
        shards: the files.
        batches: of records.
        total: how many there are.
        begin: returns what writes them to a file.

    Raises:
        OutputError: an output cannot be written.
    """
    remaining = iter(batches)
    left = Framed(np.empty(0, np.uint8), np.zeros(1, np.int64))
    for path, rows in shards.parts(total):
        with shards.open_part(path) as file:
            sink = begin(file)
            while (missing := len(rows) - file.records) > 0:
                left = left if len(left) else next(remaining)
                count = min(missing, len(left))
                sink.add(Framed(left.data, left.ends[: count + 1]))
                left = Framed(left.data, left.ends[count:])
                file.records += count
            sink.finish()
    # The iterator may find, after its last record, that an input has changed.
    for _ in remaining:
        pass


def _framed(payloads: list[bytes]) -> Framed:
    data = np.frombuffer(frame(*payloads), np.uint8)
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return Framed(data, offsets_of(sizes + HEADER_BYTES + FOOTER_BYTES))


def _batches(payloads: Iterator[bytes]) -> Iterator[list[bytes]]:
    together = 256  # records that are framed, and written, at once
    while batch := list(islice(payloads, together)):
        yield batch
