"""Nodes without a neighbour: how many there are, and which threshold would give most one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.search.exact import NearestNeighbors

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Rows
    from nsl_tools.statistics import Statistics


def warn_of_gaps(nearest: NearestNeighbors, queries: Rows, statistics: Statistics) -> None:
    """Count the `queries`, ascending rows, that no edge leaves; warn if they are most.

    What would help is read off the exact nearest neighbours of some of them.
    """
    if statistics.counts["shards kept"]:  # whose sources are not known
        return
    without = len(queries) - statistics.counts["sources"]
    if without:
        statistics.counts["without a neighbour"] = without
    if not 2 * without > len(queries):
        return
    threshold = nearest.weigher.threshold
    reason = f"nodes without a neighbour at --similarity-threshold={threshold:g}: more than half"
    if not statistics.counts["sources"]:
        reason = f"graph without edges: no pair reaches --similarity-threshold={threshold:g}"
    statistics.warnings[reason + _advice(nearest, queries)] = without


def _advice(nearest: NearestNeighbors, queries: Rows) -> str:
    some = 256  # random nodes, by which a share is known within 6 points
    sample = queries
    if len(queries) > some:
        sample = np.sort(np.random.default_rng(0).choice(queries, some, replace=False))
    weigher = replace(nearest.weigher, k=1, threshold=-1.0)
    found = NearestNeighbors(weigher, nearest.workers, nearest.store)
    base = np.arange(len(nearest.embeddings.ids))
    weights = [edges.weights for edges in found.edges(sample, base)]
    nearest_of_all = np.sort(np.concatenate([np.empty(0), *weights]))[::-1]
    if not len(nearest_of_all):
        return ""
    said = f"; of the nearest of each the median similarity is {np.median(nearest_of_all):.2f}"
    wanted = int(np.ceil(0.9 * len(sample)))
    if wanted > len(nearest_of_all):  # others are zero, or alone
        return said
    threshold = np.floor(100 * nearest_of_all[wanted - 1]) / 100
    return f"{said}, and --similarity-threshold={threshold:.2f} would give 90 % of the nodes one"
