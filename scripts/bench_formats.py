"""How fast formats are read and written, against the libraries that their users use.

    .venv/bin/python scripts/bench_formats.py
    .venv/bin/python scripts/bench_formats.py --rows 400000 --width 256 --rounds 9

Embeddings: reading all of a file to float32 vectors, ids and norms, against the library's own
reading of the same file (and a copy, where that is mapped). Graphs: writing the edges of a run in
each format, against TSV. Both in this process, one after the other in each round.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from bench_support import print_machine

from nsl_tools.formats.graphs.writer import GraphForm
from nsl_tools.formats.registry import GRAPH_WRITERS, embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from nsl_tools.formats.graphs.writer import GraphWriter

    Action = Callable[[], object]


def read(path: str) -> int:
    """Read all embeddings of a file, as build-graph does; return how many there are."""
    reader = embedding_reader([path], BuildGraphOptions())
    batches = reader.batches(SkippedRecords(Statistics()), lambda shape: np.empty(shape, "f4"))
    return sum(len(batch.ids) for batch in batches)


def read_hdf5(path: str) -> object:
    """Read a data set with h5py."""
    with h5py.File(path) as file:
        return file["x"][:]


def embeddings(folder: Path, rows: int, width: int) -> dict[str, tuple[str, Action]]:
    """Write files of the same vectors; return each with what the library does."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(rows, width)).astype(np.float32)
    spare = random.integers(0, 40, rows).tolist()
    ids = pa.array([f"document {i}" + "x" * n for i, n in enumerate(spare)])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), width)
    table = pa.table({"id": ids, "embedding": lists.cast(pa.list_(pa.float32()))})
    paths = {name: str(folder / name) for name in ("v.npy", "f.npy", "v.parquet", "u.parquet")}
    np.save(paths["v.npy"], matrix)
    np.save(paths["f.npy"], np.asfortranarray(matrix))
    pq.write_table(table, paths["v.parquet"])
    # What people who know their data write.
    pq.write_table(table, paths["u.parquet"], use_dictionary=["id"], compression="none")
    pyarrow.feather.write_feather(table, f"{folder}/v.feather")
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("x", data=matrix)
    with h5py.File(folder / "z.h5", "w") as file:
        file.create_dataset("x", data=matrix, chunks=(256, width), compression="gzip")
    return {
        ".npy": (paths["v.npy"], lambda: np.load(paths["v.npy"]).copy()),
        ".npy, Fortran order": (
            paths["f.npy"],
            lambda: np.ascontiguousarray(np.load(paths["f.npy"])),
        ),
        "Parquet, as pyarrow writes it": (
            paths["v.parquet"],
            lambda: pq.read_table(paths["v.parquet"]),
        ),
        "Parquet, plain": (paths["u.parquet"], lambda: pq.read_table(paths["u.parquet"])),
        "Feather": (
            f"{folder}/v.feather",
            lambda: pyarrow.feather.read_table(f"{folder}/v.feather", memory_map=False),
        ),
        "HDF5": (f"{folder}/v.h5", lambda: read_hdf5(f"{folder}/v.h5")),
        "HDF5, chunks, gzip": (f"{folder}/z.h5", lambda: read_hdf5(f"{folder}/z.h5")),
    }


def graph(rows: int, k: int) -> tuple[pa.Array, list[tuple[np.ndarray, ...]]]:
    """Return ids, and batches of edges as a search finds them."""
    random = np.random.default_rng(1)
    ids = pa.array([b"document %d" % i for i in range(rows)], pa.binary())
    batches = []
    for first in range(0, rows, 1000):
        sources = np.repeat(np.arange(first, min(rows, first + 1000)), k)
        weights = -np.sort(-random.random((len(sources) // k, k)), axis=1).reshape(-1)
        batches.append((sources, random.integers(0, rows, len(sources)), weights))
    return ids, batches


def write(
    kind: type[GraphWriter], ids: pa.Array, batches: list[tuple[np.ndarray, ...]], k: int
) -> int:
    """Write a graph to memory; return how long the file is."""
    file = io.BytesIO()
    writer = kind(file, GraphForm(ids, range(len(ids)), k))
    for batch in batches:
        writer.add(*batch)
    writer.finish()
    return file.tell()


def ratio_of(ratios: list[float]) -> str:
    """Return the median of some ratios, and the range."""
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def timed(action: Action) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print_machine("numpy", "pyarrow", "h5py")
    print(f"{given.rows:,} rows of {given.width} numbers, {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as place:
        print("| embeddings | MB/s of float32 | speed against the library |\n|---|---|---|")
        size = 4e-6 * given.rows * given.width
        for name, (path, theirs) in embeddings(Path(place), given.rows, given.width).items():
            pairs = [
                (timed(theirs), timed(lambda path=path: read(path))) for _ in range(given.rounds)
            ]  # type: ignore[misc]
            ours = float(np.median([own for _, own in pairs]))
            print(
                f"| {name} | {size / ours:,.0f} | {ratio_of([a / b for a, b in pairs])} |",
                flush=True,
            )
    k = 10
    ids, batches = graph(5 * given.rows, k)
    print("| graph | million edges a second | speed against TSV |\n|---|---|---|")
    for kind in GRAPH_WRITERS:
        pairs = [
            tuple(timed(lambda w=w: write(w, ids, batches, k)) for w in (GRAPH_WRITERS[0], kind))  # type: ignore[misc]
            for _ in range(given.rounds)
        ]
        seconds = float(np.median([own for _, own in pairs]))
        name = kind.suffixes[0]
        speed = f"{5e-6 * given.rows * k / seconds:.1f}"
        print(f"| {name} | {speed} | {ratio_of([a / b for a, b in pairs])} |", flush=True)


if __name__ == "__main__":
    main()
