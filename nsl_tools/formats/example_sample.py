"""Some examples of a file of any format, as records in memory, and about how many there are."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError
from nsl_tools.files.streams import Source, source
from nsl_tools.formats.tables.examples import encoded
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.table import bounded
from nsl_tools.formats.tfrecord.frames import seal
from nsl_tools.formats.tfrecord.sample import sample_records
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from nsl_tools.options import RunOptions


@dataclass(frozen=True)
class ExampleSample:
    """Some examples of one file.

    Attributes:
        source: a source of them, to be read as often as needed.
        share: which part of the file they are, about; 1 if they are all.
        rows: how many the whole file has, if its header says so.
        spooled: the bytes of records of the sample that the run copies to a scratch file.
    """

    source: Source
    share: float = 1.0
    rows: int | None = None
    spooled: int = 0


def sample_examples(path: str, options: RunOptions, most_bytes: int) -> ExampleSample:
    """Return examples of a file: all, if it is small, else some, or the first ones of a table.

    Args:
        path: a TFRecord file or a table.
        options: of the run.
        most_bytes: about how many bytes of records to take at most.

    Raises:
        DataError: it cannot be read, or is not what it should be, as far as it is read.
    """
    found = source(path, options)
    if is_table(path):
        return _of_table(path, found, options, most_bytes)
    if (found.size() or 0) <= most_bytes:
        return ExampleSample(found)
    sample = sample_records(found, most_bytes)
    spooled = replace(found, spool=io.BytesIO(sample.framed()))
    return ExampleSample(spooled, sample.count / max(1.0, sample.expected))


def _of_table(path: str, found: Source, options: RunOptions, most_bytes: int) -> ExampleSample:
    limit = memory_of(options).limit
    out, count, share, rows = io.BytesIO(), 0, 1.0, None
    try:
        with bounded(limit):
            for records in encoded(path, options.id_feature, found.read):
                out.write(seal(records).data.data)
                count += len(records)
                if out.tell() > most_bytes:
                    with opened_table(path, [options.id_feature]) as table:
                        expected, is_exact = table.expected_rows()
                    share, rows = min(1.0, count / expected), expected if is_exact else None
                    break
    except MemoryError as err:
        problem = f"rows take more memory than --memory-limit {shown_size(limit)} leaves"
        raise DataError(path, "", f"{problem}: raise it, if that is right") from err
    spool = io.BytesIO(out.getvalue())
    return ExampleSample(replace(found, spool=spool, noun="row"), share, rows, out.tell())
