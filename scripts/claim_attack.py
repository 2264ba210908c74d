"""Attack models on themselves: plain, FGSM-trained and PGD-trained, on MNIST.

The tutorial that NSL shipped attacks the defended model with examples that were crafted on
the plain one, which flatters the defence. Here each model is attacked with its own
gradients (white box), by the fast gradient sign method and by projected gradient
descent with a random start, in the infinity norm.

    python scripts/claim_attack.py mnist.npz --seeds 3 --epochs 5

The file holds `x_train`, `y_train`, `x_test`, `y_test`, as `keras.datasets.mnist` has it.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import nsl_tools as nsl

Pixels = np.ndarray[Any, np.dtype[np.float32]]
Digits = np.ndarray[Any, np.dtype[np.int64]]

# Attacks of this many images at a time ran fastest: their activations fit the cache.
ATTACKED_AT_ONCE = 100


@dataclass(frozen=True)
class Data:
    """Images `[n, 28, 28, 1]` with pixels in [0, 1], and their digits `[n]`."""

    x_train: Pixels
    y_train: Digits
    x_test: Pixels
    y_test: Digits


def load(path: str, train: int | None, test: int | None) -> Data:
    """Return the first `train` and `test` images of the file."""
    with np.load(path) as arrays:
        images = {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    pixels = {
        name: (images[name][..., np.newaxis] / 255).astype("float32")
        for name in ("x_train", "x_test")
    }
    return Data(
        pixels["x_train"][:train],
        images["y_train"][:train].astype("int64"),
        pixels["x_test"][:test],
        images["y_test"][:test].astype("int64"),
    )


def build_base() -> keras.Model:
    """Return the network of NSL's adversarial tutorial."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            keras.layers.Conv2D(32, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def attacks(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the fields of `AdvNeighborConfig` of each attack."""
    common = {"adv_grad_norm": "infinity", "clip_value_min": 0.0, "clip_value_max": 1.0}
    fgsm = {**common, "adv_step_size": options.epsilon}
    pgd = {**common, "adv_step_size": options.attack_step, "pgd_epsilon": options.epsilon}
    name = f"PGD-{options.attack_steps}"
    return {
        "FGSM": fgsm,
        name: {**pgd, "pgd_iterations": options.attack_steps, "random_init": True},
    }


def defences(options: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration of each kind of training; `None` is plain training."""
    common = {"adv_grad_norm": "infinity", "clip_value_min": 0.0, "clip_value_max": 1.0}
    fgsm = nsl.configs.make_adv_reg_config(
        multiplier=options.multiplier, adv_step_size=options.epsilon, **common
    )
    pgd = nsl.configs.make_adv_reg_config(
        multiplier=options.pgd_multiplier,
        adv_step_size=options.train_step,
        pgd_iterations=options.train_steps,
        pgd_epsilon=options.epsilon,
        random_init=True,
        **common,
    )
    return {"base": None, "FGSM-trained": fgsm, "PGD-trained": pgd}


def wrap(base: keras.Model, config: Any) -> keras.Model:
    """Return `base` under adversarial regularisation, compiled."""
    model = nsl.keras.AdversarialRegularization(base, config)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(config: Any, data: Data, options: argparse.Namespace) -> keras.Model:
    """Train a fresh base model, plainly or with `config`, and return it."""
    model = base = build_base()
    if config is None:
        base.compile("adam", loss="sparse_categorical_crossentropy")
    else:
        model = wrap(base, config)
    model.fit(
        data.x_train,
        data.y_train,
        batch_size=options.batch_size,
        epochs=options.epochs,
        verbose=options.verbose,
    )
    return base


def accuracy(base: keras.Model, x: Pixels, y: Digits) -> float:
    """Return the share of `x` that `base` classifies as `y`."""
    return float((base.predict(x, batch_size=500, verbose=0).argmax(axis=1) == y).mean())


def attacked(base: keras.Model, data: Data, attack: dict[str, Any]) -> float:
    """Return the accuracy of `base` on test images that were moved against `base` itself."""
    perturb = compiled(wrap(base, nsl.configs.AdvRegConfig()), attack)
    right = 0.0
    for start in range(0, len(data.x_test), ATTACKED_AT_ONCE):
        part = slice(start, start + ATTACKED_AT_ONCE)
        x, y = data.x_test[part], data.y_test[part]
        moved = perturb(x, y)
        check_moved(x, moved, attack)
        right += accuracy(base, moved, y) * len(x)
    return right / len(data.x_test)


def compiled(model: Any, attack: dict[str, Any]) -> Callable[[Pixels, Digits], Pixels]:
    """Return the attack on `model` as a function of arrays, compiled on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return lambda x, y: np.asarray(model.perturb_on_batch(x, y, **attack))
    import tensorflow as tf

    perturb = tf.function(lambda x, y: model.perturb(x, y, **attack), reduce_retracing=True)
    return lambda x, y: np.asarray(perturb(tf.constant(x), tf.constant(y)))


def check_moved(x: Pixels, moved: Pixels, attack: dict[str, Any]) -> None:
    """Raise if the attack left its ball or the range of pixels: its figure would be void."""
    radius = attack.get("pgd_epsilon", attack["adv_step_size"])
    if np.abs(moved - x).max() > radius + 1e-6 or moved.min() < 0 or moved.max() > 1:
        raise ValueError(f"The attack moved pixels by more than {radius} or out of [0, 1].")


def measure(
    seed: int, data: Data, options: argparse.Namespace, report: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Return the accuracy of each kind of training under each attack."""
    results: dict[str, dict[str, float]] = {}
    for name, config in defences(options).items():
        keras.utils.set_random_seed(seed)
        start = time.perf_counter()
        base = train(config, data, options)
        trained = time.perf_counter()
        row = {"clean": accuracy(base, data.x_test, data.y_test)}
        for attack, settings in attacks(options).items():
            row[attack] = attacked(base, data, settings)
        results[name] = row
        seconds = f"{trained - start:.0f} s training, {time.perf_counter() - trained:.0f} s attacks"
        report(f"seed {seed} {name}: {_figures(row)} ({seconds})")
    return results


def _figures(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in row.items())


def table(runs: list[dict[str, dict[str, float]]]) -> str:
    """Return mean, and the standard deviation over seeds, in a Markdown table."""
    columns = list(next(iter(runs[0].values())))
    lines = ["| model | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in runs[0]:
        cells = []
        for column in columns:
            values = [run[name][column] for run in runs]
            spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
            cells.append(f"{np.mean(values):.4f} +- {spread:.4f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("path", help="MNIST as an .npz file")
    add("--seeds", type=int, default=3, help="number of runs")
    add("--epochs", type=int, default=5)
    add("--batch-size", type=int, default=32)
    add("--train", type=int, help="number of training images; all by default")
    add("--test", type=int, help="number of test images; all by default")
    add("--epsilon", type=float, default=0.2, help="radius in the infinity norm")
    add("--multiplier", type=float, default=0.2, help="FGSM training: the tutorial's")
    add("--pgd-multiplier", type=float, default=1.0)
    add("--train-step", type=float, default=0.1)
    add("--train-steps", type=int, default=3)
    add("--attack-step", type=float, default=0.02)
    add("--attack-steps", type=int, default=40)
    add("--verbose", type=int, default=0, help="Keras's verbosity in training")
    return parser.parse_args(arguments)


def main() -> None:
    """Train, attack and print the table."""
    options = parse_options()
    data = load(options.path, options.train, options.test)
    versions = f"Keras {keras.__version__} on {keras.backend.backend()}, NumPy {np.__version__}"
    print(f"{versions}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"{len(data.x_train)} training and {len(data.x_test)} test images; {vars(options)}")
    runs = [
        measure(seed, data, options, lambda line: print(line, flush=True))
        for seed in range(options.seeds)
    ]
    print(table(runs))


if __name__ == "__main__":
    main()
