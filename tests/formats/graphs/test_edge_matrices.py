"""Graphs whose nodes are rows of matrices, as SciPy and h5py write them."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.graphs.edge_matrices import read_knn, read_sparse
from nsl_tools.formats.graphs.node_names import NodeNames
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

Read = Callable[..., Any]


def read(
    reader: Read, path: Path, names: NodeNames | None = None, before: int = 0
) -> tuple[list[tuple[bytes, bytes, float]], int]:
    """Return the edges and the number of rows."""
    edges: list[tuple[bytes, bytes, float]] = []

    def collected() -> Generator[None, None, None]:
        rows.append((yield from reader(str(path), Statistics(), names or NodeNames(), before)))

    rows: list[int] = []
    for batch in collected():
        edges += [tuple(row.values()) for row in batch.to_pylist()]  # type: ignore[attr-defined]
    return edges, rows[0]


def sparse(path: Path, matrix: Any, **how: Any) -> Path:
    scipy.sparse.save_npz(path, matrix, **how)
    return path


@given(
    seed=st.integers(0, 999), share=st.sampled_from([0, 0.1, 0.9]), block=st.sampled_from([1, 40]),
    kind=st.sampled_from(["f4", "f8", "i1", "u2"]), compressed=st.booleans(),
)  # fmt: skip
def test_any_sparse_matrix(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    share: float,
    block: int,
    kind: str,
    compressed: bool,
) -> None:
    random = np.random.default_rng(seed)
    dense = random.integers(1, 99, (7, 5)) * (random.random((7, 5)) < share)
    path = tmp_path_factory.mktemp("sparse") / "g.npz"
    sparse(path, scipy.sparse.csr_matrix(dense.astype(kind)), compressed=compressed)
    with mock.patch.object(TUNING, "graph_bytes", block):
        edges, rows = read(read_sparse, path)
    expected = [(s, t, dense[s, t]) for s, t in zip(*np.nonzero(dense), strict=True)]
    assert edges == [(b"%d" % s, b"%d" % t, float(weight)) for s, t, weight in expected]
    assert rows == 7


def test_nodes_have_names_and_come_after_others(tmp_path: Path) -> None:
    names = NodeNames(pa.array([b"a", b"b", b"c"], pa.binary()), "ids")
    matrix = scipy.sparse.csr_matrix(np.array([[0, 0, 1.0], [2.0, 0, 0]]))
    path = sparse(tmp_path / "g.npz", matrix)
    assert read(read_sparse, path, names) == ([(b"a", b"c", 1.0), (b"b", b"a", 2.0)], 2)
    assert read(read_sparse, path, names, 1)[0] == [(b"b", b"c", 1.0), (b"c", b"a", 2.0)]


@pytest.mark.parametrize("form", ["csc", "coo", "bsr", "dia"])
def test_other_sparse_matrices_are_refused(tmp_path: Path, form: str) -> None:
    path = sparse(tmp_path / "g.npz", scipy.sparse.csr_matrix(np.eye(3)).asformat(form))
    with pytest.raises(DataError, match=f"of the format '{form}', expected .*: matrix.tocsr"):
        read(read_sparse, path)


GOOD = {
    "indptr": np.array([0, 1, 2]),
    "indices": np.array([1, 0]),
    "data": np.array([1.0, 2.0]),
    "format": np.array(b"csr"),
    "shape": np.array([2, 2]),
}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"format": None}, "no sparse matrix, or of the format 'none'"),
        ({"data": None}, "expected one of compressed sparse rows"),
        ({"indptr": np.array([1, 1, 2])}, "indptr does not rise from 0"),
        ({"indptr": np.array([0, 2, 1])}, "indptr does not rise from 0"),
        ({"indptr": np.array([], int)}, "indptr does not rise from 0"),
        ({"indptr": np.array([0, 1, 1 << 60])}, "2 indices, expected 1,152,921,504,606,846,976"),
        ({"data": np.array([1.0])}, "1 data, expected 2 as indptr says"),
        ({"indices": np.array([-1, 0])}, "the number of a node is -1, expected one from 0 on"),
        ({"indices": np.array([0.0, 1.0])}, "indices has shape .2,. of '<f8', expected a list"),
        ({"data": np.array([1j, 1j])}, "data has shape .2,. of '<c16', expected a list"),
        ({"data": np.array([1.0, np.nan])}, "row 1: weight: expected a number that fits float32"),
        ({"data": np.array([{}, {}])}, "data has shape .2,. of '.O', expected a list"),
    ],
)
def test_what_is_wrong_in_a_sparse_matrix(
    tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    arrays = {name: value for name, value in (GOOD | changed).items() if value is not None}
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(DataError, match=problem):
        read(read_sparse, tmp_path / "g.npz")


def test_a_sparse_matrix_that_is_damaged(tmp_path: Path) -> None:
    """By a byte of it: each array has a checksum."""
    path = tmp_path / "g.npz"
    np.savez_compressed(path, **GOOD)  # type: ignore[arg-type]
    whole = path.read_bytes()
    right = read(read_sparse, path)
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert read(read_sparse, path) == right
        except DataError:
            continue


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_matrices_of_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(TUNING, "graph_bytes", block)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["knns"] = np.array([[1, 2], [0, -1], [-1, -1], [1, 0]])
        file["dists"] = np.array([[0.9, 0.5], [0.9, np.nan], [np.nan] * 2, [0.25, -1]], np.float32)
    edges = [(0, 1, 0.9), (0, 2, 0.5), (1, 0, 0.9), (3, 1, 0.25), (3, 0, -1)]
    expected = [(b"%d" % s, b"%d" % t, float(np.float32(w))) for s, t, w in edges]
    assert read(read_knn, tmp_path / "g.h5") == (expected, 4)
    names = NodeNames(pa.array([b"%c" % c for c in b"abcdef"], pa.binary()), "ids")
    assert read(read_knn, tmp_path / "g.h5", names, 2)[0][0][:2] == (b"c", b"b")


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"knns": np.zeros((2, 2), int)}, "'dists' is no data set of this file"),
        (
            {"knns": np.array([b"a"]), "dists": np.zeros(1)},
            "knns is of .S1, expected whole numbers",
        ),
        ({"knns": np.zeros((2, 2), int), "dists": np.zeros((2, 3))}, "expected one matrix each"),
        ({"knns": np.array([[1.0]]), "dists": np.zeros(1)}, "knns is of float64, expected whole"),
        ({"knns": np.array([[1]]), "dists": np.array([[b"a"]])}, "dists is of .S1, expected num"),
        ({"knns/x": np.array([[1]]), "dists": np.zeros((1, 1))}, "'knns' is no data set"),
        ({"knns": np.zeros(2, int), "dists": np.zeros(2)}, "expected one matrix each"),
        ({"knns": np.array([[-2]]), "dists": np.zeros((1, 1))}, "the number of a node is -2"),
        ({"knns": np.array([[0]]), "dists": np.array([[np.inf]])}, "row 0: weight: expected"),
    ],
)
def test_what_is_wrong_in_matrices_of_neighbours(
    tmp_path: Path, arrays: dict[str, Any], problem: str
) -> None:
    with h5py.File(tmp_path / "g.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    with pytest.raises(DataError, match=problem):
        read(read_knn, tmp_path / "g.h5")


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(b"distance", [0.75, 0.5]), (b"similarity", [0.25, 0.5]), (np.arange(5), [0.25, 0.5])],
)
def test_only_what_says_distances_holds_distances(
    tmp_path: Path, weights: Any, expected: list[float]
) -> None:
    """An array of the name may be anything."""
    arrays = GOOD | {"data": np.array([0.25, 0.5]), "weights": np.array(weights)}
    np.savez(tmp_path / "g.npz", **arrays)
    edges, _ = read(read_sparse, tmp_path / "g.npz")
    assert [weight for *_, weight in edges] == expected
