"""Edges, taken part by part from one search."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.edges import EdgeFlow, Edges, counted
from nsl_tools.progress import Work


def edges_of(sources: list[int]) -> Edges:
    rows = np.array(sources, np.int64)
    return Edges(rows, rows + 100, np.linspace(0, 1, len(rows)))


@given(
    degrees=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    parts=st.lists(st.integers(0, 30), max_size=4),
)
def test_parts_hold_the_edges_of_their_sources(
    degrees: list[int], cuts: list[int], parts: list[int]
) -> None:
    """Whatever the batches; a batch may end within a source, a part may be empty."""
    sources = [row for row, degree in enumerate(degrees) for _ in range(degree)]
    bounds = sorted({0, len(sources), *(cut for cut in cuts if cut < len(sources))})
    batches = [edges_of(sources[a:b]) for a, b in itertools.pairwise(bounds)]
    ends = [0, *sorted(min(part, len(degrees)) for part in parts), len(degrees)]
    rows = [np.arange(a, b) for a, b in itertools.pairwise(ends)]
    found = [
        [source for edges in part for source in edges.sources.tolist()]
        for part in EdgeFlow(iter(batches)).parts(rows)
    ]
    assert found == [[source for source in sources if source in part] for part in rows]


@given(
    degrees=st.lists(st.integers(0, 4), max_size=30),
    queries=st.sets(st.integers(0, 29)),
    size=st.integers(1, 9),
)
def test_queries_are_counted_once_they_are_passed(
    degrees: list[int], queries: set[int], size: int
) -> None:
    """Those without an edge with the next one that has some, or at the end."""
    sources = [row for row in sorted(queries) if row < len(degrees) for _ in range(degrees[row])]
    work = Work(len(queries))
    batches = [edges_of(sources[i : i + size]) for i in range(0, len(sources), size)]
    passed = 0
    for number, edges in enumerate(counted(iter(batches), np.array(sorted(queries), int), work)):
        assert edges is batches[number]
        assert work.done == passed
        passed = sum(row <= edges.sources[-1] for row in queries)
    assert work.done == len(queries)


def test_a_cut_keeps_the_order() -> None:
    before, after = edges_of([0, 0, 1, 4]).cut(3)
    assert (before.sources.tolist(), after.sources.tolist()) == ([0, 0, 1], [4])
    assert (before.targets.tolist(), after.targets.tolist()) == ([100, 100, 101], [104])
    assert (len(before), len(after)) == (3, 1)
