"""Graphs as sparse matrices, read back by SciPy."""

import io
from unittest import mock

import numpy as np
import pytest
import scipy.sparse
from graph_files import EDGES, IDS, NODES, as_shown, written
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.graphs.sparse_npz import SparseGraph
from nsl_tools.formats.graphs.writer import GraphForm
from nsl_tools.tuning import TUNING


@pytest.mark.parametrize("distances", [False, True])
@given(cuts=st.lists(st.integers(0, len(EDGES)), max_size=4).map(sorted))
def test_rows_in_the_order_of_the_graph(distances: bool, cuts: list[int]) -> None:
    """The same bytes, however edges come; weights of 0 are there, too."""
    form = GraphForm(IDS, range(NODES), distances=distances)
    data = written(SparseGraph, EDGES, cuts, form)
    assert data == written(SparseGraph, EDGES, [], form)
    found = scipy.sparse.load_npz(io.BytesIO(data))
    assert found.shape == (NODES, NODES)
    sources = np.repeat(np.arange(NODES), np.diff(found.indptr))
    edges = list(zip(sources.tolist(), found.indices.tolist(), found.data, strict=True))
    assert edges == as_shown(EDGES, distances=distances)


def test_files_of_a_set_are_stacked() -> None:
    """Each has the rows from its first node on; all have all columns."""
    parts = []
    for rows, first, end in ((range(4), 0, 3), (range(4, 6), 3, 6), (range(6, NODES), 6, 7)):
        data = written(SparseGraph, EDGES[first:end], [], GraphForm(IDS, rows))
        parts.append(scipy.sparse.load_npz(io.BytesIO(data)))
    whole = scipy.sparse.load_npz(io.BytesIO(written(SparseGraph, EDGES, [])))
    assert (scipy.sparse.vstack(parts) != whole).nnz == 0


def test_as_scipy_writes_it() -> None:
    """The same arrays, of the same types, and a file that NumPy's zip reader checks."""
    ours = np.load(io.BytesIO(written(SparseGraph, EDGES, [])))
    file = io.BytesIO()
    scipy.sparse.save_npz(file, scipy.sparse.load_npz(io.BytesIO(written(SparseGraph, EDGES, []))))
    file.seek(0)
    theirs = np.load(file)
    assert sorted(ours.files) == sorted(theirs.files)
    for name in theirs.files:
        np.testing.assert_array_equal(ours[name], theirs[name])
        assert ours[name].dtype == theirs[name].dtype, name


def test_a_graph_without_edges_and_one_of_many() -> None:
    """The latter does not fit one block."""
    assert scipy.sparse.load_npz(io.BytesIO(written(SparseGraph, [], []))).nnz == 0
    edges = [(i // 8, i % 8, i / 80) for i in range(72)]
    with mock.patch.object(TUNING, "gather_bytes", 19):
        found = scipy.sparse.load_npz(io.BytesIO(written(SparseGraph, edges, [10])))
    assert found.nnz == 72
    assert found[8, 7] == np.float32(round(71 / 80, 6))
