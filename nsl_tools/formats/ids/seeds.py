"""The ids of seeds: those of examples, or lists of ids in any of their forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from nsl_tools.arrays.ids import IdColumn, certainly_valid, first_bad_id, id_problem
from nsl_tools.errors import DataError
from nsl_tools.files.decompression import looks_gzipped, looks_zlibbed
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import Places, ids_of, read_decoded, refuse_empty, unrepeated
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.matrices.npy_header import MAGIC
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.opening import is_table
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.options import RunOptions
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class SeedIds:
    """Where the ids of seeds are.

    Attributes:
        paths: TFRecord files of examples, or lists of ids as `row_ids` reads them.
        name: of the feature, or of the column, that holds the id.
        options: of the run.
    """

    paths: Sequence[str]
    name: str
    options: RunOptions

    def read(self, statistics: Statistics) -> pa.Array:
        """Return the ids of all seeds, each once, in order.

        Raises:
            DataError: a file, a record or an id is not what it should be, or there is none.
            UsageError: they take more memory than they may.
        """
        skipped = SkippedRecords(statistics, self.options.on_duplicate)
        ids = IdColumn(self.paths[0], memory_of(self.options))
        places = Places()
        for path in self.paths:
            if _is_list(path):
                _add_list(path, self.name, statistics, ids, places)
                continue
            sources = [source(path, self.options)]
            for batch, found in read_decoded(sources, skipped, lambda b: ids_of(b, self.name)):
                ids.add(found)
                places.add(batch.records)
        refuse_empty(len(places), [source(path) for path in self.paths], self.options)
        every = ids.array()
        kept = unrepeated(every, skipped, places)
        return every if isinstance(kept, slice) else every.take(pa.array(kept))


def _is_list(path: str) -> bool:
    """Tell whether a file is a table, an array or text, by its first bytes: no records."""
    if path == STANDARD_STREAM:
        return False
    if is_table(path):
        return True
    head = first_bytes(path, 12)
    if head.startswith(MAGIC):
        return True
    # The length of a record, eight bytes, is never so large that none of them is 0.
    return bool(head) and 0 not in head and not looks_gzipped(head) and not looks_zlibbed(head)


def _add_list(path: str, name: str, statistics: Statistics, ids: IdColumn, places: Places) -> None:
    rows = 1 << 14  # at once
    with row_ids(f"{path}:{name}" if is_table(path) else path, statistics) as found:
        while len(block := found.take(rows)):
            first = found.first + found.taken - len(block)
            _check(found.name, found.noun, first, block)
            ids.add(block)
            places.add_numbers(found.name, range(first, first + len(block)))


def _check(name: str, noun: str, first: int, block: pa.Array) -> None:
    if not block.null_count and certainly_valid(block):
        return
    names = block.to_pylist()
    bad = names.index(None) if None in names else first_bad_id(names)
    if bad is not None:
        problem = "the id is missing" if names[bad] is None else str(id_problem(names[bad]))
        raise DataError(name, f"{noun} {first + bad}", problem)
