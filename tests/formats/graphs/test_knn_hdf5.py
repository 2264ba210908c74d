"""Graphs as matrices of neighbours in HDF5."""

import io
from unittest import mock

import h5py
import numpy as np
import pytest
from graph_files import EDGES, IDS, NODES, as_shown, written
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.formats.graphs.knn_hdf5 import KnnGraph
from nsl_tools.formats.graphs.writer import GraphForm
from nsl_tools.tuning import TUNING


@pytest.mark.parametrize("distances", [False, True])
@pytest.mark.parametrize("block", [1, 1 << 20])
@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, len(EDGES)), max_size=4).map(sorted))
def test_a_row_for_each_node(distances: bool, block: int, cuts: list[int]) -> None:
    """The nearest first, whether the edges of a node come in one call or not."""
    form = GraphForm(IDS, range(NODES), 3, distances=distances)
    with mock.patch.object(TUNING, "gather_bytes", block):
        data = written(KnnGraph, EDGES, cuts, form)
    with h5py.File(io.BytesIO(data)) as file:
        knns, dists = file["knns"][:], file["dists"][:]
    assert knns.shape == dists.shape == (NODES, 3)
    edges = as_shown(EDGES, distances=distances)
    for node in range(NODES):
        own = [(target, weight) for source, target, weight in edges if source == node]
        lacking = 3 - len(own)
        assert knns[node].tolist() == [target for target, _ in own] + [-1] * lacking
        assert dists[node][: len(own)].tolist() == [weight for _, weight in own]
        assert np.isnan(dists[node][len(own) :]).all()


def test_files_of_a_set_are_stacked() -> None:
    parts = []
    for rows, first, end in ((range(4), 0, 3), (range(4, 6), 3, 6), (range(6, NODES), 6, 7)):
        data = written(KnnGraph, EDGES[first:end], [], GraphForm(IDS, rows, 3))
        with h5py.File(io.BytesIO(data)) as file:
            parts.append(file["knns"][:])
    with h5py.File(io.BytesIO(written(KnnGraph, EDGES, []))) as file:
        np.testing.assert_array_equal(np.concatenate(parts), file["knns"][:])


def test_equal_graphs_are_equal_files() -> None:
    assert written(KnnGraph, EDGES, []) == written(KnnGraph, EDGES, [])


def test_there_are_no_more_columns_than_other_nodes() -> None:
    data = written(KnnGraph, EDGES, [], GraphForm(IDS, range(NODES), 1 << 30))
    with h5py.File(io.BytesIO(data)) as file:
        assert file["knns"].shape == (NODES, NODES - 1)
