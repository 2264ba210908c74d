"""Ids in a text file: one a line, read as they are needed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.ids import texts_at
from nsl_tools.errors import DataError
from nsl_tools.files.decompression import decompressed
from nsl_tools.files.streams import CHUNK, source, without_bom
from nsl_tools.formats.ids.row_ids import BlockIds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from nsl_tools.arrays.byte_spans import Bytes
    from nsl_tools.files.streams import ByteStream
    from nsl_tools.statistics import Statistics


class IdLines(BlockIds):
    """The ids of a text file, in order: a line each, which ends in LF or CRLF."""

    noun = "line"
    first = 1

    def __init__(self, stream: ByteStream, name: str, statistics: Statistics) -> None:
        """Read from `stream`; count in `statistics` what is odd."""
        text = without_bom(decompressed(stream, name), name)
        super().__init__(name, _texts(text, name, statistics))


@contextlib.contextmanager
def id_lines(path: str, statistics: Statistics) -> Iterator[IdLines]:
    """Open a file, pipe or standard input of ids; a file must not change until it is closed.

    Raises:
        DataError: it cannot be read.
    """
    once = source(path)
    with once.open() as stream:
        yield IdLines(stream, once.name, statistics)


def _texts(stream: ByteStream, name: str, statistics: Statistics) -> Iterator[pa.Array]:
    """Yield the ids of some lines at a time."""
    line, rest = 1, b""
    longest = 1 << 20  # bytes of a line: a file without newlines is not read to its end
    while data := stream.read(CHUNK):
        whole, mark, rest = (rest + data).rpartition(b"\n")
        if mark:
            ids = _split(np.frombuffer(whole + mark, np.uint8))
            yield ids
            line += len(ids)
        if len(rest) > longest:
            raise DataError(name, f"line {line}", f"longer than {longest} bytes: no id")
    if rest:
        statistics.warnings[f"{name}: no newline at the end: is the file complete?"] += 1
        yield _split(np.frombuffer(rest + b"\n", np.uint8))


def _split(text: Bytes) -> pa.Array:
    """Return whole lines as a binary array, without their ends."""
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    # The byte before a blank line is the LF of the line before.
    lengths = ends - starts - (text[ends - 1] == ord("\r")) * (ends > starts)
    return texts_at(text, starts, lengths)
