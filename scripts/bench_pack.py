"""Time pack-nbrs, the whole command, against NSL 1.4 in one run, and as inputs grow.

    pip install -e '.[bench]'
    python scripts/bench_pack.py                       # NSL 1.4, --runs 5
    python scripts/bench_pack.py --scale               # as inputs grow; plotted in docs/
    python scripts/bench_pack.py --limit 12000000      # the same join in memory and within limits
    python scripts/bench_pack.py --records             # of five kinds, against NSL 1.4
    python scripts/bench_pack.py --edges 100000000 --limits 512MB   # a large graph, 1 M examples

NSL 1.4: 100,000 labeled examples of about 600 bytes, as many unlabeled ones, 8
edges a node, 5 neighbours packed. The other tables: a sixth of the examples is
labeled. Beside each stands the time to copy as many bytes as go in and out.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench_records import kinds_of, pack_records
from bench_support import (
    Timing,
    copy_seconds,
    nsl_original,
    nsl_tools,
    print_header,
    print_machine,
    print_row,
    time_command,
    time_fresh,
)

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, frame, masked_crcs

EDGES_PER_NODE, MAX_NBRS, DIMENSIONS = 8, 5, 128
LIMITS = ("12GB", "2GB", "512MB", "256MB")
SIZES = [10**i * j for i in (4, 5) for j in (1, 2, 5)] + [10**6, 10**7]
AT_ONCE = 20_000
GRAPH_NODES = 1_000_000


def write_inputs(
    folder: Path, labeled: int, unlabeled: int, degree: int = EDGES_PER_NODE
) -> list[str]:
    """Write labeled and unlabeled examples and a random graph; return their paths.

    Another process does, since a command's peak memory begins with that of its parent.
    """
    paths = [str(folder / name) for name in ("l.tfr", "u.tfr", "g.tsv")]
    sizes = map(str, (labeled, unlabeled, degree))
    subprocess.run([sys.executable, __file__, "--write", *paths, *sizes], check=True)
    return paths


def write_all(labeled_path: str, unlabeled_path: str, graph: str, sizes: list[int]) -> None:
    """Write the three inputs."""
    labeled, unlabeled, degree = sizes
    random = np.random.default_rng(0)
    write_examples(labeled_path, range(labeled), random)
    write_examples(unlabeled_path, range(labeled, labeled + unlabeled), random)
    write_graph(graph, labeled + unlabeled, degree, random)


def write_examples(path: str, rows: range, random: np.random.Generator) -> None:
    """Write one example a row: an id, a vector, a label."""
    features = {
        b"id": example.encode_bytes([b"n00000000"]),
        b"x": example.encode_floats(np.zeros(DIMENSIONS)),
        b"label": example.encode_int64([5]),
    }
    record = frame(example.encode(features))
    node, vector = record.index(b"00000000"), record.index(bytes(4 * DIMENSIONS))
    with open(path, "wb") as file:
        for first in range(rows.start, rows.stop, AT_ONCE):
            numbers = np.arange(first, min(first + AT_ONCE, rows.stop))
            records = np.tile(np.frombuffer(record, np.uint8), (len(numbers), 1))
            records[:, node : node + 8] = digits(numbers, 8)
            values = random.random((len(numbers), DIMENSIONS), np.float32)
            records[:, vector : vector + 4 * DIMENSIONS] = values.view(np.uint8)
            starts = np.arange(len(numbers)) * len(record) + HEADER_BYTES
            ends = starts + len(record) - HEADER_BYTES - FOOTER_BYTES
            crcs = masked_crcs(records.tobytes(), starts, ends).astype("<u4")
            records[:, -FOOTER_BYTES:] = crcs.view(np.uint8).reshape(-1, FOOTER_BYTES)
            file.write(records.tobytes())


def write_graph(path: str, nodes: int, degree: int, random: np.random.Generator) -> None:
    """Write random edges, `degree` from each node."""
    line = np.frombuffer(b"n00000000\tn00000000\t0.000000\n", np.uint8)
    with open(path, "wb") as file:
        for first in range(0, nodes, AT_ONCE):
            sources = np.arange(first, min(first + AT_ONCE, nodes)).repeat(degree)
            lines = np.tile(line, (len(sources), 1))
            lines[:, 1:9] = digits(sources, 8)
            lines[:, 11:19] = digits(random.integers(0, nodes, len(sources)), 8)
            lines[:, 22:28] = digits(random.integers(0, 10**6, len(sources)), 6)
            file.write(lines.tobytes())


def digits(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return decimal digits, shape (n, count)."""
    return (numbers[:, np.newaxis] // 10 ** np.arange(count - 1, -1, -1) % 10 + 48).astype(np.uint8)


def pack(inputs: list[str], output: str, *options: str) -> list[str]:
    """Return the command line."""
    return nsl_tools("pack-nbrs", "-q", f"--max_nbrs={MAX_NBRS}", *options, *inputs, output)


def compare_nsl(folder: Path, runs: int) -> None:
    """Print us against NSL 1.4."""
    inputs = write_inputs(folder, 100_000, 100_000)
    output = str(folder / "m.tfr")
    ours = time_fresh(pack(inputs, output), output, runs)
    command = nsl_original("pack.pack_nbrs", *inputs, f"{folder}/n.tfr", False, MAX_NBRS)
    theirs = time_command(command, 1)
    copied = Timing([copy_seconds([*inputs, output], folder) for _ in range(runs)])
    print_header("copy of the same bytes")
    print_row("pack-nbrs 100,000 labeled", ours, "NSL 1.4", theirs, copied)
    print(f"\nmemory ratio {ours.megabytes / theirs.megabytes:.2f}")


def print_line(nodes: int, limit: str, timing: Timing, size: int, copied: float) -> None:
    """Print a line of a table."""
    rate = size / timing.median / 1e6
    print(f"| {nodes:,} | {limit} | {timing.median:.2f} s | {timing.megabytes:,.0f} MB "
          f"| {rate:,.0f} MB/s | {copied:.2f} s |", flush=True)  # fmt: skip


def scaling(sizes: list[int], runs: int) -> None:
    """Time growing inputs; print the slope between sizes, in logarithms; plot into docs/."""
    points: list[tuple[int, float, float]] = []
    for nodes in sizes:
        with tempfile.TemporaryDirectory() as name:
            timing, copied = compare_limits(Path(name), nodes, LIMITS[:1], runs)[0]
        points.append((nodes, timing.median, copied))
        plot(points)
    pairs = [*pairwise(points), (points[0], points[-1])] if len(points) > 1 else []
    for (n, seconds, _), (m, more, _) in pairs:
        print(f"slope from {n:,} to {m:,}: {np.log(more / seconds) / np.log(m / n):.2f}")


def plot(points: list[tuple[int, float, float]]) -> None:
    """Draw time over size, both logarithmic."""
    from matplotlib import pyplot as plt

    nodes, seconds, copied = zip(*points, strict=True)
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.loglog(nodes, seconds, marker="o", label="pack-nbrs")
    axes.loglog(nodes, copied, marker="o", label="copy of the same bytes")
    axes.set(xlabel="examples, a sixth of them labeled", ylabel="seconds, whole command")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    target = Path(__file__).parent.parent / "docs/pack_nbrs_scaling.svg"
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def compare_limits(
    folder: Path, nodes: int, limits: tuple[str, ...], runs: int
) -> list[tuple[Timing, float]]:
    """Print and return the same join within each limit, and the time to copy as many bytes.

    The outputs must be the same.
    """
    found = []
    inputs = write_inputs(folder, nodes // 6, nodes - nodes // 6)
    first = str(folder / "m.tfr")
    for limit in limits:
        output = first if limit == limits[0] else str(folder / "again.tfr")
        timing = time_fresh(pack(inputs, output, f"--memory-limit={limit}"), output, runs)
        if not filecmp.cmp(first, output, shallow=False):
            sys.exit(f"another output within {limit}")
        copied = copy_seconds([*inputs, output], folder)
        print_line(nodes, limit, timing, os.path.getsize(output), copied)
        found.append((timing, copied))
    return found


def compare_graph(folder: Path, edges: int, limits: tuple[str, ...], runs: int) -> None:
    """Print how many edges a second a large graph adds to a run, all that follows from them."""
    labeled = GRAPH_NODES // 6
    inputs = write_inputs(folder, labeled, GRAPH_NODES - labeled, edges // GRAPH_NODES)
    few, output = folder / "few.tsv", str(folder / "m.tfr")
    few.write_text("n00000000\tn00000001\t0.5\n")
    graph = inputs[2]
    print("| edges | limit | time | with one edge | memory | edges a second | graph to /dev/null |")
    print("|---|---|---|---|---|---|---|")
    for limit in limits:
        option = f"--memory-limit={limit}"
        whole = time_fresh(pack(inputs, output, option), output, runs)
        without = time_fresh(pack([*inputs[:2], str(few)], output, option), output, runs)
        read = time_command(["cp", graph, "/dev/null"], 1)
        rate = edges / (whole.median - without.median) / 1e6
        print(f"| {edges:,} | {limit} | {whole} | {without} | {whole.megabytes:,.0f} MB "
              f"| {rate:.1f} M | {read.median:.2f} s |", flush=True)  # fmt: skip


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=int, nargs="*", metavar="EXAMPLES")
    parser.add_argument("--limit", type=int, metavar="EXAMPLES")
    parser.add_argument("--edges", type=int)
    parser.add_argument("--records", nargs="*", metavar="KIND", help="all kinds if none is named")
    parser.add_argument("--limits", nargs="+", default=LIMITS)
    parser.add_argument("--write", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write_all(*given.write[:3], list(map(int, given.write[3:])))
        return
    print_machine("numpy", "pyarrow", "google-crc32c")
    if kinds := kinds_of(given.records):
        with tempfile.TemporaryDirectory() as name:
            pack_records(Path(name), kinds, given.runs)
        return
    if given.edges:
        with tempfile.TemporaryDirectory() as name:
            compare_graph(Path(name), given.edges, tuple(given.limits), given.runs)
        return
    if given.scale is None and not given.limit:
        with tempfile.TemporaryDirectory() as name:
            compare_nsl(Path(name), given.runs)
        return
    print("| examples | limit | time | memory | output | copy of the same bytes |")
    print("|---|---|---|---|---|---|")
    if given.scale is not None:
        scaling(given.scale or SIZES, given.runs)
    if given.limit:
        with tempfile.TemporaryDirectory() as name:
            compare_limits(Path(name), given.limit, tuple(given.limits), given.runs)


if __name__ == "__main__":
    main()
