"""Tables in Arrow's own format, files (Feather) and streams (as `datasets` of Hugging Face keeps).

A file consists of record batches, each of which is in memory at once: read within
`nsl_tools.formats.tables.table.bounded`. It is not mapped, since a mapped file that is cut
meanwhile ends the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nsl_tools.files.filesystem import state_of_open
from nsl_tools.formats.tables.table import Table, arrow_errors_as_data_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from io import BufferedReader

    from typing_extensions import Self


class ArrowTable(Table):
    """A table that is read record batch by record batch."""

    format_name = "Arrow"
    suffixes = (".arrow", ".arrows", ".feather", ".ipc")
    magic = (b"ARROW1", b"\xff\xff\xff\xff")  # of a file, and of each message of a stream

    def __init__(self, path: str, file: BufferedReader) -> None:
        """Take an open file, of either kind."""
        self._file = file
        super().__init__(path, self._reader(None).schema)

    @classmethod
    def of(cls, path: str, file: BufferedReader, texts: Collection[str]) -> Self:
        """Return the table in an open file; its columns have types."""
        del texts
        return cls(path, file)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, at most so many at a time.

        Raises:
            DataError: the file is damaged.
        """
        with arrow_errors_as_data_errors(self.path, self.format_name):
            places = sorted(self.names.index(name) for name in columns)
            for batch in _batches(self._reader(places)):
                # pyarrow would believe any offset, and read what is not its own.
                batch.validate(full=True)
                for first in range(0, len(batch), rows):
                    yield batch.slice(first, rows)

    def expected_rows(self) -> tuple[int, bool]:
        """Return how many rows a file has; of a stream, about how many.

        Raises:
            DataError: the file is damaged.
        """
        with arrow_errors_as_data_errors(self.path, self.format_name):
            reader, size, taken, rows = self._reader(None), state_of_open(self._file).size, 0, 0
            if hasattr(reader, "count_rows"):  # of a file, in newer versions of pyarrow
                return int(reader.count_rows()), True
            enough = 1 << 24  # bytes, by which the others are judged
            for batch in _batches(reader):
                rows, taken = rows + len(batch), taken + batch.nbytes
                if taken > enough:
                    return round(rows * size / taken), False
            return rows, True

    def _reader(self, places: list[int] | None) -> Any:
        self._file.seek(0)
        is_file = self._file.read(len(self.magic[0])) == self.magic[0]
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
