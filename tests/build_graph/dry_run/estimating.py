"""What tests of estimates share: vectors in a file, some of them read, and a search among these."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from nsl_tools.build_graph.dry_run.sample import SampledNodes, sampled_nodes
from nsl_tools.build_graph.dry_run.timed import TimedWeigher
from nsl_tools.build_graph.request import Request, requested
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.weigher import IdRanks
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def clustered(rows: int, width: int, size: int, noise: float = 0.25, seed: int = 0) -> np.ndarray:
    """Return vectors in clusters of about a size, in any order."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // size), width))
    vectors = centres[random.integers(0, len(centres), rows)]
    return (vectors + noise * random.normal(size=(rows, width))).astype(np.float32)


def asked_for(
    folder: Path, vectors: np.ndarray, output: str = "out.tsv", **options: Any
) -> Request:
    """Write vectors, and return the request to build their graph."""
    path = str(folder / "e.npy")
    np.save(path, vectors)
    given = BuildGraphOptions(**options)
    return requested([path], str(folder / output), given, (), Statistics())


@contextlib.contextmanager
def sampled(
    asked: Request, most_bytes: int = 1 << 27
) -> Iterator[tuple[SampledNodes, NearestNeighbors]]:
    """Read as much, and search on two threads."""
    options = asked.options
    with MatrixStore(1 << 30) as store, threadpool_limits(1), workers(2) as pools:
        sample = sampled_nodes(asked, Statistics(), store, most_bytes)
        ranks = IdRanks(sample.nodes.ids)
        weigher = TimedWeigher(sample.nodes, options.k, options.similarity_threshold, ranks)
        yield sample, NearestNeighbors(weigher, pools, store)
