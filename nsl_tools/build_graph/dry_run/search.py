"""Which search a run would choose, why, and what comparing takes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.fingerprints import rows_among
from nsl_tools.build_graph.dry_run.buckets import bucket_search
from nsl_tools.build_graph.dry_run.lists import list_search
from nsl_tools.build_graph.dry_run.neighbors import sampled_neighbors
from nsl_tools.build_graph.dry_run.sweep import product_seconds, sweep_seconds
from nsl_tools.build_graph.search.lsh import bucketed_edges

if TYPE_CHECKING:
    from nsl_tools.build_graph.dry_run.neighbors import SampledNeighbors
    from nsl_tools.build_graph.dry_run.sample import SampledNodes
    from nsl_tools.build_graph.request import Request
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.spill.matrix import Rows
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class Searched:
    """What a search would take.

    Attributes:
        found: the exact neighbours of some nodes.
        sources: how many nodes edges leave from.
        kind: what is compared, in words.
        why: that is chosen.
        products: of two vectors.
        comparing: seconds.
        weighing: seconds.
        lists: whether lists are searched.
    """

    found: SampledNeighbors
    sources: int
    kind: str
    why: str
    products: float
    comparing: float
    weighing: float
    lists: bool = False

    @property
    def edges(self) -> float:
        """How many edges there will be."""
        return self.found.edges_per_node * self.sources


def searched(
    asked: Request, sample: SampledNodes, nearest: NearestNeighbors, statistics: Statistics
) -> Searched:
    """Return what the search of a run takes, by searching for some rows."""
    rows, sources = _sources(asked, sample, statistics)
    every = np.arange(len(sample.nodes.ids))
    enough = 0.6  # seconds, that draw enough rows as a rule
    if asked.options.lsh_splits:
        return _in_buckets(asked, sample, nearest, rows, sources)
    search = partial(nearest.edges, base=every)
    found = sampled_neighbors(sample, nearest, search, rows, enough)
    weighing = found.weighing / nearest.workers.count / max(1, len(found.rows)) * sources
    total = sample.total
    if asked.seeds.paths:
        per_row = found.seconds / max(1, len(found.rows)) * total / len(every)
        comparing = max(0.0, per_row * sources - weighing)
        why = "edges leave seeds alone"
        return Searched(
            found, sources, "all pairs of a seed", why, 1.0 * sources * total, comparing, weighing
        )
    exact = Searched(
        found, sources, "all pairs", "it is exact", total * (total - 1) / 2, 0.0, weighing
    )
    if asked.approximately:
        seconds = product_seconds(nearest)
        lists = list_search(asked.options, sample, nearest, found, seconds)
        if not lists.why:
            per_pair = found.weighing / max(1, found.pairs) / nearest.workers.count
            why = f"--recall {asked.options.recall:g}, and they cost less than all pairs"
            return Searched(
                found, sources, "inverted lists", why, lists.products, lists.seconds,
                per_pair * lists.pairs, True,
            )  # fmt: skip
        exact = Searched(found, sources, exact.kind, lists.why, exact.products, 0.0, weighing)
    elif asked.options.recall < 1:
        exact = Searched(found, sources, exact.kind, "-k all", exact.products, 0.0, weighing)
    return Searched(
        found, sources, exact.kind, exact.why, exact.products,
        sweep_seconds(nearest, total), weighing,
    )  # fmt: skip


def _sources(asked: Request, sample: SampledNodes, statistics: Statistics) -> tuple[Rows, int]:
    """Return rows that edges may leave from, of those that were read, and how many there are."""
    rows = np.arange(len(sample.nodes.ids))
    if not asked.seeds.paths:
        return rows, sample.total
    seeds = asked.seeds.read(statistics)
    known = rows_among(sample.nodes.ids, seeds)
    if sample.is_whole:
        return known, len(known)
    # As if all seeds had an embedding, and were as any other node where none of them was read.
    return known if len(known) else rows, len(seeds)


def _in_buckets(
    asked: Request, sample: SampledNodes, nearest: NearestNeighbors, rows: Rows, sources: int
) -> Searched:
    """Return what a search in NSL's buckets takes."""
    search = partial(bucketed_edges, nearest, asked.options)
    found = sampled_neighbors(sample, nearest, search, rows, 0.5)
    buckets = bucket_search(nearest, asked.options)
    # Of more rows, buckets are larger; of few seeds, few buckets are searched.
    scale = sample.total / len(sample.nodes.ids)
    share = sources / max(1, sample.total)
    why = f"--lsh-splits {asked.options.lsh_splits}"
    return Searched(
        found, sources, "pairs within buckets", why, buckets.products * scale**2,
        buckets.seconds * scale**2 * share, buckets.weighing * scale**2 * share,
    )  # fmt: skip
