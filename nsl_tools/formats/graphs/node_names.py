"""The ids of nodes that a graph gives by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ids import IdColumn
from nsl_tools.errors import DataError
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.ids.row_ids import id_texts

if TYPE_CHECKING:
    import numpy.typing as npt

    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.statistics import Statistics


class NodeNames:
    """Ids by number: those of a file, in order, or the numbers themselves, as decimal text."""

    def __init__(self, ids: pa.Array | None = None, name: str = "") -> None:
        """Take the ids of all nodes, a binary array; `name` is that of their file."""
        self._ids = ids
        self._name = name

    def of_column(self, numbers: pa.Array, source: str) -> pa.Array:
        """Return the ids of a column of whole numbers, null where these are.

        Raises:
            DataError: a number is that of no node.
        """
        if self._ids is None:
            return id_texts(numbers)
        import pyarrow.compute as pc

        known = numbers.is_valid()
        found = pc.fill_null(numbers, 0).cast(pa.float64(), safe=False).to_numpy()
        wrong = (found < 0) | (found >= len(self._ids))
        rows = np.where(wrong, -1, found).astype(np.int64)
        if wrong.any():
            number = numbers[int(wrong.argmax())]
            expected = f"below {len(self._ids):,}, the ids of {self._name}"
            raise DataError(
                source, "", f"the number of a node is {number}, expected one {expected}"
            )
        return pc.if_else(known, self.of(rows, source), pa.scalar(None, pa.binary()))

    def of(self, rows: npt.NDArray[np.int64], source: str) -> pa.Array:
        """Return the ids of some nodes of the graph in the file `source`.

        Raises:
            DataError: a number is that of no node.
        """
        most = None if self._ids is None else len(self._ids)
        wrong = rows < 0 if most is None else (rows < 0) | (rows >= most)
        if wrong.any():
            expected = "from 0 on" if most is None else f"below {most:,}, the ids of {self._name}"
            problem = f"the number of a node is {rows[wrong][0]}, expected one {expected}"
            raise DataError(source, "", problem)
        return id_texts(pa.array(rows)) if self._ids is None else self._ids.take(pa.array(rows))


def node_names(path: str | None, memory: MemoryBudget, statistics: Statistics) -> NodeNames:
    """Return the ids in a file, as `nsl_tools.formats.ids.files.row_ids` reads it; None for none.

    Raises:
        DataError: it cannot be read. UsageError: they take more memory than they may.
    """
    if path is None:
        return NodeNames()
    ids = IdColumn(path, memory)
    step = 1 << 14  # ids at once
    with row_ids(path, statistics) as found:
        while len(block := found.take(step)):
            ids.add(block)
    return NodeNames(ids.array(), path)
