"""Graphs as HDF5: matrices `knns` and `dists` of k columns, a row for each node.

Row i are the neighbours of node i, the nearest first; where there are fewer than k, -1, and a
weight that is not a number. What UMAP's `precomputed_knn` and the benchmarks of nearest-neighbour
search have. It takes `h5py`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.formats.extras import required
from nsl_tools.formats.graphs.writer import GraphForm, GraphWriter
from nsl_tools.spill.scratch import ScratchStream
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.files.compression import ByteSink
    from nsl_tools.formats.graphs.writer import Rows, Weights


class KnnGraph(GraphWriter):
    """Writes both matrices: of a set, each file has the rows up to the first of the next file."""

    suffixes = (".h5", ".hdf5")
    needs_k = True
    by_rows = True

    def __init__(self, file: ByteSink, form: GraphForm) -> None:
        """Begin a file, in scratch: HDF5 is not written from start to end."""
        super().__init__(file, form)
        h5py = required("h5py", "GRAPH", "hdf5")
        assert form.k  # noqa: S101 - for the type checker
        self._stack = contextlib.ExitStack()
        self._scratch = self._stack.enter_context(ScratchStream())
        self._archive = self._stack.enter_context(h5py.File(self._scratch, "w"))
        self._last = -1, 0  # the last node, and how many edges of it were written
        # No node has more neighbours than there are others, whatever k is.
        shape = (len(form.rows), max(1, min(form.k, len(form.ids) - 1)))
        wide = np.int32 if len(form.ids) < 1 << 31 else np.int64
        self._knns = self._archive.create_dataset("knns", shape, wide, fillvalue=-1)
        self._dists = self._archive.create_dataset("dists", shape, np.float32, fillvalue=np.nan)
        # Of a fixed length: where a text of any length lies, a damaged file makes libhdf5 search
        # without an end.
        self._dists.attrs["weights"] = np.bytes_("distance" if form.distances else "similarity")

    def add(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        """Write the rows of some nodes."""
        if not len(weights):
            return
        columns = self._columns_of(sources)
        values = self.written(weights).astype(np.float32)
        step = max(1, TUNING.gather_bytes // (8 * self._knns.shape[1]))
        for row in range(int(sources[0]), int(sources[-1]) + 1, step):
            part = slice(*np.searchsorted(sources, [row, row + step]).tolist())
            if part.start < part.stop:
                first = row - self.form.rows.start
                at = slice(first, first + int(sources[part.stop - 1]) - row + 1)
                knns, dists = self._knns[at], self._dists[at]
                place = (sources[part] - row, columns[part])
                knns[place], dists[place] = targets[part], values[part]
                self._knns[at], self._dists[at] = knns, dists

    def _columns_of(self, sources: Rows) -> Rows:
        """Return the place of each edge among those of its source."""
        starts = np.flatnonzero(np.r_[True, np.diff(sources) > 0])
        counts = np.diff(np.r_[starts, len(sources)])
        columns = np.arange(len(sources)) - np.repeat(starts, counts)
        node, before = self._last
        if node == sources[0]:  # its edges came in two calls
            columns[: counts[0]] += before
        before = before if node == sources[-1] and len(counts) == 1 else 0
        self._last = int(sources[-1]), before + int(counts[-1])
        return np.asarray(columns)

    @classmethod
    def expected_bytes(cls, nodes: int, edges: float, k: int | None) -> float:  # noqa: ARG003 - there is a place for each
        """Return the bytes of a file of so many nodes, of `k` edges each at most."""
        columns, head = max(1, min(k or 1, nodes - 1)), 2_048
        return (8 if nodes < 1 << 31 else 12) * nodes * columns + head

    def finish(self) -> None:
        """Copy the file to where it belongs."""
        with self._stack:
            self._archive.close()
            self._scratch.seek(0)
            while data := self._scratch.read(TUNING.gather_bytes):
                self.file.write(data)
