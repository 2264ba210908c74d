"""Class probabilities of the seeds, as `spread-labels` wrote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.fingerprints import fingerprints
from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError, UsageError
from nsl_tools.feature_names import CONFIDENCE, PROBABILITIES
from nsl_tools.formats.example_batch import because, ids_of, read_decoded
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.example_values import kinds_of, values_of
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.files.streams import Source
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.graph_edges import Edges
    from nsl_tools.pack_nbrs.nodes import NodeRows
    from nsl_tools.statistics import Statistics

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoftLabels:
    """The probabilities of c classes of n rows, and how sure they are.

    Attributes:
        places: of each row among those that have some, -1 for the others, shape (n,).
        values: probabilities, then the confidence, shape (m, c + 1), float32.
    """

    places: npt.NDArray[np.int64] = field(repr=False)
    values: Floats = field(repr=False)

    def of(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Return probabilities and confidences of rows, shape (r, c + 1); zeros if unknown."""
        places = self.places[rows]
        found = np.zeros((len(rows), self.values.shape[1]), np.float32)
        found[places >= 0] = self.values[places[places >= 0]]
        return found


def read_soft_labels(
    sources: Sequence[Source],
    nodes: NodeRows,
    options: PackOptions,
    memory: MemoryBudget,
    statistics: Statistics,
) -> SoftLabels:
    """Return the probabilities of all seeds; the files are read twice.

    Raises:
        DataError: the file or a record is not what it should be, or it lacks a labeled seed.
        UsageError: they take more memory than they may.
    """
    skipped = SkippedRecords(statistics, options.on_duplicate)
    rows = _rows_of(sources, nodes, options, skipped)
    places = np.full(nodes.count, -1)
    own = np.flatnonzero((rows >= 0) & nodes.is_seed[rows])
    places[rows[own]] = np.arange(len(own))
    _refuse_missing(places, nodes, sources[0].name)
    if lacking := int((nodes.is_seed & (places < 0)).sum()):
        statistics.warnings["seeds without soft labels, which get weight 0"] = lacking
    values: Floats | None = None
    first = 0
    for batch, found in read_decoded(sources, skipped, _values_of):
        if values is None:
            size = 4 * len(own) * found.shape[1] + 8 * nodes.count
            if size > memory.bound("soft_labels"):
                needed = shown_size(sufficient_for(size, "soft_labels"))
                raise UsageError(
                    f"--memory-limit: expected at least {needed} for the soft labels of "
                    f"{len(own):,} seeds, received {shown_size(memory.limit)}"
                )
            values = np.empty((len(own), found.shape[1]), np.float32)
        if found.shape[1] != values.shape[1]:
            problem = f"{found.shape[1] - 1} classes, earlier records have {values.shape[1] - 1}"
            raise batch.records.error(0, problem)
        start, stop = np.searchsorted(own, [first, first + len(batch)])
        values[start:stop] = found[own[start:stop] - first]
        first += len(batch)
    return SoftLabels(places, np.zeros((0, 2), np.float32) if values is None else values)


def _rows_of(
    sources: Sequence[Source], nodes: NodeRows, options: PackOptions, skipped: SkippedRecords
) -> npt.NDArray[np.int64]:
    """Return the row of each record, -1 where its id is none of a node."""
    count = 0

    def pairs() -> Iterator[Edges]:
        nonlocal count
        batches = read_decoded(sources, skipped, lambda b: ids_of(b, options.id_feature))
        for batch, ids in batches:
            words = fingerprints(ids)
            numbers = np.arange(count, count + len(batch), dtype=np.float64)
            count += len(batch)
            yield words, words, numbers

    found = [(rows, numbers) for rows, _, numbers in nodes.index.resolved(pairs())]
    every = np.full(count, -1)
    for rows, numbers in found:
        every[numbers.astype(np.int64)] = rows
    return every


def _refuse_missing(places: npt.NDArray[np.int64], nodes: NodeRows, name: str) -> None:
    missing = np.flatnonzero(places[: nodes.labeled] < 0)
    if len(missing):
        raise DataError(
            name,
            "",
            f"no record of the labeled example {shown(nodes.id_of(int(missing[0])))}: expected "
            "what spread-labels makes of these examples",
        )


def _values_of(batch: ExampleBatch) -> Floats:
    """Return probabilities and the confidence of each record, shape (n, c + 1)."""
    with because("soft label not usable"):
        columns = [_floats(batch, name) for name in (PROBABILITIES, CONFIDENCE)]
        if columns[1].shape[1] != 1:
            raise ExampleError(0, f"feature {CONFIDENCE!r} has several values, expected one")
    return np.concatenate(columns, axis=1)


def _floats(batch: ExampleBatch, name: str) -> Floats:
    spans, data = batch.column(name), batch.parsed.data
    kinds = kinds_of(data, spans)
    for row in np.flatnonzero(kinds != example.Kind.FLOAT).tolist():
        kind = example.kind_name(batch.feature(row, name, spans))
        raise ExampleError(row, f"feature {name!r} is {kind}, expected floats")
    values = values_of(data, spans, example.Kind.FLOAT)
    size = int(values.lengths[0])
    wrong = np.flatnonzero(values.lengths != size)
    if len(wrong) or not size:
        place = int(wrong[0]) if len(wrong) else 0
        found = f"has {values.lengths[place]} values, expected {size or 'some'}"
        raise ExampleError(place, f"feature {name!r} {found}")
    return np.asarray(values.flat.reshape(-1, size), np.float32)
