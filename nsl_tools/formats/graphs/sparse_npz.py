"""Graphs as sparse matrices in `.npz` files, as `scipy.sparse.save_npz` writes them.

Compressed sparse rows: `indptr`, `indices` and `data`, beside `shape` and `format`. Row i are the
edges of node i, in the order of the graph: by weight, not by column.

Source of the format: SciPy's `scipy/sparse/_matrix_io.py`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.files.compression import Sink
from nsl_tools.formats.graphs.writer import GraphForm, GraphWriter
from nsl_tools.spill.scratch import ScratchFile
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.formats.graphs.writer import Rows, Weights

    Array = npt.NDArray[np.generic]


class SparseGraph(GraphWriter):
    """Writes a sparse matrix of as many columns as there are nodes.

    A file of a set has the rows from its first node to that of the next file: stacked, they are
    the matrix of all.
    """

    suffixes = (".npz",)
    by_rows = True

    def __init__(self, file: ByteSink, form: GraphForm) -> None:
        """Begin a file; columns and weights are put aside until their number is known."""
        super().__init__(file, form)
        self._stack = contextlib.ExitStack()
        self._targets, self._weights = (self._stack.enter_context(ScratchFile()) for _ in range(2))
        self._counts = np.zeros(len(form.rows) + 1, np.int64)

    def add(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        """Put edges aside, and count them."""
        first = self.form.rows.start
        rows, counts = np.unique(sources, return_counts=True)
        self._counts[rows - first + 1] += counts
        self._targets.write(targets.astype(np.int32 if self._is_narrow else np.int64).data)
        self._weights.write(self.written(weights).astype(np.float32).data)

    @property
    def _is_narrow(self) -> bool:
        return len(self.form.ids) < 1 << 31

    @classmethod
    def expected_bytes(cls, nodes: int, edges: float, k: int | None) -> float:  # noqa: ARG003 - it has what edges there are
        """Return the bytes of a file of so many nodes and edges."""
        place = 4 if max(nodes, edges) < 1 << 31 else 8
        heads = 1_700  # of the arrays and of the archive
        return place * (nodes + 1) + (place + 4) * edges + heads

    def finish(self) -> None:
        """Write all arrays."""
        import zipfile  # here, since it takes 10 ms to import, and few need it

        with self._stack:
            ends = np.cumsum(self._counts)
            # SciPy has one type for both; it takes the narrower one if it can.
            narrow = self._is_narrow and ends[-1] < 1 << 31
            kind = np.dtype(np.int32 if narrow else np.int64)
            stored = np.dtype(np.int32 if self._is_narrow else np.int64)
            count, shape = int(ends[-1]), (len(self.form.rows), len(self.form.ids))
            with zipfile.ZipFile(Sink(self.file), "w") as archive:
                targets = (block.astype(kind) for block in _blocks(self._targets, stored))
                _add(archive, "indices", kind, (count,), targets)
                _add(archive, "indptr", kind, (len(ends),), [ends.astype(kind)])
                _add(archive, "format", np.dtype("S3"), (), [np.array([b"csr"])])
                _add(archive, "shape", np.dtype(np.int64), (2,), [np.array(shape)])
                weights = _blocks(self._weights, np.dtype(np.float32))
                _add(archive, "data", np.dtype(np.float32), (count,), weights)
                if self.form.distances:  # for who reads it as a graph; SciPy passes it over
                    _add(archive, "weights", np.dtype("S8"), (), [np.array([b"distance"])])


def _add(
    archive: zipfile.ZipFile,
    name: str,
    kind: np.dtype[Any],
    shape: tuple[int, ...],
    blocks: Iterable[Array],
) -> None:
    import zipfile

    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    # The same time always, so that equal graphs are equal files.
    member = zipfile.ZipInfo(f"{name}.npy")
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.tobytes())


def _blocks(scratch: ScratchFile, kind: np.dtype[Any]) -> Iterator[Array]:
    step = max(1, TUNING.gather_bytes // kind.itemsize) * kind.itemsize
    for offset in range(0, scratch.size, step):
        block = np.empty(min(step, scratch.size - offset) // kind.itemsize, kind)
        scratch.read_into(block.data, offset)
        yield block
