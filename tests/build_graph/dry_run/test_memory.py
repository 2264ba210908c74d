"""`build_graph.dry_run.memory`: what is held grows with what is asked for, within its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.dry_run.memory import Sizes
from nsl_tools.memory import LIBRARIES
from nsl_tools.options import BuildGraphOptions

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


SIZES = st.builds(
    Sizes,
    st.builds(
        BuildGraphOptions,
        k=st.one_of(st.none(), st.integers(1, 100)),
        memory_limit=st.sampled_from([64_000_000, 256_000_000, 8 << 30]),
    ),
    shape=st.tuples(st.integers(0, 10**7), st.integers(1, 1000)),
    id_bytes=st.floats(1, 40),
    edges_per_node=st.floats(0, 100),
    threads=st.integers(1, 3),
    lists=st.booleans(),
)


@given(SIZES)
def test_what_is_spilled_is_what_does_not_fit(sizes: Sizes) -> None:
    rows, width = sizes.shape
    if sizes.spills_vectors:
        assert sizes.scratch() >= 4 * rows * width
    if not (sizes.spills_vectors or sizes.spills_pairs):
        assert sizes.scratch() == 0


@given(SIZES)
def test_the_promise_of_the_limit_is_kept(sizes: Sizes) -> None:
    """If it could be, by what the run refuses."""
    limit = sizes.options.memory_limit or 0
    if not sizes.problems() and not sizes.lists and sizes.held_ids < limit / 2:
        assert sizes.memory() <= limit + LIBRARIES + 110 * sizes.shape[0]


@given(SIZES, st.integers(1, 10**6))
def test_more_nodes_take_more(sizes: Sizes, more: int) -> None:
    rows, width = sizes.shape
    larger = Sizes(
        sizes.options, (rows + more, width), sizes.id_bytes, sizes.edges_per_node, sizes.threads
    )
    smaller = Sizes(sizes.options, sizes.shape, sizes.id_bytes, sizes.edges_per_node, sizes.threads)
    assert larger.held_ids > smaller.held_ids
    assert larger.vector_bytes > smaller.vector_bytes


def test_ids_that_do_not_fit_are_a_problem() -> None:
    options = BuildGraphOptions(memory_limit=64_000_000)
    (problem,) = Sizes(options, (2_000_000, 8), 20, 10, 2).problems()
    assert problem.startswith("--memory-limit: expected at least 101 MB for the ids of 2,000,000")
    assert problem.endswith("received 64 MB")
    assert Sizes(options, (200_000, 8), 20, 10, 2).problems() == []
