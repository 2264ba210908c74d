"""`formats.graphs.graph_nodes`: rows in the order in which ids come, whatever the batches."""

from __future__ import annotations

import contextlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import UsageError
from nsl_tools.formats.graphs.graph_nodes import GraphNodes, _Level
from nsl_tools.memory_budget import MemoryBudget

_IDS = st.integers(0, 300).map(lambda number: b"node%d" % number * (1 + number % 5))
BUDGET = MemoryBudget(10**9)


@given(st.lists(st.lists(_IDS, max_size=30), max_size=30))
def test_each_id_has_the_row_of_its_first_appearance(batches: list[list[bytes]]) -> None:
    rows: dict[bytes, int] = {}
    with contextlib.ExitStack() as stack:
        nodes = GraphNodes(BUDGET, stack)
        for batch in batches:
            expected = [rows.setdefault(node, len(rows)) for node in batch]
            assert nodes.rows(pa.array(batch, pa.binary())).tolist() == expected
        assert len(nodes) == len(rows)
        some = np.arange(0, len(rows), 3)
        assert nodes.ids(some).to_pylist() == list(rows)[::3]


@given(st.lists(st.lists(st.tuples(_IDS, _IDS), max_size=20), max_size=10))
def test_the_ends_of_edges_have_the_rows_of_their_ids(
    batches: list[list[tuple[bytes, bytes]]],
) -> None:
    rows: dict[bytes, int] = {}
    with contextlib.ExitStack() as stack:
        nodes = GraphNodes(BUDGET, stack)
        for batch in batches:
            sources, targets = ([edge[i] for edge in batch] for i in (0, 1))
            expected = [
                [rows.setdefault(node, len(rows)) for node in s] for s in (sources, targets)
            ]
            found = nodes.ends(pa.array(sources, pa.binary()), pa.array(targets, pa.binary()))
            assert found.tolist() == expected
        assert nodes.known(pa.array([*rows, b"no"], pa.binary())).tolist() == [
            *range(len(rows)),
            -1,
        ]


def test_ids_that_share_half_of_a_fingerprint_are_told_apart() -> None:
    high, low = np.array([3, 7, 7, 7, 9], np.uint64), np.array([0, 1, 2, 3, 0], np.uint64)
    level = _Level(high, low, np.arange(5, dtype=np.uint32))
    sought = np.array([7, 7, 7, 7, 9, 3, 1, 10], np.uint64)
    rest = np.array([3, 1, 4, 2, 0, 1, 0, 0], np.uint64)
    assert level.find(sought, rest).tolist() == [3, 1, -1, 2, 4, -1, -1, -1]


@pytest.mark.own_memory("gives a limit that is too small")
def test_too_many_nodes_are_refused() -> None:
    ids = pa.array([b"%d" % i for i in range(2000)], pa.binary())
    with contextlib.ExitStack() as stack, pytest.raises(UsageError, match="for 2,000 nodes"):
        GraphNodes(MemoryBudget(10_000), stack).rows(ids)
