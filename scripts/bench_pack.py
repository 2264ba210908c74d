"""Time pack-nbrs, the whole command, against NSL 1.4 in one run.

    pip install -e '.[bench]'
    python scripts/bench_pack.py              # --runs 5

100,000 labeled examples of about 600 bytes, as many unlabeled ones, 8 edges a
node, 5 neighbours packed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from bench_support import (
    nsl_original,
    nsl_tools,
    print_machine,
    print_row,
    time_command,
    write_vectors,
)

LABELED = UNLABELED = 100_000
EDGES_PER_NODE, MAX_NBRS, DIMENSIONS = 8, 5, 128


def write_inputs(folder: Path) -> list[str]:
    """Write labeled and unlabeled examples and a random graph; return their paths."""
    random = np.random.default_rng(0)
    total = LABELED + UNLABELED
    vectors = random.random((total, DIMENSIONS), np.float32)
    sources = np.repeat(np.arange(total), EDGES_PER_NODE)
    edges = zip(
        sources.tolist(),
        random.integers(0, total, len(sources)).tolist(),
        random.random(len(sources)).tolist(),
        strict=True,
    )
    graph = folder / "g.tsv"
    graph.write_text("".join(f"n{s:07}\tn{t:07}\t{w:.6f}\n" for s, t, w in edges))
    return [
        write_vectors(folder / "l.tfr", "x", vectors[:LABELED]),
        write_vectors(folder / "u.tfr", "x", vectors[LABELED:], LABELED),
        str(graph),
    ]


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print_machine("numpy", "pyarrow", "google-crc32c")
    with tempfile.TemporaryDirectory() as name:
        inputs = write_inputs(Path(name))
        command = nsl_tools("pack-nbrs", "-q", f"--max_nbrs={MAX_NBRS}", *inputs, f"{name}/m.tfr")
        ours = time_command(command, runs)
        theirs = time_command(
            nsl_original("pack.pack_nbrs", *inputs, f"{name}/n.tfr", False, MAX_NBRS),
            1,
        )
        print_row(f"pack-nbrs {LABELED:,} labeled", ours, "NSL 1.4", theirs)


if __name__ == "__main__":
    main()
