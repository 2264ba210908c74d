"""Libraries that not everybody has."""

import sys

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.formats.extras import required


def test_a_library_that_is_there() -> None:
    assert required("json", "x.h5", "hdf5").loads("1") == 1


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    problem = r"x\.h5: takes h5py, which is not installed: pip install 'nsl-tools\[hdf5\]'"
    with pytest.raises(UsageError, match=problem):
        required("h5py", "x.h5", "hdf5")
