"""HDF5 files, as h5py writes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from matrix_files import rows_of

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.hdf5 import Hdf5Embeddings
from nsl_tools.options import BuildGraphOptions

MATRIX = np.random.default_rng(0).integers(0, 100, (70, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<f8", "i1", "u1", "<i8"])
@pytest.mark.parametrize(
    "how", [{}, {"chunks": (8, 2)}, {"chunks": (64, 3), "compression": "gzip", "shuffle": True}]
)
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])
def test_the_only_matrix(tmp_path: Path, kind: str, how: dict[str, Any], block_bytes: int) -> None:
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("group/x", data=MATRIX.astype(kind), **how)
        file["labels"] = np.arange(70)
    np.testing.assert_array_equal(rows_of(Hdf5Embeddings, path, block_bytes), MATRIX)


@pytest.mark.parametrize("name", ["test", "/test"])
def test_the_matrix_that_is_named(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["train"], file["test"] = MATRIX[:50], MATRIX[50:]
    found = rows_of(Hdf5Embeddings, tmp_path / "v.h5", array=name)
    np.testing.assert_array_equal(found, MATRIX[50:])
    with pytest.raises(DataError, match=r"2 matrices, .* --array; its arrays: test, train"):
        rows_of(Hdf5Embeddings, tmp_path / "v.h5")


def test_whole_chunks_are_read_where_the_memory_holds_them(tmp_path: Path) -> None:
    matrix = np.zeros((9000, 100), np.float32)
    for chunk, rows in ((1000, 3000), (6000, 2621)):
        with h5py.File(tmp_path / "v.h5", "w") as file:
            file.create_dataset("x", data=matrix, chunks=(chunk, 100))
        path = f"{tmp_path}/v.h5"
        reader = Hdf5Embeddings([path], BuildGraphOptions(memory_limit=32 << 20))
        with reader.opened_matrix(path) as opened:
            assert opened.rows_at_once(1 << 20) == rows


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (np.array([[b"a"]]), "expected a matrix of numbers"),
        (np.zeros((2, 2), complex), "expected a matrix of numbers"),
        (np.zeros((2, 2), bool), "expected a matrix of numbers"),
        (np.zeros((2, 0)), "dimension 0"),
    ],
)
def test_what_is_no_matrix_of_numbers(tmp_path: Path, data: np.ndarray, problem: str) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["x"] = data
    with pytest.raises(DataError, match=problem):
        rows_of(Hdf5Embeddings, tmp_path / "v.h5", array="x")


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=MATRIX, chunks=(8, 3), compression="gzip", fletcher32=True)
    whole = path.read_bytes()
    for size in range(0, len(whole), 101):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            rows_of(Hdf5Embeddings, path)


def test_values_of_other_files_are_refused(tmp_path: Path) -> None:
    """libhdf5 ends the process for some of them, and none is compared with what it was."""
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = MATRIX
    (tmp_path / "raw").write_bytes(MATRIX.tobytes())
    layout = h5py.VirtualLayout(MATRIX.shape, "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "x", MATRIX.shape)
    raw = [(str(tmp_path / "raw"), 0, MATRIX.nbytes)]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", MATRIX.shape, "f4", external=raw)
        file["link"] = h5py.ExternalLink("source.h5", "x")
        file["soft"] = h5py.SoftLink("/link")
    for name in ("virtual", "external"):
        with pytest.raises(DataError, match=rf"the values of '{name}' are in other files"):
            rows_of(Hdf5Embeddings, tmp_path / "v.h5", array=name)
    with pytest.raises(DataError, match="no array 'link', expected one of: external, virtual"):
        rows_of(Hdf5Embeddings, tmp_path / "v.h5", array="link")


def test_two_bytes_of_anything_are_no_numbers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["x"] = np.zeros((2, 2), "V2")
    with pytest.raises(DataError, match=r"'/x' is of .*V2, expected a matrix of numbers"):
        rows_of(Hdf5Embeddings, tmp_path / "v.h5")
