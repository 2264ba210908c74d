"""Run NSL 1.4 and nsl-tools on the same files and compare what they write.

    pip install -e '.[bench]'
    python scripts/compare_nsl.py

The threshold graph must be the same line for line after sorting, and so must
the bucketed (LSH) one; the packed records must be the same messages.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from nsl_original import load

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

NODES, DIMENSIONS, LABELED = 600, 32, 150


def write_examples(folder: Path) -> None:
    """Write clustered embeddings with a label: `l` labeled, `u` unlabeled."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, DIMENSIONS))
    for name, rows in (("l", range(LABELED)), ("u", range(LABELED, NODES))):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for row in rows:
                vector = centres[row % len(centres)] + 0.4 * random.normal(size=DIMENSIONS)
                example = tf.train.Example()
                features = example.features.feature
                features["id"].bytes_list.value.append(f"n{row}".encode())
                features["embedding"].float_list.value.extend(vector)
                features["label"].int64_list.value.append(row % 3)
                writer.write(example.SerializeToString())


def messages(path: Path) -> list[tf.train.Example]:
    """Read a TFRecord file of examples."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [tf.train.Example.FromString(record) for record in records]


def same(what: str, theirs: object, ours: object, size: Callable[[], int]) -> None:
    """Print the verdict, and stop at a difference."""
    print(f"{what}: {'equal' if theirs == ours else 'DIFFERENT'} ({size():,})")
    if theirs != ours:
        raise SystemExit(1)


def compare_graphs(nsl_build: object, folder: Path) -> None:
    """Compare the threshold graphs, exact and bucketed."""
    inputs = [str(folder / "l"), str(folder / "u")]
    for splits, rounds in ((0, 1), (3, 1), (5, 4)):
        theirs, ours = folder / "theirs.tsv", folder / "ours.tsv"
        nsl_build.build_graph(
            inputs, str(theirs), similarity_threshold=0.7,
            lsh_splits=splits, lsh_rounds=rounds, random_seed=5,
        )  # fmt: skip
        options = BuildGraphOptions(
            k=None, similarity_threshold=0.7,
            lsh_splits=splits, lsh_rounds=rounds, random_seed=5,
        )  # fmt: skip
        build_graph(inputs, str(ours), options)
        expected, found = (sorted(path.read_text().splitlines()) for path in (theirs, ours))
        same(f"graph, lsh_splits={splits}, lsh_rounds={rounds}", expected, found, expected.__len__)


def compare_packing(nsl_pack: object, folder: Path) -> None:
    """Compare packed records, with and without undirected edges and limits."""
    inputs = [str(folder / name) for name in ("l", "u", "ours.tsv")]
    for limit in (None, 1, 5):
        for undirected in (False, True):
            theirs, ours = folder / "theirs.tfr", folder / "ours.tfr"
            nsl_pack.pack_nbrs(*inputs, str(theirs), undirected, limit)
            pack_nbrs(*inputs, str(ours), PackOptions(limit, undirected))
            expected, found = messages(theirs), messages(ours)
            same(
                f"packed, max_nbrs={limit}, undirected={undirected}",
                expected,
                found,
                expected.__len__,
            )


def main() -> None:
    """Compare both tools."""
    nsl_build, nsl_pack = load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_examples(folder)
        compare_graphs(nsl_build, folder)
        compare_packing(nsl_pack, folder)


if __name__ == "__main__":
    main()
