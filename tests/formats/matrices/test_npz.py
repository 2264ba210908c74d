"""`.npz` files, as NumPy writes them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matrix_files import rows_of

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.npz import NpzEmbeddings

MATRIX = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
LABELS = np.arange(70)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])
def test_the_only_matrix(tmp_path: Path, save: Any, order: Any, block_bytes: int) -> None:
    """Beside arrays of other shapes, in either order, compressed or not."""
    path = tmp_path / "v.npz"
    save(path, np.array(MATRIX, order=order), labels=LABELS)
    np.testing.assert_array_equal(rows_of(NpzEmbeddings, path, block_bytes), MATRIX)


def test_the_matrix_that_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", train=MATRIX[:50], test=MATRIX[50:])
    found = rows_of(NpzEmbeddings, tmp_path / "v.npz", array="test")
    np.testing.assert_array_equal(found, MATRIX[50:])
    with pytest.raises(DataError, match=r"2 matrices, .* --array; its arrays: test, train"):
        rows_of(NpzEmbeddings, tmp_path / "v.npz")


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", np.array([[{}]], object))
    with pytest.raises(DataError, match="Python objects are not loaded"):
        rows_of(NpzEmbeddings, tmp_path / "v.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_damaged_file_is_refused(tmp_path: Path, save: Any, order: Any) -> None:
    """Cut anywhere, or with one byte changed: each array has a checksum."""
    file = io.BytesIO()
    save(file, x=np.array(MATRIX, order=order))
    whole = file.getvalue()
    path = tmp_path / "v.npz"
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            rows_of(NpzEmbeddings, path)
    names = 200  # bytes at the end: of fields that nobody needs
    for place in range(30, len(whole) - names, 11):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            found = rows_of(NpzEmbeddings, path)
        except DataError:
            continue
        np.testing.assert_array_equal(found, MATRIX)


def test_bytes_after_the_numbers(tmp_path: Path) -> None:
    import zipfile

    array = io.BytesIO()
    np.save(array, MATRIX)
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("x.npy", array.getvalue() + b"1")
        archive.writestr("notes.txt", "no array")
    with pytest.raises(DataError, match="bytes follow the array"):
        rows_of(NpzEmbeddings, tmp_path / "v.npz")
