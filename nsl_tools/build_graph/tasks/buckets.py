"""NSL's buckets as tasks: the edges that leave some rows each.

Each task puts all rows into buckets, which takes few products, and compares those of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.search.lsh import bucketed_edges
from nsl_tools.build_graph.tasks.nodes import FoundEdges, NodeFiles, kept_edges, written_nodes
from nsl_tools.files.paths import split_evenly
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.weigher import EdgeWeigher
    from nsl_tools.engines.engine import Engine
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Rows


@dataclass(frozen=True)
class BucketsTask:
    """Some queries.

    Attributes:
        nodes: all nodes.
        queries: places of queries.
        options: splits, rounds and seed.
    """

    nodes: NodeFiles
    queries: range
    options: BuildGraphOptions


def search_buckets(task: BucketsTask) -> FoundEdges:
    """Return the best edges from some queries among the pairs that share a bucket, in a file."""
    nodes = task.nodes
    with MatrixStore(nodes.budget) as store, workers(1) as pools, threadpool_limits(1):
        nearest = NearestNeighbors(nodes.weigher_of_all(), pools, store)
        found = bucketed_edges(nearest, task.options, nodes.rows(task.queries))
        (kept,) = kept_edges(nodes, found, [task.queries])
        return kept


def bucketed_by(
    engine: Engine,
    folder: str,
    weigher: EdgeWeigher,
    budget: int,
    options: BuildGraphOptions,
    queries: Rows,
) -> Iterator[Edges]:
    """Yield the best edges from `queries`, ascending, as an engine finds them in buckets.

    Args:
        engine: runs the tasks.
        folder: for what they leave for each other.
        weigher: knows all nodes, and which edges are wanted.
        budget: bytes that a task may keep in memory of what it finds.
        options: splits, rounds and seed.
        queries: the rows that edges leave from.

    Raises:
        EngineError: a task failed again and again. WorkError: the folder cannot be used.
        UsageError: there are more nodes than tasks can number.
    """
    nodes = written_nodes(folder, weigher, queries, budget)
    tasks = [
        BucketsTask(nodes, some, options)
        for some in split_evenly(len(queries), min(len(queries), 2 * engine.slots) or 1)
        if some
    ]
    for found in engine.run(search_buckets, tasks, "comparing within buckets"):
        yield from found.edges(budget)
