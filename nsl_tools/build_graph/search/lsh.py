"""NSL's buckets: only nodes on the same side of every random hyperplane are compared.

Each round draws `splits` hyperplanes; a node's bucket has bit `i` set if its
unit vector has a positive product with hyperplane `i`. A pair is compared if it
shares a bucket in any round. Source: NSL 1.4, `tools/build_graph.py`; the same
seed gives the same buckets.

All pairs of small buckets are weighed, many buckets at a time; a large bucket is searched like
a whole graph. The edges found wait, by source, for those of the other rounds.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import HALF_WORD, blocks
from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.spill.partitions import SpilledPartitions, group_partitions
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.embeddings import Embeddings
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.progress import Work
    from nsl_tools.spill.matrix import Rows
    from nsl_tools.spill.partitions import Records

_WEIGHED = 100  # products that take as long as to weigh a pair: 76 to 141, as measured
_EDGE = np.dtype([("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])


def bucketed_edges(
    nearest: NearestNeighbors, options: BuildGraphOptions, queries: Rows
) -> Iterator[Edges]:
    """Yield the best edges from `queries`, ascending, among the pairs that share a bucket.

    Args:
        nearest: weighs pairs and chooses the best; edges beyond its memory budget are spilled.
        options: splits, rounds and seed.
        queries: the rows that edges leave from.
    """
    rows, budget = len(nearest.embeddings.norms), nearest.store.budget
    is_query = np.zeros(rows, np.bool_)
    is_query[queries] = True
    count = min(1024, max(1, rows))
    width = -(-rows // count) or 1
    with contextlib.ExitStack() as stack:
        partitions = SpilledPartitions(_EDGE, count, budget / 2, stack)
        with nearest.progress.phase("comparing", unit="products") as work:
            for edges in _found(nearest, is_query, options, work):
                _spill(edges, partitions, width)
                if partitions.spilled:
                    nearest.store.announce("edges of all buckets")
        for some in group_partitions(partitions.sizes(), budget / RANKING_BYTES):
            yield _best(nearest, partitions.read(some.start, some.stop))


def _found(
    nearest: NearestNeighbors,
    is_query: npt.NDArray[np.bool_],
    options: BuildGraphOptions,
    work: Work,
) -> Iterator[Edges]:
    """Yield the best edges of each bucket of each round."""
    first = 0
    for order, bounds in buckets_by_round(nearest.embeddings, options):
        sizes = np.diff(bounds)
        small = sizes <= TUNING.small_bucket
        costs = _costs(order, bounds, small, is_query)
        # The next rounds will take about as much.
        work.expect(int(costs.sum()) - first if first else options.lsh_rounds * int(costs.sum()))
        first = first or int(costs.sum())
        pairs = _small_pairs(order, bounds, small, is_query)
        yield from nearest.best_of_each(_counted(pairs, work))
        for bucket in np.flatnonzero(~small).tolist():
            members = order[bounds[bucket] : bounds[bucket + 1]]
            work.expect(-int(costs[bucket]))  # what it takes is known now
            yield from nearest.edges(members[is_query[members]], members, work)


def _costs(
    order: Rows, bounds: Rows, small: npt.NDArray[np.bool_], is_query: npt.NDArray[np.bool_]
) -> Rows:
    """Return about how many products the search of each bucket takes, shape (buckets,)."""
    sizes = np.diff(bounds)
    queries = np.diff(np.concatenate([[0], np.cumsum(is_query[order])])[bounds])
    # Where all rows are queries, a product serves two of them.
    in_products = np.where(queries == sizes, sizes * (sizes + 1) // 2, queries * sizes)
    return np.where(small, _WEIGHED * queries * np.where(sizes > 1, sizes, 0), in_products)


def _counted(pairs: Iterable[tuple[Rows, Rows]], work: Work) -> Iterator[tuple[Rows, Rows]]:
    """Yield pairs that are weighed, and count them."""
    for batch in pairs:
        yield batch
        work.add(_WEIGHED * len(batch[0]))


def buckets_by_round(nodes: Embeddings, options: BuildGraphOptions) -> Iterator[tuple[Rows, Rows]]:
    """Yield the buckets of each round: rows, bucket by bucket, and their bounds."""
    # NSL draws from numpy's legacy generator; its numbers are part of the contract.
    generator = np.random.RandomState(options.random_seed)
    for _ in range(options.lsh_rounds):
        planes = generator.rand(options.lsh_splits, nodes.vectors.shape[1]) * 2 - 1
        yield _buckets(nodes, planes)


def _buckets(nodes: Embeddings, planes: npt.NDArray[np.float64]) -> tuple[Rows, Rows]:
    """Return the rows that have a direction, bucket by bucket, and the bounds of the buckets."""
    numbers = _bucket_numbers(nodes, planes)
    rows = np.flatnonzero(nodes.norms)
    order = rows[np.argsort(numbers[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(numbers[order])) + 1
    return order, np.concatenate([[0], borders, [len(order)]])


def _bucket_numbers(nodes: Embeddings, planes: npt.NDArray[np.float64]) -> Rows:
    numbers = np.empty(len(nodes.norms), np.int64)
    bits = np.int64(1) << np.arange(len(planes))
    for block in blocks(*nodes.vectors.shape):
        unit = nodes.unit(block)
        # Not a BLAS product: its rounding could depend on the number of threads.
        sides = np.stack([np.einsum("ij,j->i", unit, plane) for plane in planes], axis=1)
        numbers[block] = (sides > 0) @ bits
    return numbers


def _small_pairs(
    order: Rows, bounds: Rows, small: npt.NDArray[np.bool_], is_query: npt.NDArray[np.bool_]
) -> Iterator[tuple[Rows, Rows]]:
    """Yield all pairs within small buckets, of queries and other rows, some at a time."""
    sizes = np.diff(bounds)
    wanted = np.flatnonzero(np.repeat(small & (sizes > 1), sizes) & is_query[order])
    starts = np.repeat(bounds[:-1], sizes)[wanted]
    counts = np.repeat(sizes, sizes)[wanted]
    ends = np.cumsum(counts)
    cuts = np.searchsorted(
        ends, np.arange(TUNING.bucket_pairs, ends[-1:].sum(), TUNING.bucket_pairs), side="right"
    )
    for first, last in pairwise([0, *cuts.tolist(), len(wanted)]):
        batch = slice(first, last)
        many = counts[batch]
        # The places of a bucket, once for each of its rows.
        places = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many - starts[batch], many)
        yield np.repeat(order[wanted[batch]], many), order[places]


def _spill(edges: Edges, partitions: SpilledPartitions, width: int) -> None:
    """Keep edges by source, of which `width` share a partition."""
    records = np.empty(len(edges), _EDGE)
    records["source"], records["target"] = edges.sources, edges.targets
    records["weight"] = edges.weights
    numbers = records["source"] // width
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    partitions.add(records[order], numbers[order])


def _best(nearest: NearestNeighbors, records: Records) -> Edges:
    """Choose the best edges of each source, of which those met in several rounds count once."""
    pairs = records["source"].astype(np.uint64) << HALF_WORD | records["target"]
    _, firsts = np.unique(pairs, return_index=True)
    records = records[firsts]
    sources, targets = (records[name].astype(np.int64) for name in ("source", "target"))
    return nearest.weigher.select(sources, targets, records["weight"])
