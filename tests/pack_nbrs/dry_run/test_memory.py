"""`pack_nbrs.dry_run.memory`: what is held keeps to the limit, and scratch has the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.memory import LIBRARIES
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.dry_run.memory import Sizes

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


LIMITS = st.sampled_from([64_000_000, 512_000_000, 8 << 30])
MANY = st.floats(0, 1e8)


@given(
    st.builds(
        Sizes,
        st.builds(PackOptions, memory_limit=LIMITS),
        nodes=st.floats(0, 1e7),
        id_bytes=st.floats(1, 50),
        record_bytes=st.floats(0, 1e10),
        spooled=st.floats(0, 1e9),
        edges=MANY,
        kept=MANY,
        needed=st.floats(0, 1e7),
        block_bytes=st.floats(32, 1e4),
        read_again=st.booleans(),
    )
)
def test_what_does_not_fit_is_in_scratch_files(sizes: Sizes) -> None:
    limit = sizes.options.memory_limit or 0
    assert sizes.scratch() >= sizes.spooled
    if sizes.ranges:
        assert sizes.scratch() >= sizes.kept * sizes.block_bytes
    # Beside the limit there are what libraries take, and some bytes of each node.
    assert sizes.memory() <= 1.2 * limit + LIBRARIES + 9 * sizes.nodes
    assert sizes.claimed(0) == sizes.scratch()
    assert sizes.claimed(4.0 * limit) >= 4 * limit


def test_too_many_examples_are_a_problem() -> None:
    def of(nodes: float) -> Sizes:
        return Sizes(
            PackOptions(memory_limit=32_000_000), nodes, 8, 1e9, 0, 1e6, 1e6, 1e5, 500, True
        )

    assert of(1e6).problems() == []
    (problem,) = of(2e7).problems()
    assert problem == (
        "--memory-limit: expected at least 80 MB for 20,000,000 examples, received 32 MB"
    )
