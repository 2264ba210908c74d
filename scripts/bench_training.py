"""Time a training step of the wrappers against plain training and against the ideal.

    python scripts/bench_training.py
    KERAS_BACKEND=jax python scripts/bench_training.py      # or torch

The ideal of FGSM training is two plain steps: one pass on the examples and one on their
neighbours. That of graph training is a plain step on a batch with the neighbours in it.
The last two, on TensorFlow, read the same samples from a packed file: training on it, and
reading alone, which has to be faster than the model. Contestants take turns, so that
whatever else the machine does hits all of them; the table has medians over the rounds, and
the spread from the first to the third quartile.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import nsl_tools as nsl
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

SHAPE = (28, 28, 1)
Run = Callable[[], Any]


def build_base() -> keras.Model:
    """Return a small convolutional network."""
    return keras.Sequential(
        [
            keras.Input(SHAPE, name="image"),
            keras.layers.Conv2D(32, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def images(count: int) -> Any:
    """Return random images."""
    return np.random.default_rng(0).random((count, *SHAPE), dtype="float32")


def fitting(model: keras.Model, x: Any, batch_size: int) -> Run:
    """Return a function that trains `model` for an epoch on `x`."""
    model.compile("adam", loss="sparse_categorical_crossentropy")
    y = np.zeros(len(next(iter(x.values())) if isinstance(x, dict) else x), "int64")
    return lambda: model.fit(x, y, batch_size=batch_size, verbose=0)


def write_packed(path: str, packed: dict[str, Any]) -> None:
    """Write what is in memory as `pack-nbrs` would."""
    count = len(packed["image"])
    label = {b"label": example.encode_int64([0]), b"NL_num_nbrs": example.encode_int64([1])}

    def payloads() -> Iterator[bytes]:
        for row in range(count):
            own = {name.encode(): example.encode_floats(v[row]) for name, v in packed.items()}
            yield example.encode({**own, **label})

    write_records(path, payloads(), count)


def reading(path: str, samples: int, options: argparse.Namespace) -> tuple[Any, Run]:
    """Return the packed file as a data set of images, and a function that reads it through."""
    flat = nsl.keras.make_dataset(
        path, batch_size=options.batch_size, max_neighbors=options.neighbors, samples=samples
    )

    def shaped(features: dict[str, Any], label: Any) -> tuple[dict[str, Any], Any]:
        is_image = {name: name.endswith("image") for name in features}
        return {
            name: keras.ops.reshape(v, (-1, *SHAPE)) if is_image[name] else v
            for name, v in features.items()
        }, label

    dataset = flat.map(shaped)
    return dataset, lambda: [None for _ in dataset]


def graph_model(options: argparse.Namespace) -> keras.Model:
    """Return a model under graph regularisation, compiled."""
    config = nsl.configs.make_graph_reg_config(max_neighbors=options.neighbors)
    model = nsl.keras.GraphRegularization(build_base(), config)
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model


def contestants(options: argparse.Namespace, folder: str) -> dict[str, Run]:
    """Return what is timed, by name."""
    batch, k = options.batch_size, options.neighbors
    x = images(batch * options.steps)
    adversarial = nsl.configs.make_adv_reg_config(adv_step_size=0.2, adv_grad_norm="infinity")
    packed = {"image": x}
    for rank in range(k):
        packed[f"NL_nbr_{rank}_image"] = x
        packed[f"NL_nbr_{rank}_weight"] = np.ones((len(x), 1), "float32")
    return {
        "plain": fitting(build_base(), x, batch),
        f"plain, batch {1 + k} times as large": fitting(
            build_base(), images(len(x) * (1 + k)), batch * (1 + k)
        ),
        "adversarial": fitting(
            nsl.keras.AdversarialRegularization(build_base(), adversarial), x, batch
        ),
        "graph": fitting(graph_model(options), packed, batch),
        **from_files(packed, len(x), options, folder),
    }


def from_files(
    packed: dict[str, Any], samples: int, options: argparse.Namespace, folder: str
) -> dict[str, Run]:
    """Return what is timed of packed files, which TensorFlow reads here; else nothing."""
    if keras.backend.backend() != "tensorflow":
        return {}
    path = str(Path(folder) / "packed.tfr")
    write_packed(path, packed)
    dataset, read = reading(path, samples, options)
    from_file = graph_model(options)
    return {
        "graph, from a packed file": lambda: from_file.fit(dataset, shuffle=False, verbose=0),
        "reading the packed file alone": read,
    }


def timed(runs: dict[str, Run], options: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds per step, one figure for each round."""
    for run in runs.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            found[name].append(1000 * (time.perf_counter() - start) / options.steps)
    return {name: np.array(times) for name, times in found.items()}


def table(times: dict[str, Any]) -> str:
    """Return times, and their ratios to plain training and to the ideal round by round."""
    plain, larger = list(times.values())[:2]
    ideals = {"adversarial": 2 * plain, **dict.fromkeys(list(times)[3:], larger)}
    rows = ["| training step | ms | against plain | against the ideal |", "|---|---|---|---|"]
    for name, values in times.items():
        ideal = spread(values / ideals[name]) if name in ideals else ""
        rows.append(f"| {name} | {spread(values)} | {spread(values / plain)} | {ideal} |")
    return "\n".join(rows)


def spread(values: Any) -> str:
    """Return the median and the quartiles."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Print the machine, the versions and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--neighbors", type=int, default=2)
    options = parser.parse_args()
    versions = f"Keras {keras.__version__} on {keras.backend.backend()}"
    print(f"{versions}, {platform.machine()}, {os.cpu_count()} cores; {vars(options)}")
    with tempfile.TemporaryDirectory() as folder:
        print(table(timed(contestants(options, folder), options)))


if __name__ == "__main__":
    main()
