"""Graphs as Parquet, read back by pyarrow and pandas."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from graph_files import EDGES, IDS, NODES, as_shown, written
from hypothesis import given, settings
from hypothesis import strategies as st
from support import drawn

from nsl_tools.formats.graphs.parquet_writer import ParquetGraph
from nsl_tools.formats.graphs.writer import GraphForm


@pytest.mark.parametrize("row_numbers", [False, True])
@pytest.mark.parametrize("distances", [False, True])
def test_the_edges_in_their_order(row_numbers: bool, distances: bool) -> None:
    form = GraphForm(IDS, range(NODES), distances=distances, row_numbers=row_numbers)
    table = pq.read_table(io.BytesIO(written(ParquetGraph, EDGES, [2, 5], form)))
    kind = pa.int64() if row_numbers else pa.string()
    assert table.schema.names == ["source", "target", "weight"]
    assert table.schema.types == [kind, kind, pa.float32()]
    names = list(range(NODES)) if row_numbers else [f"node {i}" for i in range(NODES)]
    assert list(zip(*(c.to_pylist() for c in table.columns), strict=True)) == [
        (names[s], names[t], w) for s, t, w in as_shown(EDGES, distances=distances)
    ]


@pytest.mark.thorough
@settings(max_examples=drawn(100))
@given(
    counts=st.lists(st.integers(0, 2000), min_size=1, max_size=5), long=st.sampled_from([1, 20_000])
)
def test_row_groups_do_not_depend_on_how_edges_come(counts: list[int], long: int) -> None:
    """They have as many edges as their ids allow; the file is the same to the byte."""
    total = sum(counts)
    ids = pa.array([b"%d" % i + b"x" * long for i in range(3)], pa.binary())
    edges = [(i * 3 // max(1, total), i % 3, 0.5) for i in range(total)]
    form = GraphForm(ids, range(3))
    cuts = np.cumsum(counts)[:-1].tolist()
    data = written(ParquetGraph, edges, cuts, form)
    assert data == written(ParquetGraph, edges, [], form)
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sum(rows) == total
    assert set(rows[:-1]) <= {1024}
    assert max(rows, default=0) <= (1024 if long > 1 else total)


def test_a_graph_without_edges() -> None:
    table = pq.read_table(io.BytesIO(written(ParquetGraph, [], [])))
    assert table.num_rows == 0
    assert table.schema.names == ["source", "target", "weight"]
