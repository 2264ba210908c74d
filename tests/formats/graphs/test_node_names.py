"""Ids of nodes that a graph gives by their numbers."""

from pathlib import Path

import numpy as np
import pytest

from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.statistics import Statistics

MEMORY = MemoryBudget(1 << 30)


def test_the_numbers_themselves() -> None:
    names = node_names(None, MEMORY, Statistics())
    assert names.of(np.array([7, 0, 7]), "g").to_pylist() == [b"7", b"0", b"7"]
    with pytest.raises(DataError, match="g: the number of a node is -2, expected one from 0 on"):
        names.of(np.array([7, -2]), "g")


def test_the_ids_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text("a\nb\n")
    names = node_names(str(path), MEMORY, Statistics())
    assert names.of(np.array([1, 0, 1]), "g").to_pylist() == [b"b", b"a", b"b"]
    for number in (2, -1):
        with pytest.raises(DataError, match=f"is {number}, expected one below 2, the ids of .*ids"):
            names.of(np.array([number]), "g")


def test_ids_take_memory(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text("".join(f"{'x' * 1000}{i}\n" for i in range(40_000)))
    with pytest.raises(UsageError, match="--memory-limit"):
        node_names(str(path), MemoryBudget(32 << 20), Statistics())
