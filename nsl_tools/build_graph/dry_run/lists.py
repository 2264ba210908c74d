"""Whether inverted lists would be searched for `--recall`, and what that would take: a model.

The cells are placed by fewer rows than in the run, and what is asked of all rows is asked of
some thousands: how large the cells are that they probe, and by which margin the neighbours of
the rows whose exact ones are known are compared. Where only some nodes were read, neighbours
among these are farther than the true ones, so that lists seem to cost more than they do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.search.assignment import NEVER, assign
from nsl_tools.build_graph.search.candidate_keys import NO_KEY, PairKeys, merge_top_k
from nsl_tools.build_graph.search.candidates import SPARE
from nsl_tools.build_graph.search.coarse_quantizer import (
    centroids_of,
    margins_between,
    usual_columns,
    usual_training,
)
from nsl_tools.build_graph.search.recall import (
    LEAST_ROWS,
    Sampling,
    bytes_for,
    most_list_products,
)
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from nsl_tools.build_graph.dry_run.neighbors import SampledNeighbors
    from nsl_tools.build_graph.dry_run.sample import SampledNodes
    from nsl_tools.build_graph.search.assignment import Numbers
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Floats, Rows


@dataclass(frozen=True)
class ListSearch:
    """What a search of lists would take; where it is not chosen, only why.

    Attributes:
        why: why all pairs are compared instead; empty if lists are searched.
        products: of two rows, and of a row and a centroid.
        seconds: on so many threads, for all but reading, weighing and writing.
        pairs: candidates that are weighed.
    """

    why: str = ""
    products: float = 0.0
    seconds: float = 0.0
    pairs: float = 0.0


def _refusal(options: BuildGraphOptions, shape: tuple[int, int], found: SampledNeighbors) -> str:
    """Return why lists cannot be searched for a recall, whatever they cost; empty if they can."""
    rows, width = shape
    if rows < LEAST_ROWS:
        return f"of fewer than {LEAST_ROWS:,} nodes, comparing all pairs takes no longer"
    memory = memory_of(options)
    needed = bytes_for(rows, options.k or 0)
    left = memory.limit - min(memory.share("vectors"), 4 * rows * width)
    if needed > left:
        return (
            f"--recall takes {shown_size(needed)} for these nodes, and --memory-limit leaves "
            f"{shown_size(left)}"
        )
    sampling = Sampling.of(options.recall, rows, options.k or 0)
    if found.edges_per_node * sampling.limit < sampling.enough:
        return "edges are too few to judge a recall by"
    return ""


def list_search(
    options: BuildGraphOptions,
    sample: SampledNodes,
    nearest: NearestNeighbors,
    found: SampledNeighbors,
    product_seconds: float,
) -> ListSearch:
    """Return what the lists that `--recall` asks for would take, or why there are none.

    Args:
        options: of the run.
        sample: the nodes that were read.
        nearest: searches among them.
        found: the exact neighbours of some.
        product_seconds: that the product of two vectors takes all threads.
    """
    if why := _refusal(options, sample.shape, found):
        return ListSearch(why)
    rows, threads = sample.total, nearest.workers.count
    cells = _Cells.of(sample, nearest, options.random_seed)
    margin = cells.margin(found, options.recall)
    if margin is None:
        return ListSearch("no margin keeps that recall")
    sampling = Sampling.of(options.recall, rows, options.k or 0)
    drawn = min(sampling.limit, max(sampling.size, sampling.enough / found.edges_per_node))
    probed = cells.comparisons(margin, rows) * rows
    training = usual_training(*sample.shape)
    if training.cost + rows * training.cells + probed > most_list_products(rows):
        return ListSearch("lists would cost as much")
    kept = (options.k or 0) + SPARE
    means = 2 * training.cost * product_seconds  # as measured: it adds up rows, too
    # As measured, beside the products: what is kept of each row is brought up to date so often.
    updates, per_pair = 11, 3e-9  # times; seconds of a core
    row_seconds = updates * _merge_seconds(kept) + per_pair * probed / rows
    loading = 0.15  # seconds, of FAISS
    seconds = (
        loading
        + means
        + cells.assign_seconds * rows / threads
        + found.seconds / len(found.rows) * drawn
        + probed * product_seconds
        + row_seconds * rows / threads
    )
    products = training.cost + rows * training.cells + probed + drawn * rows
    return ListSearch("", products, seconds, rows * min(kept, 1.2 * found.edges_per_node))


@dataclass(frozen=True)
class _Cells:
    """The cells of some rows.

    Attributes:
        nearest: knows the vectors.
        centroids: of the cells.
        columns: how many are listed for each row.
        listed: those of random rows, nearest first, shape (m, columns).
        margins: by how much each is farther than the nearest one.
        assign_seconds: that it takes to list those of one row, on one thread.
    """

    nearest: NearestNeighbors
    centroids: Floats
    columns: int
    listed: Numbers
    margins: Numbers
    assign_seconds: float

    @classmethod
    def of(cls, sample: SampledNodes, nearest: NearestNeighbors, seed: int) -> _Cells:
        """Place as many cells as a run has, by fewer rows, and list them for some rows."""
        known = np.flatnonzero(sample.nodes.norms)
        unit = nearest.units(known)
        usual = usual_training(*sample.shape)
        cells = min(usual.cells, len(known))
        few = min(len(known), max(2 * cells, min(usual.rows, 10 * cells)))
        training = replace(usual, cells=cells, rows=few, iterations=3)
        centroids = centroids_of(unit, training, nearest.workers.count, seed)
        columns = min(cells, 4 * usual_columns(sample.total))
        some = np.random.default_rng(seed).choice(known, min(len(known), 1 << 13), replace=False)
        vectors = _units(nearest, np.sort(some))
        start = time.perf_counter()
        assign(vectors, centroids, min(cells, usual_columns(sample.total)))
        seconds = (time.perf_counter() - start) / len(some)
        return cls(nearest, centroids, columns, *assign(vectors, centroids, columns), seconds)

    def margin(self, found: SampledNeighbors, recall: float) -> int | None:
        """Return the least margin that promises a recall, by the edges found; None if none does."""
        edges = found.edges
        ends, places = np.unique(np.r_[edges.sources, edges.targets], return_inverse=True)
        listed, margins = assign(_units(self.nearest, ends), self.centroids, self.columns)
        sources, targets = np.split(places, 2)
        between = margins_between(listed, margins, sources, targets)
        if not len(between):
            return None
        # To be sure of a recall, a run measures more: by as many rows as it draws, so much more.
        missed = 0.6 * (1 - recall)
        margin = int(np.quantile(between, 1 - missed, method="higher"))
        return margin if margin < NEVER else None

    def comparisons(self, margin: int, rows: int) -> float:
        """Return with how many of so many rows one of them is compared, on average."""
        count = len(self.listed)
        sizes = np.bincount(self.listed[:, 0], minlength=len(self.centroids))
        met = sizes[self.listed[self.margins <= margin]].sum() - count  # none with itself
        return float(met / count * rows / max(1, count - 1))


def _units(nearest: NearestNeighbors, rows: Rows) -> Floats:
    return nearest.units(rows)[: len(rows)]


def _merge_seconds(kept: int) -> float:
    """Return how long it takes one thread to bring what is kept of a row up to date."""
    rows, each = 1 << 11, 2 * kept
    random = np.random.default_rng(0)
    owners = random.permutation(np.repeat(np.arange(rows), each))
    keys = PairKeys(1 << 20)
    others, near = random.integers(0, 1 << 20, len(owners)), random.random(len(owners), np.float32)
    table = np.full((rows, kept), NO_KEY)
    start = time.perf_counter()
    merge_top_k(table, keys.pack(owners, others, near), owners)
    return (time.perf_counter() - start) / rows
