"""The approximate peers, each in a process of its own: what one takes, and the recall it reaches.

    python scripts/bench_peers.py HNSW FOLDER 300 '{"M": 16}' '{"efSearch": 32}' ...

For `bench_graph.py`. Reads the vectors from FOLDER, prepares the peer once with the
first settings and searches with each of the others; prints a line for each: seconds,
that of preparing included, and recall. Loading, importing and compiling do not count.
A search that takes it beyond the given seconds ends the process by SIGALRM.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from pynndescent import NNDescent

from nsl_tools.build_graph.search.faiss_loader import load_faiss

if TYPE_CHECKING:
    from collections.abc import Callable

faiss = load_faiss()  # with the kernels of numpy's BLAS, which are the faster ones
K = 10
SAMPLE = 1000
FEW_ROWS = 2000  # on which numba compiles, and threads start
VECTORS, TRUTH = "vectors.npy", "truth.npz"

Settings: TypeAlias = dict[str, Any]
Search: TypeAlias = "Callable[[Settings], np.ndarray]"
"""From settings to the numbers of neighbours of all rows, one of whom may be the row."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors divided by their norms."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_truth(folder: Path, vectors: np.ndarray) -> None:
    """Write the vectors, and the K-th similarity of some rows, which a neighbour must reach."""
    np.save(folder / VECTORS, vectors)
    sample = np.random.default_rng(1).choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)
    vectors = unit(vectors)
    # The first place is the row itself.
    nearest = faiss.knn(vectors[sample], vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)[0]
    np.savez(folder / TRUTH, sample=sample, least=nearest[:, -1:] - 1e-6)


def recall(vectors: np.ndarray, folder: Path, rows: np.ndarray) -> float:
    """Return how many of K others found, `rows` (n, any), reach the last exact one's similarity."""
    with np.load(folder / TRUTH) as truth:
        sample, least = truth["sample"], truth["least"]
    found = rows[sample]
    similarities = np.einsum("id,ijd->ij", vectors[sample], vectors[found])
    similarities[(found == sample[:, np.newaxis]) | (found < 0)] = -2
    return float(((similarities >= least).sum(axis=1)).clip(max=K).mean() / K)


def hnsw(vectors: np.ndarray, settings: Settings) -> Search:
    """Build FAISS HNSW."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], settings["M"], faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = settings["efConstruction"]
    index.add(vectors)

    def search(settings: Settings) -> np.ndarray:
        index.hnsw.efSearch = settings["efSearch"]
        return index.search(vectors, K + 1)[1]

    return search


def ivf(vectors: np.ndarray, settings: Settings) -> Search:
    """Build FAISS IVF."""
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    cells = min(settings["nlist"], len(vectors) // 40)
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    for name in settings.keys() - {"nlist"}:
        setattr(index.cp, name, settings[name])
    index.train(vectors)
    index.add(vectors)

    def search(settings: Settings) -> np.ndarray:
        index.nprobe = settings["nprobe"]
        return index.search(vectors, K + 1)[1]

    return search


def nndescent(vectors: np.ndarray, _: Settings) -> Search:
    """Return FAISS NNDescent, whose graph is the answer: searching it would add to its time."""

    def search(settings: Settings) -> np.ndarray:
        neighbors, descent = settings["K"], {k: v for k, v in settings.items() if k != "K"}
        index = faiss.IndexNNDescentFlat(vectors.shape[1], neighbors, faiss.METRIC_INNER_PRODUCT)
        for name, value in descent.items():
            setattr(index.nndescent, name, value)
        index.add(vectors)
        return faiss.vector_to_array(index.nndescent.final_graph).reshape(len(vectors), -1)

    return search


def pynndescent(vectors: np.ndarray, _: Settings) -> Search:
    """Return pynndescent's neighbour graph."""

    def search(settings: Settings) -> np.ndarray:
        return NNDescent(vectors, metric="cosine", random_state=0, **settings).neighbor_graph[0]

    return search


PEERS: dict[str, Callable[[np.ndarray, Settings], Search]] = {
    "pynndescent": pynndescent,
    "HNSW": hnsw,
    "IVF": ivf,
    "NNDescent": nndescent,
}


def main(peer: str, name: str, seconds: str, *settings: str) -> None:
    """Time one peer."""
    folder, prepare = Path(name), PEERS[peer]
    vectors = unit(np.load(folder / VECTORS))
    first, *others = map(json.loads, settings)
    prepare(vectors[:FEW_ROWS], first)(others[0])
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    start = time.perf_counter()
    search = prepare(vectors, first)
    prepared = time.perf_counter() - start
    for each in others:
        signal.setitimer(signal.ITIMER_REAL, max(1, float(seconds) - prepared))
        start = time.perf_counter()
        rows = search(each)
        taken = prepared + time.perf_counter() - start
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(taken, recall(vectors, folder, rows), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
