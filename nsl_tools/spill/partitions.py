"""Records in sorted runs, read back by partition: in memory while they fit, else on disk.

A partition is a range of keys. Each run has its records in the order of partitions, so that
what belongs to a partition is one piece of each run. Runs are written one after the other
to a scratch file, and read in pieces that follow each other: all I/O is sequential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.spill.scratch import ScratchFile

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable, Iterator

    from nsl_tools.arrays.byte_spans import Places

Records = npt.NDArray[Any]


class SpilledPartitions:
    """Records of one dtype, in partitions numbered from 0.

    Attributes:
        spilled: whether some are in a scratch file.
    """

    def __init__(
        self, dtype: npt.DTypeLike, partitions: int, budget: float, stack: contextlib.ExitStack
    ) -> None:
        """Keep up to `budget` bytes in memory; `stack` closes the scratch file."""
        self.dtype = np.dtype(dtype)
        self.partitions = partitions
        self._budget = budget
        self._stack = stack
        self._kept: list[tuple[Records, Places]] = []
        self._written: list[tuple[int, Places]] = []
        self._resident = 0
        self._file: ScratchFile | None = None

    @property
    def spilled(self) -> bool:
        """Tell whether a scratch file is in use."""
        return self._file is not None

    def add(self, records: Records, partitions: npt.NDArray[np.integer]) -> None:
        """Add a run of m records, whose `partitions`, shape (m,), ascend."""
        self.add_run(records, np.searchsorted(partitions, np.arange(self.partitions + 1)))

    def add_run(self, records: Records, bounds: Places) -> None:
        """Add a run: partition `i` has its records from `bounds[i]` to `bounds[i + 1]` - 1."""
        self._kept.append((records, bounds))
        self._resident += records.nbytes
        if self._resident > self._budget:
            self._spill()

    def _spill(self) -> None:
        for records, bounds in self._kept:
            self.write([records], bounds)
        self._kept, self._resident = [], 0

    def write(self, parts: Iterable[Records], bounds: Places) -> None:
        """Write a run, in `parts` that follow each other, to the scratch file at once."""
        if self._file is None:
            self._file = self._stack.enter_context(ScratchFile())
        self._written.append((self._file.size, bounds))
        for part in parts:
            self._file.write(np.ascontiguousarray(part).view(np.uint8).data)

    def sorted_run(self, index: int) -> Records:
        """Return a whole run."""
        if index >= len(self._written):
            return self._kept[index - len(self._written)][0]
        offset, bounds = self._written[index]
        found = np.empty(int(bounds[-1]), self.dtype)
        if self._file is not None:
            self._file.read_into(found.view(np.uint8).data, offset)
        return found

    def sizes(self) -> Places:
        """Return the number of records in each partition, shape (partitions,)."""
        sizes = np.zeros(self.partitions, np.int64)
        for _, bounds in [*self._written, *self._kept]:
            sizes += np.diff(bounds)
        return sizes

    def read(self, first: int, last: int, runs: slice = slice(None)) -> Records:
        """Return the records of partitions `first` to `last` - 1, run by run, of some runs."""
        if self._file is None and len(self._kept) == 1:
            (records, bounds), *_ = self._kept
            return records[bounds[first] : bounds[last]]
        every: list[tuple[Records | int, Places]] = [*self._written, *self._kept]
        chosen = every[runs]
        found = np.empty(sum(int(b[last] - b[first]) for _, b in chosen), self.dtype)
        place = 0
        for where, bounds in chosen:
            start, place = place, place + int(bounds[last] - bounds[first])
            self._copy(where, int(bounds[first]), found[start:place])
        return found

    def _copy(self, where: Records | int, first: int, out: Records) -> None:
        """Fill `out` with the records from `first` on of a run in memory, or at an offset."""
        if not isinstance(where, int):
            out[:] = where[first : first + len(out)]
        elif len(out) and self._file is not None:
            self._file.read_into(out.view(np.uint8).data, where + first * self.dtype.itemsize)

    def pieces(self, partition: int, most: int) -> Iterator[Records]:
        """Yield the records of a partition, in the order of the runs, about `most` at a time."""
        bounds = [bounds for _, bounds in [*self._written, *self._kept]]
        sizes = np.array([b[partition + 1] - b[partition] for b in bounds], np.int64)
        for runs in group_partitions(sizes, most):
            yield self.read(partition, partition + 1, slice(runs.start, runs.stop))


def group_partitions(sizes: npt.NDArray[np.integer], most: float) -> list[range]:
    """Group consecutive partitions so that each group has at most `most` records, or is one."""
    groups: list[range] = []
    start = total = 0
    for partition, size in enumerate(sizes.tolist()):
        if partition > start and total + size > most:
            groups.append(range(start, partition))
            start, total = partition, 0
        total += size
    return [*groups, range(start, len(sizes))]
