"""`.npy` files: the header that NumPy writes, and every other one refused."""

import io
import os
import struct
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.npy import NpyEmbeddings
from nsl_tools.formats.numbers import as_float32
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

MATRIX = np.arange(12, dtype="<f4").reshape(4, 3)


def saved(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def with_header(text: bytes, rest: bytes = MATRIX.tobytes()) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + rest


def read(folder: Path, data: bytes, block_bytes: int = 1 << 20) -> np.ndarray:
    path = folder / "v.npy"
    path.write_bytes(data)
    return rows_of(str(path), block_bytes)


def rows_of(path: str, block_bytes: int = 1 << 20) -> np.ndarray:
    with NpyEmbeddings([path], BuildGraphOptions()).opened_matrix(path) as matrix:
        blocks = [as_float32(block)[0] for block in matrix.blocks(block_bytes)]
    return np.concatenate([np.empty((0, matrix.shape[1]), np.float32), *blocks])


def right(matrix: np.ndarray) -> np.ndarray:
    """Return numbers as float32; of bfloat16, by the digits of its exponent and fraction."""
    if matrix.dtype.kind != "V":
        return matrix.astype(np.float32)
    halves = [int.from_bytes(value.tobytes(), "little") for value in matrix.reshape(-1)]
    values = [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
    return np.array(values, np.float32).reshape(matrix.shape)


@given(
    kind=st.sampled_from(
        ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "i1", "u1", "<i4", ">u8", "V2"]
    ),
    order=st.sampled_from("CF"),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    block_bytes=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_what_numpy_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    order: Literal["C", "F"],
    shape: tuple[int, int],
    version: tuple[int, int],
    block_bytes: int,
    seed: int,
) -> None:
    """Of every type, byte order, order, shape and version, whatever the blocks."""
    numbers = np.random.default_rng(seed).uniform(0, 100, shape)
    matrix = numbers.astype(np.float16).view("V2") if kind == "V2" else numbers.astype(kind)
    data = saved(np.array(matrix, order=order), version)
    found = read(tmp_path_factory.mktemp("npy"), data, block_bytes)
    np.testing.assert_array_equal(found, right(matrix))


def test_a_column_in_fortran_order_is_a_matrix_in_c_order(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': True, 'shape': (12, 1), }"
    assert read(tmp_path, with_header(header)).shape == (12, 1)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }   \n",
        b"{'shape':(4,3),'descr':'<f4','fortran_order':False}",
        b'{"fortran_order": False,\n "shape": ( 4 , 3 , ), "descr": "f4"}',
    ],
)
def test_the_header_is_read_as_python_would(tmp_path: Path, header: bytes) -> None:
    """In any order of the keys, with any spaces, as other writers may put it."""
    np.testing.assert_array_equal(read(tmp_path, with_header(header)), MATRIX)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a .npy file: it starts with ''"),
        (b"PK\x03\x04 a zip", r"not a .npy file: it starts with 'PK\\x03"),
        (b"\x93NUMPY", "not a .npy file of a known version"),
        (saved(MATRIX).replace(b"\x01\x00", b"\x09\x00", 1), "expected 1.0, 2.0 or 3.0"),
        (saved(MATRIX)[:60], "cut within its header of 118 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "takes 4294967295 bytes, expected at most 10000"),
        (with_header(b"{'descr': /<f4', 'fortran_order': False, 'shape': (4, 3), }"), "the header"),
        (with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,-3), }"), "the header"),
        (with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), "), "the header"),
        (with_header(b"{'descr': '<f4', 'descr': '<f4', 'shape': (4, 3), }"), "the header is"),
        (with_header(b"{'descr': '<f4', 'fortran_order': False}"), "the header is"),
        (with_header(b"(" * 5000), "the header is"),
        (with_header(b"{'descr': '<f4', 'fortran_order': 'x', 'shape': (4, 3)}"), "the header is"),
        (with_header(b"{'descr': (4, 3), 'fortran_order': False, 'shape': '<f4'}"), "the header"),
        (with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (%b, 3), }" % (b"9" * 500)), "the header"),  # noqa: E501 - one case a line
        (with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3), }"), "48 bytes of numbers, expected 110680464442257309684 for"),  # noqa: E501 - one case a line
        (saved(np.array([{}], object)), "a matrix of numbers: Python objects are not"),
        (saved(MATRIX.astype("c8")), "shape .4, 3. of '<c8', expected a matrix of numbers"),
        (saved(MATRIX > 1), r"shape .4, 3. of '\|b1', expected a matrix of numbers"),
        (saved(MATRIX.astype("S3")), r"shape .4, 3. of \|S3, expected a matrix of numbers"),
        (saved(MATRIX.astype(np.longdouble)), "expected a matrix of numbers"),
        (saved(MATRIX[0]), "shape .3,. of float32, expected a matrix of numbers"),
        (saved(np.zeros((2, 2, 2))), "expected a matrix of numbers"),
        (saved(MATRIX[:, :0]), "dimension 0, expected at least 1"),
        (saved(MATRIX)[:-1], "47 bytes of numbers, expected 48 .*: the file is cut"),
        (saved(MATRIX) + saved(MATRIX), "bytes of numbers, expected 48 .*: bytes follow the array"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(tmp_path, data)


@given(data=st.data())
def test_a_damaged_header_is_refused_or_read_as_numpy_does(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(saved(MATRIX, data.draw(st.sampled_from([(1, 0), (2, 0)]))))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, 80))] = data.draw(st.sampled_from(b"0123456789<>f',(){}TL "))
    try:
        found = read(tmp_path_factory.mktemp("npy"), bytes(whole))
    except DataError:
        return
    expected = np.lib.format.read_array(io.BytesIO(bytes(whole)), allow_pickle=False)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, right(expected))


def test_numbers_that_float32_cannot_hold_are_infinite(tmp_path: Path) -> None:
    """Without a warning, so that the row is what the message is about."""
    assert np.isinf(read(tmp_path, saved(np.array([[1e300]])))).all()


def test_a_pipe_and_a_folder_are_refused(tmp_path: Path) -> None:
    """At once: to open a pipe would wait for its writer."""
    os.mkfifo(tmp_path / "pipe.npy")
    for path in (tmp_path / "pipe.npy", tmp_path):
        with pytest.raises(DataError, match="expected a regular file"):
            rows_of(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["replaced", "written", "cut", "removed"])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, change: str) -> None:
    """So the rows are never of two versions."""
    path = tmp_path / "v.npy"
    path.write_bytes(saved(np.zeros((5000, 8))))
    reader = NpyEmbeddings([str(path)], BuildGraphOptions())
    rows = reader.batches(SkippedRecords(Statistics()), np.empty)
    with mock.patch.object(TUNING, "table_bytes", 64):
        next(rows)
    if change == "replaced":
        (tmp_path / "new").write_bytes(saved(np.ones((5000, 8))))
        (tmp_path / "new").rename(path)
    elif change == "removed":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(1000) if change == "cut" else file.write(saved(np.ones((5000, 8))))
    with pytest.raises(DataError, match=r"v\.npy: changed while it was read"):
        list(rows)
