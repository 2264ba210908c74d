"""What every format of graphs is written by: the edges of one file, many at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.edge_weights import MICRO, as_written

if TYPE_CHECKING:
    import pyarrow as pa

    from nsl_tools.files.compression import ByteSink

    Rows = npt.NDArray[np.int64]
    Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GraphForm:
    """What a file of edges is to hold.

    Attributes:
        ids: of all n nodes, a binary array.
        rows: the nodes whose edges go into this file.
        k: edges of a node at most; None if any number.
        distances: whether weights are distances, 1 less the cosine, not cosines.
        row_numbers: whether nodes are given by their numbers, where ids are possible.
        exact: whether weights are any numbers, to be written as they are: else they are cosines,
            of six decimals.
    """

    ids: pa.Array
    rows: range
    k: int | None = None
    distances: bool = False
    row_numbers: bool = False
    exact: bool = False


class GraphWriter(ABC):
    """Writes edges to one file.

    Attributes:
        suffixes: of the names of its files.
        needs_k: whether a node must have a known number of edges at most.
        by_rows: whether nodes are the rows of matrices, and have no ids there.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    needs_k: ClassVar[bool] = False
    by_rows: ClassVar[bool] = False

    def __init__(self, file: ByteSink, form: GraphForm) -> None:
        self.file = file
        self.form = form

    @abstractmethod
    def add(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        """Write m edges.

        Args:
            sources: rows of the ids, ascending from call to call, shape (m,).
            targets: rows of the ids, shape (m,).
            weights: cosines, shape (m,).

        Raises:
            OutputError: they cannot be written. ScratchError: nor put aside.
        """

    def add_named(self, edges: pa.RecordBatch) -> None:
        """Write edges of `EDGE_SCHEMA`, whatever their order, where nodes have ids.

        Raises:
            OutputError: they cannot be written.
        """
        raise NotImplementedError  # where `by_rows`, nobody asks

    @classmethod
    def expected_bytes(cls, nodes: int, edges: float, k: int | None) -> float | None:  # noqa: ARG003 - most formats do not know
        """Return the bytes of a file of so many nodes and edges; None if they depend on more."""
        return None

    def finish(self) -> None:  # noqa: B027 - most write nothing more
        """Write what comes at the end, and give back what was held."""

    def written(self, weights: Weights) -> Weights:
        """Return weights with the six decimals that TSV has, or the distances these make."""
        if self.form.exact:
            return 1 - weights if self.form.distances else weights
        if self.form.distances:
            return np.asarray((MICRO - as_written(weights)) / MICRO)
        return np.asarray(as_written(weights) / MICRO)
