"""Random graphs, and what is right for them by dense algebra."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.spread_labels.adjacency import Adjacency

if TYPE_CHECKING:
    from collections.abc import Iterator

Matrix = npt.NDArray[np.float64]
Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def random_edges(nodes: int, edges: int, seed: int) -> Edges:
    """Return edges, some of them twice or in both directions, and a hub."""
    random = np.random.default_rng(seed)
    sources, targets = random.integers(0, nodes, (2, edges))
    sources[: edges // 4] = 0
    kept = sources != targets
    weights = random.random(edges).astype(np.float32).astype(np.float64) + 0.01
    return sources[kept], targets[kept], weights[kept].astype(np.float32).astype(np.float64)


def dense(nodes: int, edges: Edges) -> Matrix:
    """Return the symmetric matrix of the largest weights."""
    found = np.zeros((nodes, nodes))
    for source, target, weight in zip(*edges, strict=True):
        found[source, target] = max(found[source, target], weight)
    return np.maximum(found, found.T)


@contextlib.contextmanager
def adjacency(nodes: int, edges: Edges, limit: int = 10**9) -> Iterator[Adjacency]:
    """Yield a sealed graph, whose edges came in two batches."""
    with contextlib.ExitStack() as stack:
        graph = Adjacency(MemoryBudget(limit), stack)
        half = len(edges[0]) // 2
        for part in (slice(half), slice(half, None)):
            graph.add(*(column[part] for column in edges))
        graph.seal(nodes)
        yield graph
