"""What nodes got of each class, written class by class and read node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.spill.scratch import ScratchFile

if TYPE_CHECKING:
    import contextlib

    from nsl_tools.spread_labels.spreading import Class, Floats


class ClassValues:
    """A matrix of n nodes and c classes, in memory or in a scratch file, float32.

    Attributes:
        masses: sum of each class, shape (c,), float64.
    """

    def __init__(
        self, nodes: int, classes: int, budget: float, stack: contextlib.ExitStack
    ) -> None:
        """Keep all in memory if it takes at most `budget` bytes."""
        self._nodes = nodes
        self._places = np.full(classes, -1)  # of each class, among the columns
        self._columns: list[npt.NDArray[np.float32]] = []
        self._file: ScratchFile | None = None
        if nodes * classes * 4 > budget:
            self._file = stack.enter_context(ScratchFile())
        self.masses = np.zeros(classes)

    def add(self, found: Class) -> None:
        """Take what all nodes got of a class."""
        column = found.values.astype(np.float32)
        self._places[found.number] = int((self._places >= 0).sum())
        self.masses[found.number] = found.values.sum()
        if self._file is None:
            self._columns.append(column)
        else:
            self._file.write(column.data)

    def rows(self, start: int, stop: int) -> Floats:
        """Return what nodes got, shape (stop - start, c), float64."""
        columns = np.empty((len(self._places), stop - start), np.float32)
        if self._file is None:
            for place, out in zip(self._places.tolist(), columns, strict=True):
                out[:] = self._columns[place][start:stop]
        else:
            width = 4  # bytes of a value
            firsts = (self._places * self._nodes + start) * width
            spans = [(first, (stop - start) * width) for first in firsts.tolist()]
            self._file.read_spans(columns.data, spans)
        return np.asarray(columns.T, np.float64)
