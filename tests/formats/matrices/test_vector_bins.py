"""`.fbin` and its like."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matrix_files import rows_of

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.vector_bins import VectorBinEmbeddings

MATRIX = np.random.default_rng(0).integers(0, 100, (7, 3))


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".fbin", "<f4"), (".f16bin", "<f2"), (".i8bin", "i1"), (".u8bin", "u1"), (".FBIN", "<f4")],
)
def test_the_suffix_says_the_type(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"v{suffix}"
    path.write_bytes(struct.pack("<II", 7, 3) + MATRIX.astype(kind).tobytes())
    np.testing.assert_array_equal(rows_of(VectorBinEmbeddings, path), MATRIX)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"1234567", "7 bytes long, expected a header of 8"),
        (
            struct.pack("<II", 2, 3) + bytes(23),
            "23 bytes of numbers, expected 24 .*: the file is c",
        ),
        (struct.pack("<II", 2, 3) + bytes(25), "25 bytes of numbers, expected 24 .*: bytes follow"),
        (struct.pack("<II", 2, 0), "dimension 0"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "v.fbin").write_bytes(data)
    with pytest.raises(DataError, match=problem):
        rows_of(VectorBinEmbeddings, tmp_path / "v.fbin")
