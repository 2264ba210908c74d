"""A table in an open file: named columns, read some rows at a time."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from nsl_tools.errors import DataError
from nsl_tools.files.readings import opened
from nsl_tools.memory import held_within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from io import BufferedReader

    from typing_extensions import Self

    from nsl_tools.progress import Work


class Table(ABC):
    """A table of one format.

    Attributes:
        format_name: of the format, for messages.
        suffixes: of the names of its files.
        magic: how its files start, if they always start alike.
        path: of the file.
        schema: names and types of the columns.
        names: of the columns.
        place: returns where in the open file reading goes on.
    """

    format_name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    magic: ClassVar[tuple[bytes, ...]] = ()
    place: Callable[[], int]

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        # Arrow decodes them only now, and raises if one is not UTF-8.
        self.names: list[str] = schema.names

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: str, texts: Collection[str] = ()) -> Iterator[Self]:
        """Open a file; it must not change until it is closed.

        Args:
            path: of the file.
            texts: columns that are texts, where the format does not say so.

        Raises:
            DataError: it is not what it should be, or changed while it was read.
        """
        with opened(path) as file:
            with arrow_errors_as_data_errors(path, cls.format_name):
                table = cls.of(path, file, texts)
            table.place = file.tell
            yield table

    @classmethod
    @abstractmethod
    def of(cls, path: str, file: BufferedReader, texts: Collection[str]) -> Self:
        """Return the table in an open file, as `opened` does, but with Arrow's errors."""

    @abstractmethod
    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows from the start, about so many at a time.

        Args:
            columns: names of those to read; of a batch, they may be in another order.
            rows: how many.

        Raises:
            DataError: the file is damaged.
        """

    @abstractmethod
    def expected_rows(self) -> tuple[int, bool]:
        """Return about how many rows there are, and whether that is exactly so.

        Raises:
            DataError: the file is damaged.
        """

    def spread(
        self, columns: Sequence[str], rows: int, most: int
    ) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Yield some rows: the first ones, where others are not read without these.

        Args:
            columns: as of `batches`.
            rows: how many at a time.
            most: how many at most, about.

        Yields:
            The number of the place that the rows are from, that of the first of them, and they.

        Raises:
            DataError: the file is damaged.
        """
        first = 0
        for batch in self.batches(columns, rows):
            yield 0, first, batch
            first += len(batch)
            if first >= most:
                return

    def counted(self, batches: Iterable[pa.RecordBatch], read: Work) -> Iterator[pa.RecordBatch]:
        """Yield what `batches` does; count in `read` how far in the file that is."""
        done = 0
        for batch in batches:
            before, done = done, max(done, self.place())
            read.add(done - before)
            yield batch

    def rows_at_once(self, columns: Sequence[str], block_bytes: int) -> int:
        """Return how many rows make about so many bytes, by the first that there are.

        Raises:
            DataError: the file is damaged.
        """
        peeked, most = 64, 1 << 16
        for batch in self.batches(columns, peeked):
            if len(batch):
                row_bytes = max(1, int(batch.nbytes) // len(batch))
                return min(most, max(1, block_bytes // row_bytes))
        return peeked

    def column_type(self, name: str) -> pa.DataType:
        """Return the type of the column with the name; a field within a column does not count.

        Raises:
            DataError: there is no such column, or more than one.
        """
        places = [place for place, known in enumerate(self.names) if known == name]
        if not places:
            found = ", ".join(self.names[:8])
            raise DataError(self.path, "", f"no column {name!r}, expected one; it has {found}")
        if len(places) > 1:
            raise DataError(self.path, "", f"{len(places)} columns {name!r}, expected one")
        return self.schema.field(places[0]).type


def column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return the column of a batch with a name, as it is stored: an extension is taken off."""
    found = batch.column(batch.schema.names.index(name))
    return found.storage if isinstance(found.type, pa.BaseExtensionType) else found


def checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose dictionaries have all values that its rows name.

    Raises:
        pa.ArrowInvalid: one has not: the file is damaged.
    """
    for values in batch.columns:
        if "dictionary" in str(values.type):  # of lists, too
            values.validate(full=True)
    return batch


def storage_type(kind: pa.DataType) -> pa.DataType:
    """Return the type as which values of another type are stored."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


@contextlib.contextmanager
def arrow_errors_as_data_errors(path: str, kind: str) -> Iterator[None]:
    """Turn what pyarrow says of a file, which should be of a `kind`, into a DataError."""
    try:
        yield
    except UnicodeDecodeError as err:
        raise DataError(path, "", "the name of a column is not UTF-8") from err
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as err:
        if "MemoryError" in str(err):  # raised while Python read for Arrow
            raise MemoryError(str(err)) from err
        raise DataError(path, "", f"cannot be read as {kind}: {err}") from err


@contextlib.contextmanager
def bounded(limit: int) -> Iterator[None]:
    """Let this process grow by no more than `limit` bytes, where the system can enforce that.

    What would take more raises MemoryError.
    """
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - their own memory does not count

    # Arrow's own pool reserves memory by the GiB, so that its size says nothing about its use.
    # Some of Arrow uses it in any case: what it reserves is there before memory is counted.
    pool, threads = pa.default_memory_pool(), pa.io_thread_count()
    pa.allocate_buffer(1 << 16, memory_pool=pool)
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_io_thread_count(1)  # the stack of each counts, 8 MB
    try:
        with held_within(limit):
            yield
    finally:
        pa.set_memory_pool(pool)
        pa.set_io_thread_count(threads)
