"""Tables in text: CSV with a line of names, and JSON Lines, an object a line.

Types are those of the first rows. Columns of ids are texts in any case: `007` is no number.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nsl_tools.files.readings import opened
from nsl_tools.formats.tables.table import Table, arrow_errors_as_data_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from io import BufferedReader

CSV_SUFFIXES = (".csv",)
"""Suffixes of CSV files."""
JSON_SUFFIXES = (".jsonl", ".ndjson")
"""Suffixes of JSON Lines files."""


class TextTable(Table):
    """A table that is read block by block, each time from the start."""

    def __init__(self, path: str, file: BufferedReader, texts: Collection[str]) -> None:
        """Take an open file; the columns `texts` are not read as numbers."""
        self._file, self._texts = file, texts
        self._is_csv = path.lower().endswith(CSV_SUFFIXES)
        super().__init__(path, self._reader().schema)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, at most so many at a time.

        Raises:
            DataError: a line is not like those before it.
        """
        with arrow_errors_as_data_errors(self.path, "CSV" if self._is_csv else "JSON Lines"):
            for batch in self._reader():
                chosen = batch.select(list(columns))
                for first in range(0, len(chosen), rows):
                    yield chosen.slice(first, rows)

    def _reader(self) -> Any:
        from pyarrow import csv, json  # here, since they are seldom needed

        self._file.seek(0)
        block = 8 << 20  # bytes: no line may be longer
        if not self._is_csv:
            reading = json.ReadOptions(use_threads=False, block_size=block)
            if hasattr(json, "open_json"):
                return json.open_json(self._file, reading)
            return json.read_json(self._file, reading).to_reader()  # pyarrow before 20
        types = dict.fromkeys(self._texts, pa.string())
        return csv.open_csv(
            self._file,
            csv.ReadOptions(use_threads=False, block_size=block),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(column_types=types),
        )


@contextlib.contextmanager
def opened_text(path: str, texts: Collection[str]) -> Iterator[TextTable]:
    """Open a file; it must not change until it is closed.

    Raises:
        DataError: it is not what it should be, or changed while it was read.
    """
    kind = "CSV" if path.lower().endswith(CSV_SUFFIXES) else "JSON Lines"
    with opened(path) as file:
        with arrow_errors_as_data_errors(path, kind):
            table = TextTable(path, file, texts)
        yield table
