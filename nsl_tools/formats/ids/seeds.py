"""The ids of seeds: those of examples, or lists of ids in any of their forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from nsl_tools.arrays.ids import IdColumn, certainly_valid, first_bad_id, id_problem
from nsl_tools.errors import DataError
from nsl_tools.files.decompression import inflated_head, looks_gzipped, looks_zlibbed
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.streams import read_exactly, rereadable, source
from nsl_tools.formats.example_batch import Places, ids_of, read_decoded, refuse_empty, unrepeated
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.ids.lines import IdLines
from nsl_tools.formats.matrices.npy_header import MAGIC
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.opening import is_table
from nsl_tools.formats.tfrecord.frames import HEADER_BYTES
from nsl_tools.formats.tfrecord.reader import check_start
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.files.streams import Source
    from nsl_tools.formats.ids.row_ids import RowIds
    from nsl_tools.options import RunOptions
    from nsl_tools.progress import Work
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class SeedIds:
    """Where the ids of seeds are.

    Attributes:
        paths: TFRecord files of examples, or lists of ids as `row_ids` reads them.
        column: of tables, that holds the id; None for that of `--id-feature-name`.
        options: of the run.
    """

    paths: Sequence[str]
    column: str | None
    options: RunOptions

    @property
    def name(self) -> str:
        """The name of the feature or column that holds the id."""
        return self.column or self.options.id_feature

    def read(self, statistics: Statistics, work: Work | None = None) -> pa.Array:
        """Return the ids of all seeds, each once, in order; `work` counts bytes of examples.

        Raises:
            DataError: a file, a record or an id is not what it should be, or there is none.
            UsageError: they take more memory than they may.
        """
        skipped = SkippedRecords(statistics, self.options.on_duplicate)
        ids = IdColumn(self.paths[0], memory_of(self.options))
        places = Places()
        for path in self.paths:
            with rereadable(source(path, self.options, work), _check_start) as found:
                self._add(path, found, skipped, ids, places)
        refuse_empty(len(places), [source(path) for path in self.paths], self.options)
        every = ids.array()
        kept = unrepeated(every, skipped, places)
        return every if isinstance(kept, slice) else every.take(pa.array(kept))

    def _add(
        self, path: str, found: Source, skipped: SkippedRecords, ids: IdColumn, places: Places
    ) -> None:
        """Add the ids of one file, which is also open as `found`."""
        if path != STANDARD_STREAM and is_table(path):
            with row_ids(f"{path}:{self.name}", skipped.statistics) as rows:
                _add_list(rows, ids, places)
        elif self.column is not None:
            raise DataError(found.name, "", f"is no table, which had a column {self.column!r}")
        elif path != STANDARD_STREAM and first_bytes(path, len(MAGIC)) == MAGIC:
            with row_ids(path, skipped.statistics) as rows:
                _add_list(rows, ids, places)
        elif is_text(found):
            with found.open() as stream:
                _add_list(IdLines(stream, found.name, skipped.statistics), ids, places)
        else:
            for batch, some in read_decoded([found], skipped, lambda b: ids_of(b, self.name)):
                ids.add(some)
                places.add(batch.records)


def is_text(found: Source) -> bool:
    """Tell whether a file, or what it was compressed from, is text and no records."""
    with found.open() as stream:
        return _starts_as_text(read_exactly(stream, 1 << 12))


def _check_start(name: str, head: bytes) -> None:
    """Refuse a stream that starts neither as text nor as records: it may have no end."""
    if not _starts_as_text(head):
        check_start(name, head)


def _starts_as_text(head: bytes) -> bool:
    if looks_gzipped(head) or looks_zlibbed(head):
        # Text may start as ZLIB does, and is then not decompressed.
        head = inflated_head(head, HEADER_BYTES) or head
    # The length of a record, eight bytes, is never so large that none of them is 0.
    return bool(head) and 0 not in head[:HEADER_BYTES]


def _add_list(found: RowIds, ids: IdColumn, places: Places) -> None:
    rows = 1 << 14  # at once
    while len(block := found.take(rows)):
        first = found.first + found.taken - len(block)
        _check(found.name, found.noun, first, block)
        ids.add(block)
        places.add_numbers(found.name, range(first, first + len(block)), found.noun)


def _check(name: str, noun: str, first: int, block: pa.Array) -> None:
    if not block.null_count and certainly_valid(block):
        return
    names = block.to_pylist()
    bad = names.index(None) if None in names else first_bad_id(names)
    if bad is not None:
        problem = "the id is missing" if names[bad] is None else str(id_problem(names[bad]))
        raise DataError(name, f"{noun} {first + bad}", problem)
