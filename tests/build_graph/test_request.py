"""`build_graph.request`: what was asked for, and what makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from nsl_tools.build_graph.request import refuse_wide, requested, threads_for
from nsl_tools.errors import UsageError
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


def test_files_and_options_are_those_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", a=np.ones((2, 2)), b=np.ones((3, 2)))
    (tmp_path / "seeds").write_text("0\n")
    given = f"{tmp_path}/e.npz:/b", f"{tmp_path}/g@2"
    found = requested([given[0]], given[1], BuildGraphOptions(recall=0.9), (), Statistics())
    assert found.options.array == "/b"
    assert found.inputs == {"embeddings": [f"{tmp_path}/e.npz"], "seeds": [], "ids": []}
    assert found.outputs == [f"{tmp_path}/g-0000{i}-of-00002" for i in range(2)]
    assert found.approximately
    seeds = [f"{tmp_path}/seeds"]
    again = requested([given[0]], given[1], BuildGraphOptions(recall=0.9), seeds, Statistics())
    assert not again.approximately
    assert again.inputs["seeds"] == seeds
    with pytest.raises(UsageError, match="--array: received a, and /b in EMBEDDINGS"):
        requested([given[0]], given[1], BuildGraphOptions(array="a"), (), Statistics())


@pytest.mark.own_memory("sets the limit")
def test_threads_are_as_many_as_the_memory_holds() -> None:
    statistics = Statistics()
    options = BuildGraphOptions(threads=64, memory_limit=64_000_000)
    assert 1 <= threads_for(options, 100, statistics) < 64
    assert list(statistics.warnings) == ["--threads 64: --memory-limit leaves memory for 5"]


def test_vectors_that_do_not_fit_the_memory_are_refused() -> None:
    options = BuildGraphOptions(memory_limit=32_000_000)
    refuse_wide(500_000, options)
    with pytest.raises(UsageError, match=r"expected at least 32\.1 MB for vectors of dimension"):
        refuse_wide(501_000, options)
