"""`pack_nbrs.dry_run.edges`: how many neighbours seeds keep, by a part of the edges and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA
from nsl_tools.formats.graphs.sample import EdgeSample
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.dry_run.edges import Shares, kept_neighbors, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


class _Index:
    """Finds the rows of ids that were read: `lookup` tells them by fingerprint."""

    def __init__(self, lookup: dict[tuple[int, int], int]) -> None:
        self._lookup = lookup

    def resolved(self, edges: Iterable[Any]) -> Iterator[tuple[np.ndarray, np.ndarray, Any]]:
        for sources, targets, weights in edges:
            yield self._rows(*sources), self._rows(*targets), weights

    def _rows(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        keys = zip(high.tolist(), low.tolist(), strict=True)
        return np.array([self._lookup.get(key, -1) for key in keys], np.int64)


class _Nodes:
    def __init__(self, read: np.ndarray, labeled: int) -> None:
        from nsl_tools.arrays.fingerprints import fingerprints

        ids = pa.array([b"n%d" % i for i in read.tolist()], pa.binary())
        high, low = fingerprints(ids)
        keys = zip(high.tolist(), low.tolist(), strict=True)
        self.index = _Index({key: row for row, key in enumerate(keys)})
        self.count = len(read)
        self.labeled = int((read < labeled).sum())
        self.is_seed = read < labeled


@settings(max_examples=25)
@given(
    degree=st.sampled_from([1, 5, 12]),
    limit=st.sampled_from([3, 8, None]),
    node_share=st.sampled_from([1.0, 0.4]),
    edge_share=st.sampled_from([1.0, 0.33]),
    shuffled=st.booleans(),
    unknown=st.sampled_from([0.0, 0.5]),
    some=st.sampled_from([1500, 1000, 500]),
    both=st.booleans(),
    seed=st.integers(0, 9),
)
def test_neighbours_are_told_by_parts(
    *,
    degree: int,
    limit: int | None,
    node_share: float,
    edge_share: float,
    shuffled: bool,
    unknown: float,
    some: int,
    both: bool,
    seed: int,
) -> None:
    """Whether sources come together, all examples have edges, and all ends are known, or not.

    Of 1500 examples 500 are seeds; those have edges, and all, some, or none of the others.
    """
    random = np.random.default_rng(seed)
    nodes, labeled = 1500, 500
    counts = random.integers(0, 2 * degree + 1, nodes)
    counts[some:] = 0
    sources = np.repeat(np.arange(nodes), counts)
    targets = random.integers(0, nodes, len(sources))
    targets[random.random(len(targets)) < unknown] += nodes  # of which there is no example
    order = random.permutation(len(sources)) if shuffled else np.arange(len(sources))
    pieces = [part for part in np.array_split(order, 20) if len(part)]
    chosen = range(0, len(pieces), 1 if edge_share == 1 else 3)
    sample = EdgeSample(
        [_batch(sources[pieces[i]], targets[pieces[i]]) for i in chosen], len(sources), True
    )
    read = np.sort(random.permutation(nodes)[: int(node_share * nodes)])
    known = _Nodes(read, labeled)
    shares = Shares(node_share, node_share)
    options = PackOptions(max_neighbors=limit, add_undirected_edges=both)
    ends = resolved(sample, known)  # type: ignore[arg-type]
    kept = kept_neighbors(sample, ends, known, shares, options)  # type: ignore[arg-type]
    within = targets < nodes
    truth = np.bincount(sources[within], minlength=nodes)
    if both:
        truth = truth + np.bincount(targets[within], minlength=nodes)
    expected = np.minimum(truth, limit or 1 << 30)[:labeled].mean()
    assert len(kept) == known.labeled
    assert kept.mean() == pytest.approx(expected, rel=0.35, abs=0.4)


def _batch(sources: np.ndarray, targets: np.ndarray) -> pa.RecordBatch:
    names = ([b"n%d" % i for i in ends.tolist()] for ends in (sources, targets))
    ids = [pa.array(column, pa.binary()) for column in names]
    return pa.record_batch([*ids, pa.array(np.ones(len(sources)))], schema=EDGE_SCHEMA)


def test_the_share_of_all_examples_is_between_those_of_both_kinds() -> None:
    nodes = _Nodes(np.arange(300), 100)
    assert Shares(1.0, 1.0).of(nodes) == 1  # type: ignore[arg-type]
    assert Shares(0.5, 0.25).of(nodes) == 300 / (200 + 800)  # type: ignore[arg-type]
