"""Tables in Arrow's own format, files (Feather) and streams (as `datasets` of Hugging Face keeps).

A file consists of record batches, each of which is in memory at once: read within
`nsl_tools.formats.tables.table.bounded`. It is not mapped, since a mapped file that is cut
meanwhile ends the process.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nsl_tools.files.readings import opened
from nsl_tools.formats.tables.table import Table, arrow_errors_as_data_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

FILE_MAGIC = b"ARROW1"
"""How a file starts."""
STREAM_MAGIC = b"\xff\xff\xff\xff"
"""How a stream starts, as any of its messages."""


class ArrowTable(Table):
    """A table that is read record batch by record batch."""

    def __init__(self, path: str, file: BufferedReader) -> None:
        """Take an open file, of either kind."""
        self._file = file
        super().__init__(path, self._reader(None).schema)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, at most so many at a time.

        Raises:
            DataError: the file is damaged.
        """
        with arrow_errors_as_data_errors(self.path, "Arrow"):
            places = sorted(self.schema.names.index(name) for name in columns)
            for batch in _batches(self._reader(places)):
                # pyarrow would believe any offset, and read what is not its own.
                batch.validate(full=True)
                for first in range(0, len(batch), rows):
                    yield batch.slice(first, rows)

    def _reader(self, places: list[int] | None) -> Any:
        self._file.seek(0)
        is_file = self._file.read(len(FILE_MAGIC)) == FILE_MAGIC
        self._file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
        opening = pa.ipc.open_file if is_file else pa.ipc.open_stream
        return opening(self._file, options=options)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        yield from reader


@contextlib.contextmanager
def opened_arrow(path: str) -> Iterator[ArrowTable]:
    """Open a file; it must not change until it is closed.

    Raises:
        DataError: it is not what it should be, or changed while it was read.
    """
    with opened(path) as file:
        with arrow_errors_as_data_errors(path, "Arrow"):
            table = ArrowTable(path, file)
        yield table
