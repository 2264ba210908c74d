"""Tables in text: CSV with a line of names, and JSON Lines, an object a line.

Types are those of the first rows. Columns of ids are texts in any case: `007` is no number.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nsl_tools.files.filesystem import state_of_open
from nsl_tools.formats.tables.table import Table, arrow_errors_as_data_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from io import BufferedReader

    from typing_extensions import Self


class TextTable(Table):
    """A table that is read block by block, each time from the start."""

    block_bytes = 8 << 20
    """What is read at once: no line may be longer."""
    lines_of_names = 0
    """Lines before the first row."""

    def __init__(self, path: str, file: BufferedReader, texts: Collection[str]) -> None:
        """Take an open file; the columns `texts` are not read as numbers."""
        self._file, self._texts = file, texts
        super().__init__(path, self._from_start().schema)

    @classmethod
    def of(cls, path: str, file: BufferedReader, texts: Collection[str]) -> Self:
        """Return the table in an open file."""
        return cls(path, file, texts)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, at most so many at a time.

        Raises:
            DataError: a line is not like those before it.
        """
        with arrow_errors_as_data_errors(self.path, self.format_name):
            for batch in self._from_start():
                chosen = batch.select(list(columns))
                for first in range(0, len(chosen), rows):
                    yield chosen.slice(first, rows)

    def expected_rows(self) -> tuple[int, bool]:
        """Return about how many rows there are, by how long the first lines are."""
        self._file.seek(0)
        head, size = self._file.read(self.block_bytes), state_of_open(self._file).size
        lines = head.count(b"\n") + (len(head) == size and not head.endswith(b"\n"))
        rows = lines * size / max(1, len(head)) - self.lines_of_names
        # A text in quotes may have several lines, a blank line is no row.
        return max(0, round(rows)), False

    def _from_start(self) -> Any:
        self._file.seek(0)
        return self._reader()

    @abstractmethod
    def _reader(self) -> Any:
        """Return Arrow's reader of what follows in the file."""


class CsvTable(TextTable):
    """A table in CSV."""

    format_name = "CSV"
    suffixes = (".csv",)
    lines_of_names = 1

    def _reader(self) -> Any:
        from pyarrow import csv  # here, since it is seldom needed

        return csv.open_csv(
            self._file,
            csv.ReadOptions(use_threads=False, block_size=self.block_bytes),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(column_types=dict.fromkeys(self._texts, pa.string())),
        )


class JsonTable(TextTable):
    """A table in JSON Lines."""

    format_name = "JSON Lines"
    suffixes = (".jsonl", ".ndjson")

    def _reader(self) -> Any:
        from pyarrow import json  # here, since it is seldom needed

        reading = json.ReadOptions(use_threads=False, block_size=self.block_bytes)
        if hasattr(json, "open_json"):
            return json.open_json(self._file, reading)
        return json.read_json(self._file, reading).to_reader()  # pyarrow before 20
