"""Time both commands on records as people have them: `--records` of the two scripts."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench_support import (
    Timing,
    copy_seconds,
    nsl_original,
    nsl_tools,
    race,
    time_command,
    time_fresh,
)
from varied_records import KINDS, write_examples

from nsl_tools.arrays.ids import IdColumn
from nsl_tools.build_graph.read import read_embeddings
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics

RECORDS = {"alike": 120_000, "lengths": 60_000, "optional": 90_000, "images": 1_800, "many": 4_500}
"""Of each kind so many, which are about 40 MB; a third of them is labeled."""
EDGES_PER_SEED, MAX_NBRS = 5, 5
IDS, MEMORY = 1 << 30, 1 << 30
WAYS = {
    "tf.data, parse_example": "parsed",
    "TFRecordDataset, Example.FromString": "looped",
}


def write_inputs(folder: str, kind: str) -> None:
    """Write `l.tfr`, `u.tfr` and a random graph `g.tsv` of a kind."""
    random = np.random.default_rng(0)
    count = RECORDS[kind]
    ids = [b"n%07d" % row for row in range(count)]
    write_examples(f"{folder}/l.tfr", kind, ids[: count // 3], random)
    write_examples(f"{folder}/u.tfr", kind, ids[count // 3 :], random)
    ends = random.integers(0, count, (count // 3, EDGES_PER_SEED)).tolist()
    lines = (
        b"%b\t%b\t%.4f\n" % (ids[row], ids[end], random.random())
        for row, own in enumerate(ends)
        for end in own
    )
    Path(folder, "g.tsv").write_bytes(b"".join(lines))


def write_elsewhere(folder: Path, kind: str) -> list[str]:
    """Write the inputs in a process of its own, whose memory is not ours; return their paths."""
    program = f"from bench_records import write_inputs; write_inputs({str(folder)!r}, {kind!r})"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)
    return [str(folder / name) for name in ("l.tfr", "u.tfr", "g.tsv")]


def pack_records(folder: Path, kinds: list[str], runs: int) -> None:
    """Print pack-nbrs against NSL 1.4 and a copy, for each kind of records."""
    print("| records | in, out | pack-nbrs | NSL 1.4 | times | copy | of its rate | by the byte |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    alike = None
    for kind in kinds:
        inputs, output = write_elsewhere(folder, kind), str(folder / "m.tfr")
        ours = nsl_tools("pack-nbrs", "-q", f"--max_nbrs={MAX_NBRS}", *inputs, output)
        arguments = "pack.pack_nbrs", *inputs, f"{folder}/n.tfr", False, MAX_NBRS
        found = race(
            {
                "pack-nbrs": partial(time_fresh, ours, output, 1),
                "NSL 1.4": partial(time_command, nsl_original(*arguments), 1),
                "copy": partial(_copied, [*inputs, output], folder),
            },
            runs,
            once=["NSL 1.4"],
        )
        mine, theirs, copy = found.values()
        read, written = sum(map(_megabytes, inputs)), _megabytes(output)
        by_byte = mine.median / (read + written)
        alike = alike or by_byte
        cells = (
            kind, f"{read:.0f} MB, {written:.0f} MB", mine, theirs,
            f"{theirs.median / mine.median:.1f}", copy, f"{copy.median / mine.median:.2f}",
            f"{by_byte / alike:.2f}",
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _megabytes(path: str) -> float:
    return Path(path).stat().st_size / 1e6


def _copied(paths: list[str], folder: Path) -> Timing:
    return Timing([copy_seconds(paths, folder)])


def read_records(folder: Path, kinds: list[str], runs: int) -> None:
    """Print how fast embeddings of each kind are read, by seconds of CPU, and by TensorFlow."""
    print(f"| records | build-graph reads | {' | '.join(WAYS)} |")
    print(f"|---|---|{'---|' * len(WAYS)}", flush=True)
    for kind in kinds:
        paths = write_elsewhere(folder, kind)[:2]
        calls = {name: partial(_peer, way, paths) for name, way in WAYS.items()}
        found = race({"build-graph": partial(_peer, "ours", paths)} | calls, runs)
        size = sum(map(_megabytes, paths))
        rates = (f"{size / timing.median:,.0f} MB/s ({timing})" for timing in found.values())
        print(f"| {kind} | {' | '.join(rates)} |", flush=True)


def _peer(way: str, paths: list[str]) -> Timing:
    program = f"import bench_records as b; print(b.{way}({paths!r}))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True
    )
    return Timing([float(done.stdout.split()[-1])])


def ours(paths: list[str]) -> float:
    """Return the seconds of CPU to read ids and embeddings as build-graph does."""
    start = time.process_time()
    with MatrixStore(MEMORY) as store:
        found = read_embeddings(
            ExampleEmbeddings(paths, BuildGraphOptions()),
            SkippedRecords(Statistics()),
            store,
            IdColumn(paths[0], MemoryBudget(IDS)),
        )
    seconds = time.process_time() - start
    if len(found.ids) != found.vectors.shape[0]:
        sys.exit("not all was read")
    return seconds


def parsed(paths: list[str]) -> float:
    """Return the seconds of CPU to read them by `tf.io.parse_example`, batch by batch."""
    import tensorflow as tf

    spec = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.VarLenFeature(tf.float32),
    }
    batches = tf.data.TFRecordDataset(paths).batch(1024)
    batches = batches.map(lambda records: tf.io.parse_example(records, spec))
    start = time.process_time()
    for _ in batches:
        pass
    return time.process_time() - start


def looped(paths: list[str]) -> float:
    """Return the seconds of CPU to read them one by one."""
    import tensorflow as tf

    start = time.process_time()
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        np.array(list(features["embedding"].float_list.value), np.float32)
        bytes(features["id"].bytes_list.value[0])
    return time.process_time() - start


def kinds_of(given: list[str] | None) -> list[str] | None:
    """Return the kinds that `--records` names, all if it names none; None where it is not given."""
    if given is None:
        return None
    unknown = set(given) - set(KINDS)
    if unknown:
        sys.exit(f"--records: expected some of {', '.join(KINDS)}, received {', '.join(unknown)}")
    return given or list(KINDS)
