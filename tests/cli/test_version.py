"""`nsl-tools version`."""

import numpy as np
import pytest
from click.testing import CliRunner

from nsl_tools import __version__
from nsl_tools.cli.commands import cli


def said(*args: str) -> list[str]:
    found = CliRunner().invoke(cli, ["version", *args])
    assert found.exit_code == 0
    return found.output.splitlines()


def test_the_version_alone() -> None:
    assert said() == [f"nsl-tools {__version__}"]


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_what_runs_here(option: str) -> None:
    """All that a report of a problem should say."""
    first, *lines = said(option)
    found = dict(line.split(": ", 1) for line in lines)
    assert first == f"nsl-tools {__version__}"
    assert found["numpy"] == np.__version__
    assert found["memory limit"].endswith("half of what there is")
    assert "kernel" in found["BLAS"]
    assert set(found) > {"Python", "system", "cores", "pyarrow", "faiss-cpu", "h5py", "SIMD"}
    assert all(found.values())
