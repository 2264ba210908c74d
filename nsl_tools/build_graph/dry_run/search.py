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
    from nsl_tools.build_graph.dry_run.lists import ListSearch
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
    if asked.options.lsh_splits:
        return _in_buckets(asked, sample, nearest, rows, sources)
    search = partial(nearest.edges, base=np.arange(len(sample.nodes.ids)))
    enough = 0.6  # seconds, that draw enough rows as a rule
    found = sampled_neighbors(sample, nearest, search, rows, enough)
    if asked.seeds.paths:
        return _of_seeds(sample, nearest, found, sources)
    why = "it is exact" if asked.options.recall == 1 else "-k all"
    if asked.approximately:
        product = product_seconds(nearest)
        lists = list_search(asked.options, sample, nearest, found, product)
        if not lists.why:
            return _in_lists(asked, nearest, found, sources, lists)
        why = lists.why
    total = sample.total
    return Searched(
        found, sources, "all pairs", why, total * (total - 1) / 2, sweep_seconds(nearest, total),
        _weighing(nearest, found, sources),
    )  # fmt: skip


def _weighing(nearest: NearestNeighbors, found: SampledNeighbors, sources: float) -> float:
    """Return how long weighing takes all threads, for the edges of so many nodes."""
    return found.weighing / nearest.workers.count / max(1, len(found.rows)) * sources


def _of_seeds(
    sample: SampledNodes, nearest: NearestNeighbors, found: SampledNeighbors, sources: int
) -> Searched:
    """Return what comparing seeds with all nodes takes."""
    scale = sample.total / max(1, len(sample.nodes.ids))
    weighing = _weighing(nearest, found, sources)
    seconds = found.seconds / max(1, len(found.rows)) * scale * sources
    products = float(sources) * sample.total
    return Searched(
        found, sources, "all pairs of a seed", "edges leave seeds alone", products,
        max(0.0, seconds - weighing), weighing,
    )  # fmt: skip


def _in_lists(
    asked: Request,
    nearest: NearestNeighbors,
    found: SampledNeighbors,
    sources: int,
    lists: ListSearch,
) -> Searched:
    """Return what a search of inverted lists takes."""
    why = f"--recall {asked.options.recall:g}, and they cost less than all pairs"
    per_pair = found.weighing / max(1, found.pairs) / nearest.workers.count
    return Searched(
        found, sources, "inverted lists", why, lists.products, lists.seconds,
        per_pair * lists.pairs, True,
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
    scale = sample.total / max(1, len(sample.nodes.ids))
    share = sources / max(1, sample.total)
    why = f"--lsh-splits {asked.options.lsh_splits}"
    return Searched(
        found, sources, "pairs within buckets", why, buckets.products * scale**2,
        buckets.seconds * scale**2 * share, buckets.weighing * scale**2 * share,
    )  # fmt: skip
