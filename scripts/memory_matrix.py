"""Hold the promise of --memory-limit: peaks of the commands on shapes of all kinds.

The promise is the limit plus 200 MB, or a refusal that says what is needed. Each run is a
process of its own, measured by the operating system.

    .venv/bin/python scripts/memory_matrix.py            # all shapes, 64, 256 and 512 MB
    .venv/bin/python scripts/memory_matrix.py --short    # small shapes, 64 MB, as CI does
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

MB = 1_000_000
LIBRARIES = 200 * MB
LIMITS = (64, 256, 512)
SECONDS = 600

# A small process of its own: a child's peak begins with the memory of whoever forks it.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))
"""

Make = Callable[[float], list[str]]
"""Writes the inputs of a shape, of a share of its size, here; returns the arguments of its run."""


def generator() -> np.random.Generator:
    """Return numbers that are the same each time."""
    return np.random.default_rng(0)


def many(count: float, share: float) -> int:
    """Return a share of a count."""
    return max(2, round(count * share))


def embeddings_of(ids: Iterable[bytes], vectors: np.ndarray, name: str = "e") -> None:
    """Write examples with an id and an embedding."""
    payloads = (
        example.encode({
            b"id": example.encode_bytes([node]),
            b"embedding": example.encode_floats(vector),
        })
        for node, vector in zip(ids, vectors, strict=True)
    )  # fmt: skip
    write_records(name, payloads, len(vectors))


def npy_of(vectors: np.ndarray, ids: Iterable[bytes]) -> list[str]:
    """Write a `.npy` file and its ids; return the arguments that name them."""
    np.save("e.npy", vectors)
    Path("ids").write_bytes(b"".join(node + b"\n" for node in ids))
    return ["--ids=ids", "e.npy", "graph"]


def numbered(count: int) -> list[bytes]:
    """Return short ids."""
    return [b"n%d" % i for i in range(count)]


def long_ids(count: int, length: int) -> list[bytes]:
    """Return ids of `length` bytes."""
    return [b"%010d" % i + b"x" * (length - 10) for i in range(count)]


def vectors(rows: int, width: int) -> np.ndarray:
    """Return random vectors."""
    return generator().normal(size=(rows, width)).astype(np.float32)


def buckets(share: float) -> list[str]:
    """Two buckets, of which every pair is an edge."""
    rows = many(20_000, share)
    options = ["-k", "all", "--lsh-splits=1", "--similarity-threshold=0.3"]
    return ["build-graph", *options, *npy_of(vectors(rows, 8), numbered(rows))]


def near_duplicates(share: float) -> list[str]:
    """Rows that are all nearly parallel."""
    rows = many(60_000, share)
    near = generator().normal(size=16) + 1e-4 * vectors(rows, 16)
    return ["build-graph", *npy_of(near.astype(np.float32), numbered(rows))]


def one_dimension(share: float) -> list[str]:
    """A thousand values in one dimension."""
    rows = many(100_000, share)
    line = generator().integers(1, 1000, size=(rows, 1)).astype(np.float32)
    return ["build-graph", *npy_of(line, numbered(rows))]


def recall(share: float) -> list[str]:
    """Many candidates for each row of an approximate search."""
    rows = many(60_000, share)
    centers = vectors(rows // 100, 64)[generator().integers(0, rows // 100, size=rows)]
    near = centers + 0.5 * vectors(rows, 64)
    options = ["--recall=0.9", "-k", "50", "--similarity-threshold=0"]
    return ["build-graph", *options, *npy_of(near, numbered(rows))]


def recall_threads(share: float) -> list[str]:
    """An approximate search with many threads."""
    return ["build-graph", "--threads=64", *recall(share)[1:]]


def threads(share: float) -> list[str]:
    """An exact search with many threads."""
    rows = many(60_000, share)
    return ["build-graph", "--threads=64", *npy_of(vectors(rows, 64), numbered(rows))]


def wide_parquet(share: float) -> list[str]:
    """Few rows of a Parquet file, each of them wide."""
    return ["build-graph", *parquet_of(many(4_500, share), 20_000)]


def long_parquet(share: float) -> list[str]:
    """Many rows of a Parquet file, and a few seeds: it is reading that is measured."""
    embeddings_of(numbered(100), vectors(100, 1), "seeds")
    return ["build-graph", "--seeds=seeds", *parquet_of(many(600_000, share), 64)]


def parquet_of(rows: int, width: int) -> list[str]:
    """Write a Parquet file of embeddings, in one row group."""
    schema = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32()))])
    flat = pa.array(vectors(rows, width).ravel())
    lists = pa.ListArray.from_arrays(np.arange(0, rows * width + 1, width, dtype=np.int32), flat)
    ids = pa.array([node.decode() for node in numbered(rows)])
    pq.write_table(pa.table([ids, lists], schema=schema), "e.parquet", row_group_size=rows)
    return ["e.parquet", "graph"]


def bomb_parquet(share: float) -> list[str]:
    """A thousand bytes that hold 150 million floats."""
    width = many(75_000_000, share)
    lists = pa.ListArray.from_arrays(
        pa.array([0, width, 2 * width], pa.int32()), pa.array(np.zeros(2 * width, np.float32))
    )
    pq.write_table(pa.table({"id": ["a", "b"], "embedding": lists}), "e.parquet")
    return ["build-graph", "e.parquet", "graph"]


def wide_npy(share: float) -> list[str]:
    """Few rows of a `.npy` file, each of them wide."""
    rows = many(4_500, share)
    return ["build-graph", *npy_of(vectors(rows, 20_000), numbered(rows))]


def wide_tfrecord(share: float) -> list[str]:
    """Few examples, each with a wide embedding."""
    rows = many(4_500, share)
    embeddings_of(numbered(rows), vectors(rows, 20_000))
    return ["build-graph", "e", "graph"]


def widest(share: float) -> list[str]:
    """Ten rows of ten million values."""
    width = many(10_000_000, share)
    return ["build-graph", *npy_of(vectors(10, width), numbered(10))]


def long_ids_graph(share: float) -> list[str]:
    """Ids of 4 KB, with edges between them."""
    rows = many(20_000, share)
    embeddings_of(long_ids(rows, 4000), vectors(rows, 8))
    return ["build-graph", "e", "graph"]


def longer_ids_graph(share: float) -> list[str]:
    """Many ids of 1 KB."""
    rows = many(200_000, share)
    embeddings_of(long_ids(rows, 1000), vectors(rows, 8))
    return ["build-graph", "--similarity-threshold=0.99", "e", "graph"]


def short_ids_graph(share: float) -> list[str]:
    """Many nodes with short ids; few of them are asked for."""
    rows = many(2_000_000, share)
    np.save("e.npy", vectors(rows, 4))
    Path("ids").write_bytes(b"".join(node + b"\n" for node in numbered(rows)))
    write_records("seeds", (examples(numbered(10))), 10)
    return ["build-graph", "--seeds=seeds", "--ids=ids", "e.npy", "graph"]


def long_record_graph(share: float) -> list[str]:
    """An example of 200 MB, beside which others are short."""
    features = {b"id": example.encode_bytes([b"a"]), b"embedding": example.encode_floats([1.0, 2])}
    long = {**features, b"image": example.encode_bytes([bytes(many(200 * MB, share))])}
    short = {**features, b"id": example.encode_bytes([b"b"])}
    write_records("e", [example.encode(long), example.encode(short)], 2)
    return ["build-graph", "e", "graph"]


def examples(ids: Iterable[bytes], length: int = 100) -> Iterable[bytes]:
    """Yield examples with bytes of varying length."""
    random = generator()
    for node in ids:
        size = int(random.integers(0, 2 * length))
        yield example.encode({
            b"id": example.encode_bytes([node]), b"x": example.encode_bytes([random.bytes(size)])
        })  # fmt: skip


def pack_of(ids: list[bytes], edges: Iterable[tuple[int, int]], length: int = 100) -> list[str]:
    """Write half of the examples as labeled, and a graph; return the arguments that name them."""
    half = len(ids) // 2
    write_records("l", examples(ids[:half], length), half)
    write_records("u", examples(ids[half:], length), len(ids) - half)
    with open("g", "wb") as file:
        file.writelines(b"%b\t%b\n" % (ids[s], ids[t]) for s, t in edges)
    return ["pack-nbrs", "--max-nbrs=5", "l", "u", "g", "merged"]


def random_edges(rows: int, count: int) -> Iterable[tuple[int, int]]:
    """Return edges between random rows."""
    return generator().integers(0, rows, size=(count, 2)).tolist()


def varied_pack(share: float) -> list[str]:
    """Examples of varying length."""
    rows = many(200_000, share)
    return pack_of(numbered(rows), random_edges(rows, 3 * rows), 1000)


def long_ids_pack(share: float) -> list[str]:
    """Ids of 4 KB."""
    rows = many(20_000, share)
    return pack_of(long_ids(rows, 4000), random_edges(rows, 3 * rows))


def longer_ids_pack(share: float) -> list[str]:
    """Many ids of 1 KB."""
    rows = many(200_000, share)
    return pack_of(long_ids(rows, 1000), random_edges(rows, rows))


def short_ids_pack(share: float) -> list[str]:
    """Many short ids."""
    rows = many(2_000_000, share)
    return pack_of(numbered(rows), random_edges(rows, rows), 10)


def hub_pack(share: float) -> list[str]:
    """A seed with a million edges, all of which are packed."""
    rows = many(1_000_000, share)
    arguments = pack_of(numbered(rows), ((0, i) for i in range(rows)), 10)
    return [argument for argument in arguments if argument != "--max-nbrs=5"]


def hub_pack_cut(share: float) -> list[str]:
    """A seed with a million edges, five of which are packed."""
    rows = many(1_000_000, share)
    return pack_of(numbered(rows), ((0, i) for i in range(rows)), 10)


def long_record_pack(share: float) -> list[str]:
    """A seed of 200 MB, which is a neighbour, too."""
    arguments = pack_of(numbered(10), random_edges(10, 30))
    long = {
        b"id": example.encode_bytes([b"n0"]),
        b"image": example.encode_bytes([bytes(many(200 * MB, share))]),
    }
    payloads = [example.encode(long), *examples(numbered(5)[1:])]
    write_records("l", payloads, len(payloads))
    return arguments


def distinct_names_pack(share: float) -> list[str]:
    """Examples none of which has a feature of another."""
    rows = many(60_000, share)
    arguments = pack_of(numbered(rows), random_edges(rows, 3 * rows))
    half = rows // 2
    for name, first, last in (("l", 0, half), ("u", half, rows)):
        payloads = (
            example.encode({
                b"id": example.encode_bytes([b"n%d" % i]),
                **{b"name%d_%d" % (i, j): example.encode_int64([j]) for j in range(5)},
            })
            for i in range(first, last)
        )  # fmt: skip
        write_records(name, payloads, last - first)
    return arguments


def spread_of(ids: list[bytes], edges: Iterable[tuple[int, int]], classes: int = 10) -> list[str]:
    """Write a hundredth of the ids with a class, and a graph; return the arguments."""
    labeled = ids[:: min(100, len(ids))]
    payloads = (
        example.encode({
            b"id": example.encode_bytes([node]),
            b"label": example.encode_int64([i % classes]),
        })
        for i, node in enumerate(labeled)
    )  # fmt: skip
    write_records("l", payloads, len(labeled))
    with open("g", "wb") as file:
        file.writelines(b"%b\t%b\n" % (ids[s], ids[t]) for s, t in edges)
    return ["spread-labels", "--max-iterations=10", "l", "g", "spread"]


def many_edges_spread(share: float) -> list[str]:
    """Many edges between short ids."""
    rows = many(300_000, share)
    return spread_of(numbered(rows), random_edges(rows, 10 * rows))


def many_nodes_spread(share: float) -> list[str]:
    """Nodes that need more than the smallest limit."""
    rows = many(1_000_000, share)
    return spread_of(numbered(rows), random_edges(rows, 2 * rows))


def hub_spread(share: float) -> list[str]:
    """A node with a million edges."""
    rows = many(1_000_000, share)
    return spread_of(numbered(rows), ((0, i) for i in range(1, rows)))


def long_ids_spread(share: float) -> list[str]:
    """Ids of 4 KB."""
    rows = many(20_000, share)
    return spread_of(long_ids(rows, 4000), random_edges(rows, 3 * rows))


def many_classes_spread(share: float) -> list[str]:
    """A thousand classes."""
    rows = many(100_000, share)
    return spread_of(numbered(rows), random_edges(rows, 2 * rows), 1000)


def table_of(name: str, first: int, last: int, text_bytes: int) -> None:
    """Write rows of varied lengths as Parquet."""
    random, count = generator(), last - first
    lengths = random.integers(0, 40, count)
    words = np.split(random.integers(0, 1 << 20, lengths.sum()), np.cumsum(lengths)[:-1])
    columns = {
        "id": [f"n{i}" for i in range(first, last)],
        "words": pa.array(words, pa.list_(pa.int64())),
        "text": ["x" * n for n in random.integers(0, 2 * text_bytes, count).tolist()],
        "vector": pa.array(list(vectors(count, 16))),
    }
    pq.write_table(pa.table(columns), name)


def pack_tables(rows: int, edges: int, text_bytes: int, *options: str) -> list[str]:
    """Write Parquet examples and a Parquet graph; return the arguments."""
    table_of("l.parquet", 0, rows // 3, text_bytes)
    table_of("u.parquet", rows // 3, rows, text_bytes)
    ends = generator().integers(0, rows, (2, edges))
    names = [pa.array([f"n{i}" for i in part.tolist()]) for part in ends]
    weights = generator().random(edges)
    graph = {"source": names[0], "target": names[1], "weight": weights}
    pq.write_table(pa.table(graph), "g.parquet")
    return ["pack-nbrs", "--max-nbrs=4", *options, "l.parquet", "u.parquet", "g.parquet"]


def table_pack(share: float) -> list[str]:
    """Data frames in and out."""
    rows = many(300_000, share)
    return [*pack_tables(rows, 5 * rows, 20), "out.parquet"]


def wide_table_pack(share: float) -> list[str]:
    """Data frames in and out whose rows hold half a megabyte of text."""
    rows = many(600, share)
    return [*pack_tables(rows, 5 * rows, 500_000), "out.parquet"]


def sparse_pack(share: float) -> list[str]:
    """A sparse matrix as the graph, of many edges."""
    rows = many(300_000, share)
    arguments = pack_tables(rows, 2, 20, "--graph-ids=ids")
    Path("ids").write_bytes(b"".join(node + b"\n" for node in numbered(rows)))
    bounds = np.arange(rows + 1) * 20
    columns = generator().integers(0, rows, bounds[-1])
    weights = generator().random(bounds[-1], np.float32)
    shape = np.array([rows, rows])
    np.savez("g.npz", indptr=bounds, indices=columns, data=weights, shape=shape, format=b"csr")
    return [*arguments[:-1], "g.npz", "out"]


def written_as(name: str, share: float) -> list[str]:
    """Return a search of many edges, for an output of this name."""
    rows = many(100_000, share)
    options = ["-k", "60", "--similarity-threshold=-1", "--recall=0.5"]
    *arguments, _ = npy_of(vectors(rows, 8), numbered(rows))
    return ["build-graph", *options, *arguments, name]


def parquet_graph(share: float) -> list[str]:
    """Many edges as Parquet."""
    return written_as("g.parquet", share)


def sparse_graph(share: float) -> list[str]:
    """Many edges as a sparse matrix."""
    return written_as("g.npz", share)


def feather_embeddings(share: float) -> list[str]:
    """Embeddings in few record batches, each of which is in memory at once."""
    rows = many(300_000, share)
    found = vectors(rows, 64)
    table = pa.table({"id": [f"n{i}" for i in range(rows)], "embedding": pa.array(list(found))})
    pyarrow.feather.write_feather(table, "e.feather")
    return ["build-graph", "--recall=0.5", "e.feather", "graph"]


def fortran_npy(share: float) -> list[str]:
    """A matrix column after column."""
    rows = many(300_000, share)
    arguments = npy_of(np.asfortranarray(vectors(rows, 64)), numbered(rows))
    return ["build-graph", "--recall=0.5", *arguments]


SHAPES: list[Make] = [
    buckets, near_duplicates, one_dimension, recall, recall_threads, threads,
    wide_parquet, long_parquet, bomb_parquet, wide_npy, wide_tfrecord, widest,
    long_ids_graph, longer_ids_graph, short_ids_graph, long_record_graph,
    varied_pack, long_ids_pack, longer_ids_pack, short_ids_pack, hub_pack, hub_pack_cut,
    long_record_pack, distinct_names_pack,
    many_edges_spread, many_nodes_spread, hub_spread, long_ids_spread, many_classes_spread,
    table_pack, wide_table_pack, sparse_pack, parquet_graph, sparse_graph, feather_embeddings,
    fortran_npy,
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        peak: bytes of resident memory at most.
        status: its exit status.
        said: the last line of standard error.
        seconds: that it took.
    """

    peak: float
    status: int
    said: str
    seconds: float

    def verdict(self, limit: int) -> str:
        """Return whether it kept the limit, in bytes, or refused, or neither."""
        if self.peak > limit + LIBRARIES:
            return "OVER"
        if self.status == 0:
            return "within"
        refused = "memory" in self.said and "unexpected" not in self.said
        return f"refused: {self.said}" if refused else f"FAILED: {self.said}"


def run(arguments: list[str], limit: int, folder: str) -> Outcome:
    """Run a command within a limit in bytes, in `folder`."""
    command = [sys.executable, "-m", "nsl_tools", arguments[0], "-q", f"--memory-limit={limit}"]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command, *arguments[1:]],
        cwd=folder, capture_output=True, text=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    peak, status = done.stdout.split()
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return Outcome(float(peak), int(status), said, time.monotonic() - start)


def measured(shape: Make, share: float, limits: Iterable[int]) -> bool:
    """Print a line for each limit, in MB; return whether the promise was kept."""
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        making = f"import os, memory_matrix as m; os.chdir({folder!r}); "
        making += f"print(*m.{shape.__name__}({share}), sep='\\n')"
        # In a process of its own, whose memory goes with it.
        made = subprocess.run(
            [sys.executable, "-c", making], cwd=Path(__file__).parent,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        for limit in limits:
            found = run(made.stdout.splitlines(), limit * MB, folder)
            verdict = found.verdict(limit * MB)
            kept &= verdict.split(":")[0] in ("within", "refused")
            peak = f"{found.peak / MB:,.0f}"
            print(f"| {shape.__name__} | {limit} | {peak} | {found.seconds:.1f} | {verdict} |")
            sys.stdout.flush()
    return kept


def main() -> int:
    """Print a table; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [shape.__name__ for shape in SHAPES]
    parser.add_argument("--shapes", nargs="*", default=names, choices=names, metavar="SHAPE")
    parser.add_argument("--limits", nargs="*", type=int, default=LIMITS, help="in MB")
    parser.add_argument("--share", type=float, default=1.0, help="of the size of each shape")
    parser.add_argument("--short", action="store_true", help="a fifth of each, within 64 MB")
    given = parser.parse_args()
    share, limits = (0.2, LIMITS[:1]) if given.short else (given.share, given.limits)
    print("| shape | limit, MB | peak, MB | seconds | |\n|---|---|---|---|---|")
    kept = [measured(shape, share, limits) for shape in SHAPES if shape.__name__ in given.shapes]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
