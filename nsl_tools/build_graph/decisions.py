"""What a build chose, and why, in words: for `--verbose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.blas import blas_kernels

if TYPE_CHECKING:
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.options import BuildGraphOptions


def tell_choice(nearest: NearestNeighbors, options: BuildGraphOptions) -> None:
    """Tell the progress of a search what it does, and with what.

    A search for a promised recall tells later what it found to be faster, and why.
    """
    progress = nearest.progress
    progress.decide("search", _search_of(options))
    if progress.verbose:
        progress.decide("threads", f"{nearest.workers.count}")
        progress.decide("products", "; ".join(blas_kernels()))
        in_memory = isinstance(nearest.embeddings.vectors, np.ndarray)
        progress.decide("vectors", "in memory" if in_memory else "in a scratch file")


def _search_of(options: BuildGraphOptions) -> str:
    if options.lsh_splits:
        buckets, rounds = 2**options.lsh_splits, options.lsh_rounds
        return f"within {buckets:,} buckets, in {rounds} rounds, since --lsh-splits is given"
    if options.recall == 1:
        return "all pairs, since --recall is 1"
    if options.k is None:
        return "all pairs, since -k is all"
    return "all pairs, since --seeds are few"
