"""Time build-graph, the whole command, against its peers in one run.

    pip install -e '.[bench]'
    python scripts/bench_graph.py             # --runs 5, --skip-nsl

Peers: NSL 1.4 (whole process), and FAISS on the matrix already in memory.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from bench_support import (
    clustered,
    nsl_original,
    nsl_tools,
    print_machine,
    print_row,
    time_call,
    time_command,
    write_vectors,
)

SIZES = ((50_000, 100), (100_000, 256))
NSL_SIZE = (5_000, 100)
K, THRESHOLD = 10, 0.8


def against_faiss(folder: Path, n: int, d: int, runs: int) -> None:
    """Compare k nearest with `faiss.knn`, and the threshold graph with `range_search`."""
    vectors = clustered(n, d)
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    graph = str(folder / "g.tsv")
    ours = time_command(nsl_tools("build-graph", "-q", path, graph), runs)
    knn = partial(faiss.knn, unit, unit, K + 1, metric=faiss.METRIC_INNER_PRODUCT)
    print_row(f"build-graph {n:,} x {d}", ours, "faiss.knn in memory", time_call(knn, runs))
    ours = time_command(nsl_tools("build-graph", "-q", "-k", "all", path, graph), runs)
    index = faiss.IndexFlatIP(d)
    index.add(unit)
    theirs = time_call(partial(index.range_search, unit, THRESHOLD), runs)
    print_row(f"build-graph -k all {n:,} x {d}", ours, "faiss range_search in memory", theirs)


def against_nsl(folder: Path, runs: int) -> None:
    """Compare the threshold graph with NSL's, which is the same graph."""
    n, d = NSL_SIZE
    path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
    ours = time_command(nsl_tools("build-graph", "-q", "-k", "all", path, f"{folder}/g.tsv"), runs)
    theirs = time_command(nsl_original("build.build_graph", [path], f"{folder}/n.tsv"), 1)
    print_row(f"build-graph -k all {n:,} x {d}", ours, "NSL 1.4", theirs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip-nsl", action="store_true")
    options = parser.parse_args()
    print_machine("faiss-cpu", "numpy", "pyarrow")
    with tempfile.TemporaryDirectory() as name:
        if not options.skip_nsl:
            against_nsl(Path(name), options.runs)
        for n, d in SIZES:
            against_faiss(Path(name), n, d, options.runs)


if __name__ == "__main__":
    main()
