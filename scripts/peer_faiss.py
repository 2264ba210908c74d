"""FAISS's exact searches with the matrix in memory: prints the seconds that one takes.

    python scripts/peer_faiss.py VECTORS.npy knn 11 installed
    python scripts/peer_faiss.py VECTORS.npy range_search 0.8 told

For `bench_graph.py`. FAISS brings an OpenBLAS of its own, which takes its oldest kernels on
a processor that it does not know. `told` names it the kernels that numpy's takes; `installed`
leaves it as it is. Loading and importing do not count.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from nsl_tools.build_graph.search.faiss_loader import load_faiss


def main(path: str, search: str, value: str, kernels: str) -> None:
    """Time one search among all rows of unit vectors."""
    if kernels == "told":
        load_faiss()
    import faiss

    vectors = np.load(path)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    start = time.perf_counter()
    if search == "knn":
        faiss.knn(vectors, vectors, int(value), metric=faiss.METRIC_INNER_PRODUCT)
    else:
        index.range_search(vectors, float(value))
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
