"""Time reading packed examples: PackedDataset against make_dataset, in samples a second.

    python scripts/bench_reading.py

Samples of varying length: 128 floats, 1 to 60 token ids, up to five neighbours of the same. Each
contestant reads all samples, in a process that may use one core, and in one that may use two;
they take turns, and the table has the medians over the rounds and the quartiles. With two
workers, two threads ask for batches, as Keras does.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_NEIGHBORS, DIMENSIONS, LONGEST = 5, 128, 60
BATCHES = (32, 128, 512)


def write_packed(path: str, count: int) -> None:
    """Write packed samples."""
    random = np.random.default_rng(0)

    def features(prefix: str) -> dict[bytes, bytes]:
        words = random.integers(0, 20_000, random.integers(1, LONGEST)).tolist()
        vector = random.standard_normal(DIMENSIONS)
        return {
            f"{prefix}x".encode(): example.encode_floats(vector),
            f"{prefix}words".encode(): example.encode_int64(words),
        }

    def payloads() -> Iterator[bytes]:
        for number in range(count):
            found = {**features(""), b"id": example.encode_bytes([b"n%d" % number])}
            neighbors = int(random.integers(0, MAX_NEIGHBORS + 1))
            for rank in range(neighbors):
                found |= features(f"NL_nbr_{rank}_")
                found[b"NL_nbr_%d_weight" % rank] = example.encode_floats([0.5])
            found[b"NL_num_nbrs"] = example.encode_int64([neighbors])
            yield example.encode(found)

    write_records(path, payloads(), count)


def readers(path: str, batch_size: int, shuffle: int) -> dict[str, Callable[[], int]]:
    """Return functions that read all samples and return how many there were, by name."""
    import nsl_tools as nsl

    given: dict[str, Any] = {
        "batch_size": batch_size,
        "max_neighbors": MAX_NEIGHBORS,
        "label": None,
        "shuffle": shuffle,
    }
    dataset = nsl.keras.make_dataset(path, **given)
    checked = nsl.data.PackedDataset(path, **given)
    unchecked = nsl.data.PackedDataset(path, checksums=False, **given)

    def by_two_threads() -> int:
        with ThreadPoolExecutor(2) as pool:
            return sum(map(rows, pool.map(checked.__getitem__, range(len(checked)))))

    return {
        "make_dataset": lambda: sum(map(rows, dataset)),
        "PackedDataset": lambda: sum(map(rows, checked)),
        "without checksums": lambda: sum(map(rows, unchecked)),
        "two workers": by_two_threads,
    }


def rows(batch: Any) -> int:
    """Return the number of samples of a batch."""
    return len(batch["x"])


def measure(path: str, cores: int, rounds: int) -> None:
    """Print a row for each batch size and order; this process may use so many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for batch_size in BATCHES:
        for shuffle in (10_000, 0):
            contestants = readers(path, batch_size, shuffle)
            rates: dict[str, list[float]] = {name: [] for name in contestants}
            for turn in range(rounds + 1):
                for name, read in contestants.items():
                    start = time.perf_counter()
                    count = read()
                    if turn:  # the first one warms up
                        rates[name].append(count / (time.perf_counter() - start))
            order = "shuffled" if shuffle else "in order"
            peer = np.array(rates["make_dataset"])
            ratios = [spread(np.array(found) / peer) for found in list(rates.values())[1:]]
            own = f"{np.median(rates['PackedDataset']):,.0f}"
            cells = [str(cores), str(batch_size), order, f"{np.median(peer):,.0f}", own, *ratios]
            print("| " + " | ".join(cells) + " |", flush=True)


def spread(values: Any) -> str:
    """Return the median and the quartiles."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, metavar=("PATH", "CORES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.child[0], int(options.child[1]), options.rounds)
        return
    print(f"Python {platform.python_version()}, {platform.machine()}; {options.samples:,} samples")
    print("| cores | batch | order | make_dataset, samples/s | PackedDataset, samples/s | ratio | "
          "without checksums | two workers |")  # fmt: skip
    print("|---" * 8 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/packed.tfr"
        write_packed(path, options.samples)
        for cores in ("1", "2"):
            child = [sys.executable, __file__, "--child", path, cores]
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            subprocess.run(
                [*child, "--rounds", str(options.rounds)],
                check=True, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip


if __name__ == "__main__":
    main()
