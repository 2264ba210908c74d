"""Lines of a graph: each edge is `source<TAB>target<TAB>%.6f`, in the order given."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_graph

from nsl_tools.formats.graphs import tsv_writer
from nsl_tools.formats.graphs.tsv_writer import edge_lines
from nsl_tools.tuning import TUNING

_cosines = st.floats(-1, 1) | st.sampled_from([-0.0, 1.0, -1.0, 1.0000000000000002, 5e-324])


@pytest.mark.parametrize(("few", "short"), [(1, 0), (1, 99), (5, 0), (TUNING.few_to_join, 0)])
@given(
    st.lists(st.text("aé\u2028 #\"'", min_size=1).map(str.encode), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(0), st.integers(0), _cosines), max_size=20),
    st.sampled_from([1, 30, 100, 1000]),
)
def test_edges_are_lines_in_order(
    few: int, short: int, ids: list[bytes], drawn: list[tuple[int, int, float]], size: int
) -> None:
    """Each edge is `source<TAB>target<TAB>weight`, in the order given.

    Be they few or many, in several pieces, of ids that are short or long.
    """
    edges = [(source % len(ids), target % len(ids), weight) for source, target, weight in drawn]
    sources, targets = ([edge[end] for edge in edges] for end in (0, 1))
    with (
        mock.patch.object(tsv_writer, "_SHORT", short),
        mock.patch.multiple(TUNING, few_to_join=few, joined_edges=4, lines_bytes=size),
    ):
        found = list(
            edge_lines(
                pa.array(ids, pa.binary()),
                np.array(sources, np.int64),
                np.array(targets, np.int64),
                np.array([weight for _, _, weight in edges], np.float64),
            )
        )
    longest = max(map(len, ids)) * 2 + len("\t\t-1.000000\n")
    assert all(0 < len(lines) <= size + longest for lines in found)
    expected = b"".join(b"%b\t%b\t%.6f\n" % (ids[s], ids[t], w) for s, t, w in edges)
    assert b"".join(found) == expected
    read = [(ids[s], ids[t], float(f"{w:.6f}")) for s, t, w in edges]
    assert right_graph(expected) == read


@pytest.mark.parametrize("short", [0, tsv_writer._SHORT])
def test_a_slice_of_ids(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows count from the start of the slice."""
    monkeypatch.setattr(TUNING, "few_to_join", 1)
    monkeypatch.setattr(tsv_writer, "_SHORT", short)
    ids = pa.array([b"x", b"a", b"b"], pa.binary()).slice(1)
    zero, one = np.array([0]), np.array([1])
    assert list(edge_lines(ids, zero, one, np.array([0.5]))) == [b"a\tb\t0.500000\n"]


def test_ids_of_which_most_are_in_no_edge() -> None:
    """Many of them, some long; lines are made of those in edges alone."""
    ids = [b"%d" % i + b"x" * (i % 7 * 1000) for i in range(1000)]
    edges = np.array([[999, 0], [0, 999], [6, 6]])
    found = edge_lines(pa.array(ids, pa.binary()), *edges.T, np.array([1.0, -1.0, 0.0]))
    lines = [(ids[s], ids[t]) for s, t in edges.tolist()]
    weights = (b"1.000000", b"-1.000000", b"0.000000")
    assert [tuple(line.split(b"\t")) for line in b"".join(found).splitlines()] == [
        (*line, weight) for line, weight in zip(lines, weights, strict=True)
    ]
