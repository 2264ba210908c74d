"""Headers of `.npy` arrays of any shape and type; those of matrices are tried in `test_npy`."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.npy_header import read_header

KINDS = ["<f4", ">f8", "|i1", "<u8", "|S3", "<U4", "|b1", "<c8", "<M8[s]", "|O"]


@given(
    kind=st.sampled_from(KINDS),
    shape=st.lists(st.integers(0, 3), max_size=4).map(tuple),
    order=st.sampled_from("CF"),
)
def test_a_header_says_what_numpy_wrote(kind: str, shape: tuple[int, ...], order: str) -> None:
    file = io.BytesIO()
    array = np.zeros(shape, kind, order)  # type: ignore[call-overload]
    np.lib.format.write_array(file, array)
    file.seek(0)
    found = read_header("f", file)
    assert (found.kind, found.shape, found.bytes) == (array.dtype.str, shape, file.tell())
    assert found.fortran_order == (array.flags.f_contiguous and not array.flags.c_contiguous)
    assert found.has_known_type == (array.dtype.kind in "fiuSU")


@pytest.mark.parametrize("kind", ["S99999999999999", "f3", "U0", "q", "(2,)f4", "f4,f4", ""])
def test_types_that_are_none(kind: str) -> None:
    """Of the numbers and texts that NumPy writes: no one is to be evaluated."""
    text = b"{'descr': '%b', 'fortran_order': False, 'shape': (1,), }" % kind.encode()
    file = io.BytesIO(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    assert not read_header("f", file).has_known_type


def test_a_file_that_ends_within_its_header() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((2, 2)))
    with pytest.raises(DataError, match="f: the file is cut within its header of 118 bytes"):
        read_header("f", io.BytesIO(file.getvalue()[:50]))
