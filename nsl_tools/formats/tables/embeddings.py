"""Embeddings in tables: a column of ids, and a column of lists of numbers, or one a dimension."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ids import shown
from nsl_tools.choices import DEFAULT_EMBEDDING_FEATURE, DEFAULT_ID_FEATURE
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.embedding_batch import EmbeddingReader
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.ids.row_ids import RowNumbers, holds_ids, id_texts
from nsl_tools.formats.numbers import as_float32
from nsl_tools.formats.table_rows import IdPlace, Rows, UsableRows
from nsl_tools.formats.tables import opening
from nsl_tools.formats.tables.table import bounded, column, storage_type
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.formats.embedding_batch import Batches, NewRows, Pieces
    from nsl_tools.formats.ids.row_ids import RowIds
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.formats.tables.table import Table
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Floats
    from nsl_tools.statistics import Statistics

    Numbers = tuple[Places, Floats, Places]
    """Lengths of rows, their numbers end to end, and the places of those that are lost."""


class TableEmbeddings(EmbeddingReader):
    """Reads Parquet, Arrow, CSV and JSON Lines.

    Where there is no column of ids and none was asked for, ids are the numbers of the rows.
    """

    format_name = "a table"
    suffixes = tuple(suffix for table in opening.TABLES for suffix in table.suffixes)
    magic = tuple(start for table in opening.TABLES for start in table.magic)
    uses = frozenset({"id_feature", "embedding_feature", "embedding_columns", "ids"})

    _first: _Columns | None = None

    def check_options(self, *, seeded: bool) -> None:
        """Refuse options that are not for these files, and two that say the same."""
        super().check_options(seeded=seeded)
        given = self._options
        if given.id_feature == given.embedding_feature and not given.embedding_columns:
            raise UsageError(
                f"--embedding-feature-name: expected another column than that of the ids, "
                f"received {given.embedding_feature!r}"
            )
        if given.embedding_columns and given.embedding_feature != DEFAULT_EMBEDDING_FEATURE:
            raise UsageError("--embedding-columns: expected none with --embedding-feature-name")
        if given.ids and given.id_feature != DEFAULT_ID_FEATURE and not seeded:
            raise UsageError("--ids: expected none with --id-feature-name")

    def expected_rows(self) -> tuple[int, bool]:
        """Return about how many rows there are, as every reader does."""
        found = []
        for path in self._paths:
            with opening.opened_table(path, [self._options.id_feature]) as table:
                found.append(table.expected_rows())
        return sum(rows for rows, _ in found), all(exact for _, exact in found)

    def spread(self, skipped: SkippedRecords, most_bytes: int) -> Pieces:
        """Yield rows from places spread over the files, as every reader does."""
        usable = UsableRows(skipped.statistics)
        limit = memory_of(self._options).limit
        number = -1
        with bounded(limit), row_ids(self._options.ids, skipped.statistics) as ids:
            for path in self._paths:
                place = -1
                for group, rows in self._spread_rows(path, ids, most_bytes // len(self._paths)):
                    number += group != place
                    place = group
                    yield from ((number, batch) for batch in usable.batches(rows))

    def _spread_rows(self, path: str, ids: RowIds, most_bytes: int) -> Iterator[tuple[int, Rows]]:
        with opening.opened_table(path, [self._options.id_feature]) as table:
            found = _Columns(table, self._options)
            self._require_alike(found)
            at_once = found.rows_at_once(TUNING.table_bytes)
            # As many rows as make up a block take about its bytes.
            most = at_once * max(1, most_bytes // TUNING.table_bytes)
            before = ids.taken if isinstance(ids, RowNumbers) else None
            for group, first, batch in table.spread(found.names, at_once, most):
                if before is not None:
                    ids.taken = before + first
                if len(batch):
                    yield group, _rows(found, ids, first, batch)

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:  # noqa: ARG002 - a row may be refused after it is read
        """Yield all rows that can be used, in order, as every reader does."""
        limit = memory_of(self._options).limit
        usable = UsableRows(skipped.statistics)
        # Around it all: what the rows of a batch take is bounded while they are used, too.
        with bounded(limit), row_ids(self._options.ids, skipped.statistics) as ids:
            for path in self._paths:
                done = 0
                try:
                    for rows in self._rows_of(path, ids, skipped.statistics):
                        yield from usable.batches(rows)
                        done = rows.first + len(rows.lengths)
                except MemoryError as err:
                    problem = (
                        f"they take more memory than --memory-limit {shown_size(limit)}, or "
                        "ulimit, leaves: raise it, if rows that large are right"
                    )
                    raise DataError(path, f"rows from {done}", problem) from err
            if self._options.ids and (more := ids.rest()):
                problem = f"{ids.taken + more:,} ids, expected {ids.taken:,}, one for each row"
                raise DataError(ids.name, "", problem)

    def _rows_of(self, path: str, ids: RowIds, statistics: Statistics) -> Iterator[Rows]:
        with opening.opened_table(path, [self._options.id_feature]) as table:
            found = _Columns(table, self._options)
            self._require_alike(found)
            if found.id is None and not self._options.ids:
                reason = f"no column {DEFAULT_ID_FEATURE!r}, no --ids: ids are the rows' numbers"
                statistics.warnings[f"{path}: {reason}"] = 1
            first = 0
            batches = table.batches(found.names, found.rows_at_once(TUNING.table_bytes))
            for batch in table.counted(batches, self.read):
                if len(batch):
                    yield _rows(found, ids, first, batch)
                first += len(batch)

    def _require_alike(self, found: _Columns) -> None:
        """Refuse a table with other columns than the first: numbers would change their meaning."""
        if self._first is None:
            self._first = found
        first, path = self._first, found.table.path
        if found.id != first.id:
            problem = f"ids in column {found.id!r}, those of {first.table.path} are in {first.id!r}"
            raise DataError(path, "", problem.replace("column None", "no column"))
        if found.embedding != first.embedding:
            listed = ", ".join(found.embedding[:8])
            before = ", ".join(first.embedding[:8])
            raise DataError(path, "", f"columns {listed}, those of {first.table.path} are {before}")


@dataclass(frozen=True)
class _Columns:
    """Which columns of a table are read."""

    table: Table
    options: BuildGraphOptions

    @cached_property
    def id(self) -> str | None:
        """That of the ids; None if these come from elsewhere."""
        name = self.options.id_feature
        absent = name == DEFAULT_ID_FEATURE and name not in self.table.names
        if self.options.ids or absent:
            return None
        self._check(
            name, self.table.column_type(name), holds_ids, "strings, bytes or whole numbers"
        )
        return name

    @cached_property
    def embedding(self) -> list[str]:
        """That of the lists, or those of the dimensions."""
        pattern = self.options.embedding_columns
        if not pattern:
            name = self.options.embedding_feature
            kind = self.table.column_type(name)
            self._check(name, kind, _is_list_of_numbers, "lists of numbers")
            return [name]
        # The ids are no dimension, even where others are given by --ids.
        known = [name for name in self.table.names if name != self.options.id_feature]
        patterns = pattern.split(",")
        for one in patterns:
            if not any(fnmatchcase(name, one) for name in known):
                problem = f"no column {one!r}, expected one a dimension; it has "
                raise DataError(self.table.path, "", problem + ", ".join(known[:8]))
        names = [name for name in known if any(fnmatchcase(name, one) for one in patterns)]
        for name in names:
            self._check(name, self.table.column_type(name), _is_number, "numbers")
        return names

    @property
    def names(self) -> list[str]:
        return [*([] if self.id is None else [self.id]), *self.embedding]

    def _check(
        self, name: str, kind: pa.DataType, fits: Callable[[pa.DataType], bool], expected: str
    ) -> None:
        if not fits(storage_type(kind)):
            problem = f"column {name!r} is of type {shown(str(kind).encode())}, expected {expected}"
            raise DataError(self.table.path, "", problem)

    def numbers(self, batch: pa.RecordBatch) -> Numbers:
        """Return the numbers of some rows."""
        if not self.options.embedding_columns:
            return _listed(column(batch, self.embedding[0]))
        vectors = np.empty((len(batch), len(self.embedding)), np.float32)
        lost = []
        for place, name in enumerate(self.embedding):
            vectors[:, place], rows = _floats(column(batch, name))
            lost.append(rows * len(self.embedding) + place)
        lengths = np.full(len(batch), len(self.embedding), np.int64)
        return lengths, vectors.reshape(-1), np.sort(np.concatenate(lost))

    def rows_at_once(self, block_bytes: int) -> int:
        """Return how many rows to decode at once, by the first that has an embedding."""
        peeked, most = 64, 4096
        # Not by the footer: if what it says of columns is damaged, pyarrow ends the process.
        for batch in islice(self.table.batches(self.names, 1), peeked):
            if len(batch) and (numbers := self.numbers(batch)[1]).size:
                ids = 0 if self.id is None else int(id_texts(column(batch, self.id)).nbytes)
                beside = 16  # bytes of a row, beside its text and its numbers
                return min(
                    most, max(1, block_bytes * len(batch) // (numbers.nbytes + ids + beside))
                )
        return peeked


def _rows(columns: _Columns, ids: RowIds, first: int, batch: pa.RecordBatch) -> Rows:
    place = IdPlace(ids.name, ids.noun, ids.first + ids.taken) if ids.name else None
    if columns.id is not None:
        names = id_texts(column(batch, columns.id))
    elif len(names := ids.take(len(batch))) < len(batch):
        problem = f"{ids.taken:,} ids, expected one for each row of {columns.table.path}"
        raise DataError(ids.name, "", problem)
    lengths, values, lost = columns.numbers(batch)
    return Rows(columns.table.path, first, names, lengths, values, lost, place)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    lists = pa.ListType | pa.LargeListType | pa.FixedSizeListType | pa.ListViewType
    return isinstance(kind, lists) and _is_number(kind.value_type)


def _listed(lists: pa.Array) -> Numbers:
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    values, lost = _floats(pc.list_flatten(lists))
    return lengths.astype(np.int64), values, lost


def _floats(values: pa.Array) -> tuple[Floats, Places]:
    """Return numbers as float32, and the places of those that are null or do not fit."""
    if not len(values):
        return np.empty(0, np.float32), np.empty(0, np.int64)
    # `to_numpy` would turn numbers of which one is null into other numbers, or objects.
    letter = "f" if pa.types.is_floating(values.type) else str(values.type)[0]
    kind = np.dtype(f"{letter}{values.type.bit_width // 8}")
    numbers = np.frombuffer(values.buffers()[1], kind)[values.offset :][: len(values)]
    found, lost = as_float32(numbers)
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        found = np.where(missing, np.float32(0), found)
        lost = np.union1d(np.flatnonzero(missing), lost)
    return found, lost
