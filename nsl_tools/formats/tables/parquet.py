"""Tables in Parquet files.

A file is read a few rows, and a few pages of each column, at a time: only some MiB of it are
in memory. A few bytes can stand for any number of values, and how many a row has is known only
when it is decoded: read within `nsl_tools.formats.tables.table.bounded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nsl_tools.errors import DataError
from nsl_tools.formats.tables.table import Table, arrow_errors_as_data_errors, checked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from io import BufferedReader

    import pyarrow as pa
    from typing_extensions import Self


class ParquetTable(Table):
    """A table that is read row group by row group."""

    format_name = "Parquet"
    suffixes = (".parquet", ".pq")
    magic = (b"PAR1",)

    def __init__(self, path: str, file: Any) -> None:
        """Take what pyarrow made of a file."""
        super().__init__(path, file.schema_arrow)
        self._file = file

    @classmethod
    def of(cls, path: str, file: BufferedReader, texts: Collection[str]) -> Self:
        """Return the table in an open file; its columns have types."""
        del texts
        import pyarrow.parquet as pq  # here, since it is slow to import and seldom needed

        # Without a buffer, all of a column of a row group is read at once.
        found = pq.ParquetFile(
            file, pre_buffer=False, buffer_size=1 << 16, page_checksum_verification=True
        )
        return cls(path, found)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, about so many at a time.

        Raises:
            DataError: a row group has not as many as the footer says, or is damaged.
        """
        with arrow_errors_as_data_errors(self.path, self.format_name):
            for group in range(self._file.num_row_groups):
                yield from self._group(group, columns, rows)

    def expected_rows(self) -> tuple[int, bool]:
        """Return how many rows there are, as the footer says."""
        return int(self._file.metadata.num_rows), True

    def spread(
        self, columns: Sequence[str], rows: int, most: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Yield the first rows of row groups that are spread over the file.

        Raises:
            DataError: a row group is damaged.
        """
        sizes = [
            int(self._file.metadata.row_group(group).num_rows)
            for group in range(self._file.num_row_groups)
        ]
        chosen = sorted({i * len(sizes) // 64 for i in range(64)} if sizes else ())
        for group in chosen:
            first, end = sum(sizes[:group]), sum(sizes[:group]) + most // len(chosen)
            with arrow_errors_as_data_errors(self.path, self.format_name):
                for batch in self._group(group, columns, rows):
                    yield group, first, batch
                    first += len(batch)
                    if first >= end:
                        break

    def _group(self, group: int, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        found, expected = 0, int(self._file.metadata.row_group(group).num_rows)
        for batch in self._file.iter_batches(
            _no_divisor(rows, expected),
            row_groups=[group],
            columns=list(columns),
            use_threads=False,
        ):
            found += len(batch)
            yield checked(batch)
        if found != expected:
            problem = f"{found:,} rows in row group {group}, its footer says {expected:,}"
            raise DataError(self.path, "", problem)


def _no_divisor(least: int, rows: int) -> int:
    """Return a number of at least 2 and `least` that does not divide a number of rows."""
    # The last batch of a row group then asks for more rows than there are. Else pyarrow would not
    # notice that one column has more rows than the other.
    step = max(2, least)
    while rows and rows % step == 0:
        step += 1
    return step
