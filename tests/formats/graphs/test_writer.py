"""The weights that all formats write."""

import io

import numpy as np
from graph_files import IDS, NODES
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.graphs.tsv_writer import TsvGraph
from nsl_tools.formats.graphs.writer import GraphForm

COSINES = st.floats(-1, 1)


@given(st.lists(COSINES))
def test_weights_have_six_decimals(cosines: list[float]) -> None:
    writer = TsvGraph(io.BytesIO(), GraphForm(IDS, range(NODES)))
    found = writer.written(np.array(cosines, np.float64))
    assert found.tolist() == [float(f"{cosine:.6f}") for cosine in cosines]


@given(st.lists(COSINES))
def test_distances_are_what_is_missing_to_one(cosines: list[float]) -> None:
    """To the last decimal, so that the order of edges is theirs too."""
    writer = TsvGraph(io.BytesIO(), GraphForm(IDS, range(NODES), distances=True))
    found = writer.written(np.array(cosines, np.float64))
    assert found.tolist() == [round(1 - float(f"{cosine:.6f}"), 6) for cosine in cosines]
    assert not np.signbit(found).any()
