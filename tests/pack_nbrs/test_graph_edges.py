"""Edges of all graphs as numbers: in order, whether they are read ahead or have to wait."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.arrays.fingerprints import fingerprints
from nsl_tools.errors import DataError
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.graph_edges import GraphEdges
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

Edge = tuple[bytes, bytes, float]

_MEMORY = MemoryBudget(10**8)
_IDS = st.sampled_from([b"a", b"b", "é".encode(), b"an id of more than sixteen bytes"])
_GRAPHS = st.lists(
    st.lists(st.tuples(_IDS, _IDS, st.sampled_from([0.5, -1.0, 0.0])), max_size=6),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def files_of(*paths: Path) -> GraphFiles:
    return GraphFiles([str(path) for path in paths], PackOptions())


def begun(
    folder: Path, graphs: list[bytes], statistics: Statistics, stack: contextlib.ExitStack
) -> GraphEdges:
    """Write graphs and begin to read them."""
    paths = [folder / f"g{number}" for number in range(len(graphs))]
    for path, graph in zip(paths, graphs, strict=True):
        path.write_bytes(graph)
    return GraphEdges(files_of(*paths), statistics, _MEMORY, stack)


def read(edges: GraphEdges) -> list[tuple[int, ...]]:
    """Return fingerprints of both ends, and the weight, of each edge."""
    return [
        tuple(edge)
        for sources, targets, weights in edges.batches()
        for edge in zip(*(c.tolist() for c in (*sources, *targets, weights)), strict=True)
    ]


def numbers_of(edges: list[Edge]) -> list[tuple[int, ...]]:
    """Return what is to be read of edges."""
    ends = [fingerprints(pa.array([edge[end] for edge in edges], pa.binary())) for end in (0, 1)]
    columns = (column.tolist() for both in ends for column in both)
    return [*zip(*columns, [weight for _, _, weight in edges], strict=True)]


@pytest.mark.parametrize("max_errors", [0, 1])
@settings(max_examples=40)
@given(graphs=_GRAPHS)
def test_edges_come_in_the_order_of_the_files(
    folder: Path, max_errors: int, graphs: list[list[Edge]]
) -> None:
    """With the fingerprints by which examples are known, as often as they are there."""
    texts = [b"".join(b"%b\t%b\t%f\n" % edge for edge in edges) for edges in graphs]
    statistics = Statistics(max_errors)
    with contextlib.ExitStack() as stack:
        edges = begun(folder, texts, statistics, stack)
        assert edges.name == str(folder / "g0")
        assert read(edges) == numbers_of([edge for graph in graphs for edge in graph])
    assert statistics.counts["empty files"] == texts.count(b"")


@pytest.mark.parametrize("max_errors", [0, 1])
def test_what_is_counted_is_told_once_all_is_read(tmp_path: Path, max_errors: int) -> None:
    """Added to what was counted meanwhile."""
    statistics = Statistics(max_errors)
    with contextlib.ExitStack() as stack:
        edges = begun(tmp_path, [b"a\tb\n\nb\ta", b"a\ta\n"], statistics, stack)
        statistics.counts["blank lines"] += 1
        assert len(read(edges)) == 3
    assert statistics.counts == {"blank lines": 2, "edges without weight (taken as 1.0)": 3}
    assert list(statistics.warnings.values()) == [1]


def test_lines_are_skipped_as_far_as_other_records_leave_some(tmp_path: Path) -> None:
    """How many were is known only when edges are asked for."""
    problem = r"g0: line 2: expected 2 or 3 columns"
    for max_errors, others in ((0, 0), (1, 1), (2, 1), (1, 0)):
        statistics = Statistics(max_errors)
        with contextlib.ExitStack() as stack:
            edges = begun(tmp_path, [b"a\tb\nodd\nb\ta\n"], statistics, stack)
            for number in range(others):
                statistics.skip("other", DataError("file", f"record {number}", "odd"))
            if max_errors == others:
                with pytest.raises(DataError, match=problem):
                    read(edges)
            else:
                assert read(edges) == numbers_of([(b"a", b"b", 1.0), (b"b", b"a", 1.0)])
                assert statistics.warnings["skipped: line not an edge"] == 1


@pytest.mark.parametrize("max_errors", [0, 1])
def test_what_is_left_to_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_errors: int
) -> None:
    """Once edges are asked for: what was read ahead is done."""
    monkeypatch.setattr(TUNING, "graph_bytes", 100)
    with contextlib.ExitStack() as stack:
        edges = begun(
            tmp_path, [b"a\tb\t0.5\n"] * 7 + [b"b\ta\t1\n" * 999], Statistics(max_errors), stack
        )
        left = edges.left()
        for _ in edges.batches(left):
            assert left.done <= left.total
        assert left.total - 500 <= left.done <= left.total
        if max_errors:  # nothing is read ahead
            assert left.total == 7 * 8 + 999 * 6


def test_the_thread_ends_with_the_run(tmp_path: Path) -> None:
    """Though nobody asked for the edges, of which there are more than are read ahead."""
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        begun(tmp_path, [b"a\tb\t0.5\n"] * 99, Statistics(), stack)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
