"""Approximate neighbours with a measured promise.

Random rows are compared with all others, until they have enough edges to judge by. The lists
then tell, without a search, by which margin each of these edges is found, and so the least
margin by which enough of them are. All rows are searched by that margin, and the recall is
*measured* on the random rows: its lower confidence bound has to be high enough.

Where edges are so rare that the sample would cost too much, or where the search would cost
more than comparing all pairs, all pairs are compared: recall is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.search.assignment import NEVER
from nsl_tools.build_graph.search.sample import Sample
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.search.candidates import Candidates
    from nsl_tools.build_graph.search.confidence import Recall
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.build_graph.search.ivf import InvertedLists
    from nsl_tools.spill.matrix import Rows
    from nsl_tools.statistics import Statistics

LEAST_ROWS = 20_000
"""Of fewer rows, comparing all pairs takes no longer."""


def bytes_for(rows: int, k: int) -> int:
    """Return the memory that an approximate search for `k` neighbours of all rows takes."""
    per_row, per_candidate = 200, 15  # bytes, as measured
    return rows * (per_row + per_candidate * k)


def most_list_products(rows: int) -> float:
    """Return the products of a search of lists that takes as long as comparing all pairs."""
    overhead = 1.5  # time of a product in a list, by that of one in the sweep of all pairs
    return rows**2 / 2 / overhead


@dataclass(frozen=True)
class Sampling:
    """How many random rows to judge a recall by.

    Attributes:
        size: at first.
        enough: edges that they must have together.
        limit: rows at most: more would cost too much.
    """

    size: int
    enough: float
    limit: int

    @classmethod
    def of(cls, least: float, rows: int, most: int) -> Sampling:
        """Return it for a recall, and so many rows of at most so many edges each."""
        at_least = 100  # rows, if all were allowed to miss: more where fewer misses are
        size = min(rows, round(at_least / math.sqrt(1 - least)))
        share = 0.75  # of the edges that the rows have at most: enough to judge by
        most_sampled = 8  # one row of so many at most: a quarter of the products of all pairs
        return cls(size, share * most * size, max(size, rows // most_sampled))


def promised(
    nearest: NearestNeighbors, rows: Rows, least: float, seed: int, statistics: Statistics
) -> PromisedEdges | None:
    """Return a finished search with a recall of at least `least`; None to compare all pairs.

    None where that is as fast, or where there are too few edges to judge by: then with a warning.
    """
    if len(rows) < LEAST_ROWS:
        reason = f"there are fewer nodes than {LEAST_ROWS:,}"
        nearest.progress.decide("search", f"all pairs, since {reason}")
        return None
    sample = _drawn(nearest, rows, least, seed, statistics)
    if sample is None:
        return None
    return _searched(nearest, rows, sample, least, seed)


def _drawn(
    nearest: NearestNeighbors, rows: Rows, least: float, seed: int, statistics: Statistics
) -> Sample | None:
    """Return random rows that have enough edges to judge by; None if too many rows would be needed.

    Where most rows have no edge, it takes many to see as many edges.
    """
    most = min(nearest.k or 0, len(rows) - 1)
    sampling = Sampling.of(least, len(rows), most)
    size, enough, limit = sampling.size, sampling.enough, sampling.limit
    random = np.random.default_rng((seed, len(rows)))
    # In random order, so that any first part is a random sample, too.
    order = random.choice(rows, limit, replace=False)
    drawn, count = 0, 0
    found: list[Edges] = []
    while True:
        with nearest.progress.phase("sampling", unit="products") as work:
            found += nearest.edges(np.sort(order[drawn:size]), rows, work)
        drawn, count = size, sum(len(edges) for edges in found)
        if count >= enough:
            return Sample(np.sort(order[:drawn]), found, len(rows), most)
        # A tenth more than seem to be needed, so that one more drawing seldom is.
        size = math.ceil(1.1 * drawn * enough / max(1, count))
        if size > limit:
            reason = f"{count:,} edges of {drawn:,} random nodes are too few to judge by"
            statistics.warnings[f"--recall: {reason}: all pairs were compared"] = 1
            nearest.progress.decide("search", f"all pairs, since {reason}")
            return None


@dataclass(frozen=True)
class PromisedEdges:
    """What a search found, of a promised recall.

    Attributes:
        nearest: weighs pairs and chooses the best.
        candidates: of all rows.
        recall: as measured.
        effort: products that it took, as a share of those of all pairs.
    """

    nearest: NearestNeighbors
    candidates: Candidates
    recall: Recall
    effort: float

    def edges(self, queries: Rows) -> Iterator[Edges]:
        """Return the best edges found for `queries`, ascending."""
        queries = np.intersect1d(queries, self.candidates.rows, assume_unique=True)
        weighed = self.nearest.runner.weighed(self.candidates, queries, self.nearest.weigher)
        step = TUNING.weighed_rows
        tiles = (queries[start : start + step] for start in range(0, len(queries), step))
        return self.nearest.choose_of_each(map(weighed.of, tiles))


def _searched(
    nearest: NearestNeighbors, rows: Rows, sample: Sample, least: float, seed: int
) -> PromisedEdges | None:
    """Search until a recall of `least` is promised; None if comparing all pairs costs less."""
    with nearest.progress.phase("lists", unit="products") as work:
        lists = nearest.inverted_lists(rows, seed, work)
        asked, margin = least, _margin(lists, sample, least, 0)
    if margin is not None:
        # A search reads rows cell by cell; lists go on reading the first file, in its order.
        nearest = nearest.reordered(rows[lists.order()])
        lists.read_from(nearest.units(rows))
    compared = 0
    while margin is not None:
        cost = lists.cost(margin)
        before, compared = compared, cost - lists.listing_cost
        with nearest.progress.phase("comparing", Work(compared - before), "products") as work:
            lists.search(margin, work)
        recall = sample.recall(nearest.weigher.best(*lists.found.pairs(sample.rows)))
        if recall.lower_bound >= least:
            products = cost + len(sample.rows) * len(rows)
            effort = products / (len(rows) ** 2 / 2)
            nearest.progress.decide("search", f"by {lists.described(margin)}")
            return PromisedEdges(nearest, lists.found, recall, effort)
        # Some pairs were compared and yet not kept, since float32 mistook their order.
        asked += least - recall.lower_bound
        margin = _margin(lists, sample, asked, margin + 1)
    reason = "lists that keep the promise would take as long"
    nearest.progress.decide("search", f"all pairs, since {reason}")
    return None


def _margin(lists: InvertedLists, sample: Sample, asked: float, least: int) -> int | None:
    """Return the least margin from `least` that promises a recall; None to compare all pairs.

    Lists more cells where rows would probe most of those listed.
    """
    most = most_list_products(len(lists))
    while True:
        margins = lists.margins_of_pairs(sample.sources, sample.targets)
        promising = sample.promising(margins, asked)
        if promising is None or least > NEVER:
            return None
        margin = max(least, promising)
        if lists.cost(margin) > most:
            return None
        if not lists.list_enough(margin):
            return margin
