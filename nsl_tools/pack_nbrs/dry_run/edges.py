"""How many neighbours seeds keep, where only some of the edges or of the examples were read.

An edge is seen to leave a seed, or to lead to an example, if that is among those that were read:
so both are as often as they are seen, by the share of the examples. How many edges leave each
seed is known where all edges were read; else it is told by how long the runs of one source are,
in places where sources come in runs, as in what `build-graph` writes; else by how often seeds
are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.fingerprints import fingerprints
from nsl_tools.arrays.thinning import capped_counts
from nsl_tools.formats.graphs.edge_batches import weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.formats.graphs.sample import EdgeSample
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.graph_edges import Edges
    from nsl_tools.pack_nbrs.nodes import NodeRows

    Rows = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

_FEW = 30  # edges, of which a share is no more than chance


@dataclass(frozen=True)
class Shares:
    """Which parts of the examples were read: of the labeled ones, and of the unlabeled ones."""

    labeled: float
    unlabeled: float

    def of(self, nodes: NodeRows) -> float:
        """Return the part of all examples."""
        unlabeled = nodes.count - nodes.labeled
        total = nodes.labeled / self.labeled + unlabeled / self.unlabeled
        return nodes.count / max(1.0, total)


def kept_neighbors(
    sample: EdgeSample,
    ends: tuple[Rows, Rows],
    nodes: NodeRows,
    shares: Shares,
    options: PackOptions,
) -> Floats:
    """Return how many neighbours each of the seeds that were read keeps, shape (seeds,).

    Args:
        sample: some edges.
        ends: of these, as `resolved` returns them.
        nodes: some examples.
        shares: which parts of the examples these are.
        options: how many neighbours are packed, and whether edges are followed backwards, too.
    """
    sources, targets = ends
    limit, both_ways = options.max_neighbors, options.add_undirected_edges
    seeds = np.flatnonzero(nodes.is_seed)
    known = _share_known(sources, targets, shares.of(nodes))
    counts = _known_edges(sources, known, nodes)[seeds]
    if both_ways:
        back = _share_known(targets, sources, shares.of(nodes))
        counts += _known_edges(targets, back, nodes)[seeds]
    seen = sample.count / max(1.0, sample.expected)
    if seen < 1 and not both_ways:
        runs = _runs(sample)
        usual = 1.1  # edges of a run, on average: of fewer, sources do not come together
        if len(runs) and runs.mean() > usual:
            having = _share_with_edges(sources, nodes, shares, sample, float(runs.mean()))
            return _by_runs(runs, len(seeds), having, known, limit)
    share = np.full(len(seeds), max(seen, 1e-9))
    found = capped_counts(np.zeros(len(seeds)), counts, share, limit)
    return found if limit is None else np.minimum(found, limit)


def resolved(sample: EdgeSample, nodes: NodeRows) -> tuple[Rows, Rows]:
    """Return the rows of both ends of all edges, -1 for an unknown one, shapes (m,)."""

    def words() -> Iterator[Edges]:
        for batch in sample.pieces:
            sources, targets = (fingerprints(batch[name]) for name in ("source", "target"))
            yield sources, targets, weights_of(batch)

    none = np.empty(0, np.int64)
    parts = [(none, none), *((s, t) for s, t, _ in nodes.index.resolved(words()))]
    sources, targets = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sources, targets


def _known_edges(rows: Rows, known: float, nodes: NodeRows) -> Floats:
    """Return for each node how many edges have it as an end, and any example as the other one."""
    counts = np.bincount(rows[rows >= 0], minlength=nodes.count)
    return np.random.default_rng(0).binomial(counts, known).astype(np.float64)


def _share_known(sources: Rows, targets: Rows, read: float) -> float:
    """Return which part of the edges that leave examples lead to examples.

    Args:
        sources: rows of the examples that were read, -1 for others.
        targets: as the sources.
        read: which part of the examples was read.
    """
    leaving = sources >= 0
    if np.count_nonzero(leaving) < _FEW:
        leaving = np.ones(len(targets), np.bool_)
    return min(1.0, float((targets[leaving] >= 0).mean()) / read) if leaving.any() else 0.0


def _runs(sample: EdgeSample) -> Rows:
    """Return how many edges follow each other from one source, but at the ends of pieces."""
    runs = [np.empty(0, np.int64)]
    for batch in sample.pieces:
        high, low = fingerprints(batch["source"])
        changes = np.flatnonzero((high[1:] != high[:-1]) | (low[1:] != low[:-1])) + 1
        runs.append(np.diff(changes))
    return np.concatenate(runs)


def _share_with_edges(
    sources: Rows, nodes: NodeRows, shares: Shares, sample: EdgeSample, of_one: float
) -> float:
    """Return which part of the seeds have edges, of which `of_one` leave one that has.

    By the edges that are seen to leave seeds: of `build-graph --seeds` all do. Where that are few,
    or nearly all examples have edges, seeds are taken to have some as often as others.
    """
    leaving = int(np.count_nonzero(nodes.is_seed[sources[sources >= 0]]))
    of_all = sample.expected / of_one * shares.of(nodes) / max(1, nodes.count)
    nearly_all = 0.95
    if leaving < _FEW or of_all > nearly_all:
        return min(1.0, of_all)
    having = leaving * sample.expected / sample.count / of_one
    return min(1.0, having / max(1, int(np.count_nonzero(nodes.is_seed))))


def _by_runs(runs: Rows, seeds: int, having: float, known: float, limit: int | None) -> Floats:
    """Return neighbours of seeds, of which a part has as many as runs are long."""
    kept = runs * known if limit is None else np.minimum(runs * known, limit)
    random = np.random.default_rng(0)
    return np.where(random.random(seeds) < having, random.choice(kept, seeds), 0.0)
