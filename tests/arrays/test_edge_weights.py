"""`arrays.edge_weights` and `graph_tsv_writer`: weights are written as Python writes `%.6f`."""

from __future__ import annotations

import math
from itertools import pairwise
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.edge_weights import MICRO, as_written, compact, format_lines, restored
from nsl_tools.formats import graph_tsv_writer
from nsl_tools.formats.graph_tsv_writer import edge_lines
from nsl_tools.tuning import TUNING


def _neighborhood(value: float) -> list[float]:
    return [math.nextafter(value, -2), value, math.nextafter(value, 2)]


# Halves of a millionth, where rounding the product may differ from rounding the decimal.
_halves = st.integers(-MICRO, MICRO - 1).map(lambda micro: (2 * micro + 1) / (2 * MICRO))
_cosines = (
    st.floats(-1, 1)
    | _halves.flatmap(lambda half: st.sampled_from(_neighborhood(half)))
    | st.sampled_from([-0.0, 0.0, 1.0, -1.0, 1.0000000000000002, -1.0000000000000002, 5e-324])
)


def _lines(weights: list[float]) -> list[bytes]:
    text, bounds = format_lines(np.array(weights, np.float64))
    assert bounds[-1] == len(text)
    return [text[start:end] for start, end in pairwise(bounds)]


@given(st.lists(_cosines, max_size=20))
def test_weights_are_formatted_as_python_does(weights: list[float]) -> None:
    """Every cosine, and its sign, is written as `%.6f` writes it."""
    assert _lines(weights) == [b"%.6f\n" % weight for weight in weights]


def test_many_halves_are_formatted_as_python_does() -> None:
    """Ten thousand halves of a millionth, and the numbers next to them, round as `%.6f` does."""
    rng = np.random.default_rng(7)
    halves = (2 * rng.integers(-MICRO, MICRO, 10_000) + 1) / (2 * MICRO)
    weights = np.concatenate([np.nextafter(halves, -2), halves, np.nextafter(halves, 2)]).tolist()
    assert _lines(weights) == [b"%.6f\n" % weight for weight in weights]


@given(st.lists(st.floats(-1, 1)))
def test_compact_weights_are_written_as_before(weights: list[float]) -> None:
    """To the sign of -0.000000."""
    given_ = np.array([*weights, -1e-9, 0.0, -0.0, 1e-9, 1.0, -1.0])
    compacted = compact(given_)
    assert compacted.min() >= 0
    assert format_lines(restored(compacted))[0] == format_lines(given_)[0]
    assert (as_written(restored(compacted)) == as_written(given_)).all()


@given(st.lists(_cosines, max_size=20))
def test_ranking_uses_what_is_written(weights: list[float]) -> None:
    """Millionths are those of the text, so that equal texts are ties."""
    millionths = [int(f"{weight:.6f}".replace(".", "")) for weight in weights]
    assert as_written(np.array(weights, np.float64)).tolist() == millionths


@pytest.mark.parametrize(("few", "short"), [(1, 0), (1, 99), (TUNING.few_to_join, 0)])
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
        mock.patch.object(graph_tsv_writer, "_SHORT", short),
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
    assert b"".join(found) == b"".join(b"%b\t%b\t%.6f\n" % (ids[s], ids[t], w) for s, t, w in edges)


@pytest.mark.parametrize("short", [0, graph_tsv_writer._SHORT])
def test_a_slice_of_ids(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows count from the start of the slice."""
    monkeypatch.setattr(TUNING, "few_to_join", 1)
    monkeypatch.setattr(graph_tsv_writer, "_SHORT", short)
    ids = pa.array([b"x", b"a", b"b"], pa.binary()).slice(1)
    zero, one = np.array([0]), np.array([1])
    assert list(edge_lines(ids, zero, one, np.array([0.5]))) == [b"a\tb\t0.500000\n"]
