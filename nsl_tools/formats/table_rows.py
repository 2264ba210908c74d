"""Rows of a table as they are read, and those of them that can be used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.arrays.fingerprints import spans_of
from nsl_tools.arrays.ids import certainly_valid, first_bad_id, id_problem, texts_at
from nsl_tools.errors import DataError
from nsl_tools.formats.embedding_batch import EmbeddingBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.spill.matrix import Floats
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class IdPlace:
    """Where the ids of some rows are, if in another file.

    Attributes:
        source: that file.
        noun: what it has for each id.
        first: the number of that for the first row.
    """

    source: str
    noun: str
    first: int

    def of(self, row: int) -> str:
        """Return where the id of a row is, in words."""
        return f" ({self.noun} {self.first + row} of {self.source})"


@dataclass(frozen=True)
class Rows:
    """Consecutive rows, as they are read.

    Attributes:
        source: the file that holds them.
        first: the number of the first of them.
        ids: binary array of length n; null where there is none.
        lengths: how many numbers each has, shape (n,); -1 where there is no list of them.
        values: the numbers of all rows, end to end.
        lost: places in `values` where a number is missing (0 stands there) or is a whole one
            that float32 does not hold.
        ids_place: where the ids are, if in another file.
    """

    source: str
    first: int
    ids: pa.Array
    lengths: Places
    values: Floats
    lost: Places
    ids_place: IdPlace | None = None

    def error(self, row: int, problem: str) -> DataError:
        """Return the error that one of the rows has a problem."""
        number = self.first + row
        return DataError(self.source, f"row {number}", problem, number)

    def id_error(self, row: int) -> DataError:
        """Return the error that the id of a row cannot be used."""
        node = self.ids[row].as_py()
        problem = "the id is missing" if node is None else str(id_problem(node))
        return self.error(row, problem + (self.ids_place.of(row) if self.ids_place else ""))


class UsableRows:
    """Those of all rows of an input that can be used: the first of them says how wide rows are."""

    def __init__(self, statistics: Statistics) -> None:
        """Count in `statistics` what is skipped."""
        self._statistics = statistics
        self._width = 0

    def batches(self, rows: Rows) -> Iterator[EmbeddingBatch]:
        """Yield those of some rows that can be used, if there are any.

        Raises:
            DataError: a row cannot be used, and no more may be skipped.
        """
        found = usable(rows, self._width, self._statistics)
        if len(found.ids):
            self._width = found.vectors.shape[1]
            yield found


def usable(rows: Rows, width: int, statistics: Statistics) -> EmbeddingBatch:
    """Return the rows that have an id and `width` finite numbers; skip the others.

    If the width is 0, that of the first row without other errors is taken.

    Raises:
        DataError: a row cannot be used, and no more may be skipped.
    """
    common = width or int(rows.lengths[0])
    regular = common > 0 and not len(rows.lost) and bool((rows.lengths == common).all())
    if regular and not _bad_ids(rows.ids):
        vectors = rows.values.reshape(-1, common)
        found = _taken(rows, np.arange(len(rows.lengths)), vectors)
        # A norm is finite if all numbers are.
        if np.isfinite(found.norms).all():
            return found
    return _sifted(rows, width, statistics)


def _sifted(rows: Rows, width: int, statistics: Statistics) -> EmbeddingBatch:
    counts = np.maximum(rows.lengths, 0)
    bad_ids, odd = _bad_ids(rows.ids), _odd_values(rows, np.cumsum(counts))
    sound = counts > 0
    sound[[*bad_ids, *odd]] = False
    width = width or int(counts[sound][:1].sum())
    kept = sound & (counts == width)
    for row in np.flatnonzero(~kept).tolist():
        if row in bad_ids:
            statistics.skip("id not usable", rows.id_error(row))
        else:
            problem = odd.get(row) or _length_problem(int(rows.lengths[row]), width)
            statistics.skip("embedding not usable", rows.error(row, problem))
    vectors = rows.values[np.repeat(kept, counts)].reshape(-1, max(1, width))
    return _taken(rows, np.flatnonzero(kept), vectors)


def _taken(rows: Rows, kept: Places, vectors: Floats) -> EmbeddingBatch:
    # A copy: a view would keep all memory that the file was decoded into.
    ids = texts_at(*spans_of(rows.ids, kept))
    whole = len(kept) == len(rows.lengths)
    numbers = range(rows.first, rows.first + len(kept)) if whole else (kept + rows.first).tolist()
    return EmbeddingBatch(rows.source, numbers, ids, vectors, norms_of(vectors))


def _bad_ids(ids: pa.Array) -> set[int]:
    """Return the places of ids that are missing or not allowed."""
    if not ids.null_count and certainly_valid(texts_at(*spans_of(ids, np.arange(len(ids))))):
        return set()
    names = ids.to_pylist()
    if None not in names and first_bad_id(names) is None:
        return set()
    return {place for place, node in enumerate(names) if node is None or id_problem(node)}


def _odd_values(rows: Rows, ends: Places) -> dict[int, str]:
    """Return what is wrong with the first value that is no number, of each row that has one."""
    places = np.union1d(rows.lost, np.flatnonzero(~np.isfinite(rows.values)))
    owners, firsts = np.unique(np.searchsorted(ends, places, side="right"), return_index=True)
    starts = ends[owners] - np.maximum(rows.lengths[owners], 0)
    columns = (places[firsts] - starts).tolist()
    values = rows.values[places[firsts]].tolist()
    return {
        row: f"{_value_problem(value)} at position {column}, expected numbers"
        for row, column, value in zip(owners.tolist(), columns, values, strict=True)
    }


def _value_problem(value: float) -> str:
    if not math.isfinite(value):
        return f"a value is not finite, {value}"
    return f"a value is about {value:.0f}, not exact in float32," if value else "a value is missing"


def _length_problem(length: int, width: int) -> str:
    if length < 0:
        return "the embedding is missing, expected a list of numbers"
    return f"dimension {length}, expected {width or 'at least 1'}"
