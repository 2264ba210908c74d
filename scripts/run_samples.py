"""The main job on `data/samples/`: graph, packing, training with and without the graph.

    python scripts/run_samples.py             # one run
    python scripts/run_samples.py --runs 10   # mean and spread over 10 seeds

50 handwritten digits are labeled, 1,247 are not. The same small network is
trained twice from the same start: on the labels alone, and with graph
regularization; both are tested on 500 further digits.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf

import nsl_tools as nsl

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SEEDS, TEST = 1297, 500
MAX_NBRS = 5
EPOCHS = 40


def make_training_data(folder: Path) -> str:
    """Build the graph and pack it, through a pipe, and return the packed file."""
    command = [sys.executable, "-m", "nsl_tools"]
    packed = f"{folder}/merged.tfr"
    build = subprocess.Popen(
        [*command, "build-graph", "--similarity-threshold=0.5", SAMPLES / "embeddings.tfr", "-"],
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        [
            *command, "pack-nbrs", f"--max_nbrs={MAX_NBRS}", "--seed-unlabeled",
            SAMPLES / "labeled.tfr", SAMPLES / "unlabeled.tfr", "-", packed,
        ],
        stdin=build.stdout, check=True,
    )  # fmt: skip
    if build.wait():
        sys.exit("build-graph failed")
    return packed


def train(packed: str, seed: int, *, with_graph: bool) -> float:
    """Train one network and return its accuracy on the test digits."""
    keras.utils.set_random_seed(seed)
    base = keras.Sequential(
        [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")]
    )
    config = nsl.configs.make_graph_reg_config(
        max_neighbors=MAX_NBRS,
        multiplier=1.0 if with_graph else 0.0,
        distance_type="kl_divergence",
        sum_over_axis=-1,
    )
    model = nsl.keras.GraphRegularization(base, config)
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    seeds = nsl.keras.make_dataset(
        packed,
        batch_size=50,
        max_neighbors=MAX_NBRS,
        label_weight="NL_label_weight",
        seed=seed,
        samples=SEEDS,
    )
    model.fit(seeds.cache(), epochs=EPOCHS, shuffle=False, verbose=0)
    test = nsl.keras.make_dataset(
        str(SAMPLES / "test.tfr"), batch_size=500, shuffle=0, samples=TEST
    )
    return float(model.evaluate(test, verbose=0, return_dict=True)["accuracy"])


def main() -> None:
    """Run the whole job and print both accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1, help="training runs, each with its seed")
    runs = parser.parse_args().runs
    tf.config.threading.set_inter_op_parallelism_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        packed = make_training_data(Path(folder))
        results = np.array(
            [
                [train(packed, seed, with_graph=graph) for graph in (False, True)]
                for seed in range(runs)
            ]
        )
    for name, column in zip(("without graph", "with graph"), results.T, strict=True):
        spread = f" +- {column.std(ddof=1):.4f} over {runs} seeds" if runs > 1 else ""
        print(f"test accuracy {name:14}{column.mean():.4f}{spread}")
    if runs > 1:
        better = int((results[:, 1] > results[:, 0]).sum())
        print(f"the graph is better in {better} of {runs} runs")


if __name__ == "__main__":
    main()
