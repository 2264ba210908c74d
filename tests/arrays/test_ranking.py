"""`nsl_tools.arrays.ranking`: edges are ordered as Python orders tuples."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.ranking import rank_edges

WEIGHTS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, float(np.nextafter(0.5, 1)), 1e-300, -1e300]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(
    st.lists(st.tuples(st.integers(0, 5), WEIGHTS, st.integers(0, 3)), max_size=40),
    st.sampled_from([1, 1000, 1 << 28]),
)
def test_by_source_then_falling_weight_then_falling_id(
    edges: list[tuple[int, float, int]], scale: int
) -> None:
    """Also where sources leave few bits for weights; ids are asked for where all else is equal."""
    sources = np.array([source * scale for source, _, _ in edges], np.int64)
    weights = np.array([weight for _, weight, _ in edges], np.float64)
    ids = np.array([target for _, _, target in edges], np.int64)
    asked: list[int] = []

    def id_ranks_at(places: np.ndarray) -> np.ndarray:
        asked.extend(places.tolist())
        return ids[places]

    order = rank_edges(sources, weights, id_ranks_at)
    assert sorted(order.tolist()) == list(range(len(edges)))
    assert [edges[i] for i in order] == sorted(edges, key=lambda e: (e[0], -e[1], -e[2]))
    pairs = [(source, weight) for source, weight, _ in edges]
    assert {i for i, pair in enumerate(pairs) if pairs.count(pair) > 1} <= set(asked)
