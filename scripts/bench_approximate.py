"""`--recall` against approximate peers, each tuned by hand to the same recall.

For `bench_graph.py approximate` and `tune`. A peer is timed twice:

- in memory: the vectors loaded, all imported and compiled before; building counts;
- pynndescent, the fastest, also as the *whole process* of the script that a user would
  write (`peer_pynndescent.py`), with numba's cache of compiled functions empty, timed
  once, and filled.

Ours is the whole command, from start to exit. Recall is measured for all alike, on the
same 1,000 rows.

`approximate` takes the settings of the peers from `peer_settings.json`. `tune` tries the
grids below and writes the fastest settings that reach each recall there; those in the
repository were chosen by hand from such runs. HNSW's and NNDescent's on `clustered` are next
to the cheapest there are: they take longer than we do, and find next to nothing.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
from bench_peers import VECTORS, Settings, recall, unit, write_truth
from bench_support import (
    Timing,
    clustered,
    nsl_tools,
    print_row,
    products,
    race,
    time_command,
    write_vectors,
)
from pyarrow import csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECALLS = (0.95, 0.99)
CLUSTERED_SIZE = (1_000_000, 128)
SETS = ("wordnet", "mnist", "clustered")
HERE = Path(__file__).parent
CHOSEN = HERE / "peer_settings.json"
CACHES = [f"pynndescent, whole process, numba's cache {x}" for x in ("empty", "filled")]
EMPTY = CACHES[0]
EXAMPLES, IDS, GRAPH, REPORT = "e.tfr", "ids.txt", "g.tsv", "report.json"
FINALISTS = 4  # of the settings that reach a recall, which are timed again

Pair: TypeAlias = tuple[Settings, Settings]
"""How to prepare a peer, and how to search."""
Ladder: TypeAlias = tuple[Settings, list[Settings]]
"""How to prepare a peer, and searches with more and more effort."""


def _grid(**choices: list[object]) -> Iterator[Settings]:
    """Yield all combinations, the last choice changing fastest."""
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


GRIDS: dict[str, list[Ladder]] = {
    "HNSW": [
        (build, list(_grid(efSearch=[16, 24, 32, 48, 64, 96, 128, 192, 256])))
        for build in _grid(M=[8, 16, 32], efConstruction=[20, 40, 80])
    ],
    "IVF": [
        (build, list(_grid(nprobe=[1, 2, 4, 8, 16, 32, 64, 128])))
        for build in _grid(
            nlist=[256, 512, 1024, 2048, 3072, 4096], niter=[6, 10],
            max_points_per_centroid=[64, 256],
        )
    ],
    "NNDescent": [
        ({}, [search | {"K": k} for k in (11, 13, 16, 20, 28)])
        for search in _grid(S=[6, 10, 14], R=[20, 60], iter=[4, 7, 10])
    ],
    "pynndescent": [
        ({}, [search | {"n_neighbors": n} for n in (11, 12, 14, 16, 18, 20, 23, 26, 30)])
        for search in [
            *_grid(
                n_trees=[2, 4, 8, 12], leaf_size=[60, 150, 256], max_candidates=[10, 18, 30, 40],
                delta=[0.001, 0.03],
            ),
            # Fewer rounds, where the trees found most; defaults; what else its users try.
            *_grid(n_trees=[4, 12], leaf_size=[100, 256], max_candidates=[18, 40], n_iters=[1, 3]),
            {}, {"low_memory": False}, {"n_jobs": 2}, {"delta": 0.1},
        ]
    ],
}  # fmt: skip


def vectors_of(name: str, data: str | None, rows: int | None) -> np.ndarray:
    """Return the vectors of a set, or the first `rows` of them, shape (n, d), float32."""
    if name == "clustered":
        return clustered(rows or CLUSTERED_SIZE[0], CLUSTERED_SIZE[1])
    if data is None:
        sys.exit(f"{name}: give the folder of its .npz file as --data")
    if name == "wordnet":
        with np.load(f"{data}/wordnet_minilm.npz") as file:
            vectors = file["embedding"]
    else:
        with np.load(f"{data}/mnist.npz") as file:
            vectors = np.concatenate([file["x_train"], file["x_test"]]).reshape(-1, 784)
    return np.ascontiguousarray(vectors[:rows], np.float32)


def approximate(
    folder: Path,
    runs: int,
    vectors: np.ndarray,
    name: str,
    peers: list[str],
    limit: float,
    *,
    in_memory: bool,
) -> None:
    """Compare `--recall` with tuned peers, whole processes too if not only `in_memory`.

    Prints a line for each.
    """
    write_all(folder, vectors)
    for promise in RECALLS:
        what = f"build-graph --recall {promise}, {name} {len(vectors):,} x {vectors.shape[1]}"
        settings = {peer: chosen(name, peer, promise) for peer in peers}
        contestants = {what: partial(ours, folder, promise)} | rivals(folder, settings, limit)
        if "pynndescent" in peers and not in_memory:
            search = settings["pynndescent"][1]
            contestants |= {cache: partial(whole, folder, search, cache) for cache in CACHES}
        found = race(contestants, runs, once=[EMPTY])
        mine = found.pop(what)
        least = products(unit(vectors), effort(folder) * len(vectors) ** 2 / 2)
        for peer, theirs in found.items():
            print_row(what, mine, peer, theirs, least)


def rivals(
    folder: Path, settings: dict[str, Pair], limit: float
) -> dict[str, Callable[[], Timing]]:
    """Return what to race against."""
    calls: dict[str, Callable[[], Timing]] = {}
    for peer, (build, search) in settings.items():
        calls[f"{peer} {build | search}"] = partial(once, folder, peer, (build, search), limit)
    return calls


def once(folder: Path, peer: str, pair: Pair, limit: float) -> Timing:
    """Time a peer in memory once."""
    build, search = pair
    return next(climb(folder, peer, build, [search], limit))


def write_all(folder: Path, vectors: np.ndarray) -> None:
    """Write the inputs of all, and what tells their recall."""
    write_truth(folder, vectors)
    write_vectors(folder / EXAMPLES, "embedding", vectors)
    ids = (f"n{row:07d}\n" for row in range(len(vectors)))
    (folder / IDS).write_text("".join(ids))


def ours(folder: Path, promise: float) -> Timing:
    """Time our whole command once, and measure its recall as that of the others."""
    paths = str(folder / EXAMPLES), str(folder / GRAPH)
    options = f"--recall={promise}", "--similarity-threshold=-1", f"--report={folder / REPORT}"
    return measured(folder, time_command(nsl_tools("build-graph", "-q", *options, *paths), 1))


def effort(folder: Path) -> float:
    """Return how many products our last run took, as a share of those of all pairs."""
    measures = json.loads((folder / REPORT).read_text())["measures"]
    found = (value for name, value in measures.items() if name.startswith("products"))
    return float(next(found, 1.0))


def whole(folder: Path, settings: Settings, cache: str) -> Timing:
    """Time pynndescent's whole process once; the cache is filled by the run with an empty one."""
    kept = folder / "numba"
    if cache == EMPTY:
        shutil.rmtree(kept, ignore_errors=True)
    paths = [str(folder / name) for name in (VECTORS, IDS, GRAPH)]
    command = [sys.executable, str(HERE / "peer_pynndescent.py"), *paths, json.dumps(settings)]
    return measured(folder, time_command(command, 1, NUMBA_CACHE_DIR=str(kept)))


def measured(folder: Path, timing: Timing) -> Timing:
    """Add the recall of the graph in TSV."""
    names = ["source", "target", "weight"]
    table = csv.read_csv(
        folder / GRAPH,
        csv.ReadOptions(column_names=names),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(column_types=dict.fromkeys(names[:2], pa.binary())),
    )
    sources, targets = (numbers(table[name].combine_chunks()) for name in names[:2])
    vectors = unit(np.load(folder / VECTORS))
    places = np.arange(len(sources)) - np.searchsorted(sources, sources)
    rows = np.full((len(vectors), int(places.max()) + 1), -1)
    rows[sources, places] = targets
    return Timing(timing.seconds, timing.megabytes, recall(vectors, folder, rows))


def numbers(ids: pa.Array) -> np.ndarray:
    """Return the row numbers that ids like `n0000012` hold."""
    data = np.frombuffer(ids.buffers()[2], np.uint8)[: 8 * len(ids)].reshape(-1, 8)
    return (data[:, 1:] - np.uint8(48)) @ 10 ** np.arange(6, -1, -1)


def climb(
    folder: Path, peer: str, build: Settings, searches: list[Settings], limit: float
) -> Iterator[Timing]:
    """Yield what each search takes a peer, prepared once, until one is stopped by the limit."""
    texts = [json.dumps(each) for each in (build, *searches)]
    command = [sys.executable, str(HERE / "bench_peers.py"), peer, str(folder), str(limit), *texts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None  # noqa: S101 - for mypy
        try:
            for line in child.stdout:
                seconds, reached = map(float, line.split())
                yield Timing([seconds], recall=reached)
        except GeneratorExit:  # no more are wanted
            child.kill()
            raise
    if child.returncode == -signal.SIGALRM:
        yield Timing([limit], stopped=True)
    elif child.returncode:
        sys.exit(f"failed: {' '.join(command)}")


def chosen(name: str, peer: str, promise: float) -> Pair:
    """Return the settings chosen for a recall."""
    build, search = json.loads(CHOSEN.read_text())[name][peer][str(promise)]
    return build, search


def tune(folder: Path, vectors: np.ndarray, name: str, peers: list[str], limit: float) -> None:
    """Try the grids; keep the fastest settings that reach each recall, of those tried twice."""
    write_truth(folder, vectors)
    for peer in peers:
        tried = [found for ladder in GRIDS[peer] for found in steps(folder, peer, ladder, limit)]
        for promise in RECALLS:
            enough = [step for step in tried if (step[1].recall or 0) >= promise]
            fastest = sorted(enough, key=lambda step: step[1].median)[:FINALISTS]
            if again := [(pair, again_timed(folder, peer, pair, limit)) for pair, _ in fastest]:
                pair, timing = min(again, key=lambda step: min(step[1].seconds))
                print(f"{name}, {peer}, recall {promise}: {timing} by {pair}", flush=True)
                keep(name, peer, promise, pair)


def steps(folder: Path, peer: str, ladder: Ladder, limit: float) -> Iterator[tuple[Pair, Timing]]:
    """Yield each search of a ladder and what it takes, until the highest recall is reached."""
    build, searches = ladder
    for search, timing in zip(searches, climb(folder, peer, build, searches, limit), strict=False):
        print(f"  {peer} {build | search}: {timing}", flush=True)
        yield (build, search), timing
        if (timing.recall or 0) >= max(RECALLS):
            return


def again_timed(folder: Path, peer: str, pair: Pair, limit: float) -> Timing:
    """Time a search three times more."""
    build, search = pair
    found = list(climb(folder, peer, build, 3 * [search], limit))
    return sum(found[1:], found[0])


def keep(name: str, peer: str, promise: float, pair: Pair) -> None:
    """Write settings to the file of those that are used."""
    kept = json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}
    kept.setdefault(name, {}).setdefault(peer, {})[str(promise)] = pair
    CHOSEN.write_text(json.dumps(kept, indent=1) + "\n")
