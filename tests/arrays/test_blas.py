"""Which libraries multiply here."""

from nsl_tools.arrays.blas import blas_kernels


def test_a_library_is_told_with_its_kernel() -> None:
    found = blas_kernels()
    assert found
    assert all(", kernel " in each and each.endswith(" threads") for each in found)
