"""`build_graph.dry_run.sample`: all nodes where they are few, else some from many places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.build_graph.dry_run.sample import sampled_nodes
from nsl_tools.build_graph.request import requested
from nsl_tools.errors import DataError
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@settings(max_examples=20)
@given(rows=st.integers(1, 700), width=st.integers(1, 9), part=st.sampled_from([0.2, 1, 2]))
def test_what_is_read_is_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: int, width: int, part: float
) -> None:
    folder = tmp_path_factory.mktemp("sample")
    vectors = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    np.save(folder / "e.npy", vectors)
    options = BuildGraphOptions()
    asked = requested([str(folder / "e.npy")], str(folder / "g"), options, (), Statistics())
    with MatrixStore(1 << 30) as store:
        found = sampled_nodes(asked, Statistics(), store, int(part * vectors.nbytes) or 1)
    read = len(found.nodes.ids)
    assert found.shape == (rows, width)
    assert found.is_exact
    assert found.is_whole == (read == rows)
    assert found.is_whole or part < 1
    ids = [int(node.as_py()) for node in found.nodes.ids]
    np.testing.assert_array_equal(found.nodes.vectors[:], vectors[ids])
    assert found.pieces.tolist() == sorted(found.pieces.tolist())
    assert len(found.pieces) == len(found.nodes.norms) == read
    assert found.id_bytes == pytest.approx(np.mean([len(str(i)) for i in ids]))
    assert found.seconds >= 0


def test_an_empty_input_is_refused_as_by_the_run(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.empty((0, 3), np.float32))
    asked = requested(
        [str(tmp_path / "e.npy")], str(tmp_path / "g"), BuildGraphOptions(), (), Statistics()
    )
    with MatrixStore(1 << 30) as store, pytest.raises(DataError, match="no record: give --allow"):
        sampled_nodes(asked, Statistics(), store, 1000)
