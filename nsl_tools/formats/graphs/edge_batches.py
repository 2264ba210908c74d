"""Edges as every format of graphs becomes them, and those of a table or matrix that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.arrays.ids import certainly_valid, id_problem
from nsl_tools.errors import DataError

if TYPE_CHECKING:
    from nsl_tools.statistics import Statistics

Weights = npt.NDArray[np.float64]

EDGE_SCHEMA = pa.schema(
    [("source", pa.binary()), ("target", pa.binary()), ("weight", pa.float64())]
)
"""Edges: ids of both ends, and a weight."""
TOO_LARGE = 2.0**128 - 2.0**103
"""The smallest number that float32 rounds to infinity."""


def weights_of(edges: pa.RecordBatch) -> Weights:
    """Return the weights of edges, shape (n,); `to_numpy` would import pandas if it is there."""
    column = edges["weight"]
    return np.frombuffer(column.buffers()[1], np.float64)[column.offset :][: len(column)]


def similarities(weights: Weights, *, distances: bool) -> Weights:
    """Return weights as similarities, of six decimals, if they are `distances`."""
    return np.round(1 - weights, 6) if distances else weights


@dataclass(frozen=True)
class EdgeRows:
    """Consecutive rows of a file, as they are read.

    Attributes:
        source: the file.
        first: the number of the first of them.
        sources: ids, a binary array; null where there is none.
        targets: as the sources.
        weights: shape (n,); not a number where there is none.
    """

    source: str
    first: int
    sources: pa.Array
    targets: pa.Array
    weights: Weights

    def usable(self, statistics: Statistics) -> pa.RecordBatch:
        """Return the rows that are edges, of `EDGE_SCHEMA`; skip the others.

        Raises:
            DataError: a row is no edge, and no more may be skipped.
        """
        kept = slice(None)
        if not self._is_regular():
            problems = [self._problem(row) for row in range(len(self.weights))]
            for row, problem in enumerate(problems):
                if problem:
                    number = self.first + row
                    error = DataError(self.source, f"row {number}", problem, number)
                    statistics.skip("row not an edge", error)
            kept = np.array([not problem for problem in problems], np.bool_)  # type: ignore[assignment]
        columns = [self.sources, self.targets, pa.array(self.weights)]
        if not isinstance(kept, slice):
            columns = [column.filter(pa.array(kept)) for column in columns]
        return pa.record_batch(columns, schema=EDGE_SCHEMA)

    def _is_regular(self) -> bool:
        named = all(not ids.null_count and certainly_valid(ids) for ids in self._ends)
        return named and bool((np.abs(self.weights) < TOO_LARGE).all())

    @property
    def _ends(self) -> tuple[pa.Array, pa.Array]:
        return self.sources, self.targets

    def _problem(self, row: int) -> str | None:
        for name, ids in zip(("source", "target"), self._ends, strict=True):
            node = ids[row].as_py()
            if problem := "the id is missing" if node is None else id_problem(node):
                return f"{name}: {problem}"
        weight = self.weights[row]
        if not abs(weight) < TOO_LARGE:
            return f"weight: expected a number that fits float32, found {weight}"
        return None
