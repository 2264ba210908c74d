"""JAX without Keras and TensorFlow: a graph term in a training step of one's own."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from nsl_tools.data import PackedDataset

SAMPLES = Path(__file__).parents[1] / "data" / "samples"  # 50 digits with labels, 1,247 without
COMMANDS = (
    "build-graph --similarity-threshold=0.5 embeddings.tfr {0}/graph.tsv",
    "pack-nbrs --seed-unlabeled labeled.tfr unlabeled.tfr {0}/graph.tsv {0}/packed.tfr",
)


def network(params: list[jax.Array], images: jax.Array) -> jax.Array:
    """Return the probabilities of the ten digits."""
    return jax.nn.softmax(jax.nn.relu(images @ params[0]) @ params[1])


@jax.jit  # compiled once, for all batches are of one shape
def step(params: list[jax.Array], batch: tuple, multiplier: float) -> list[jax.Array]:
    """Return the parameters after a step: less loss on labels, less distance to neighbours."""
    features, label, weight = batch

    def loss(params: list[jax.Array]) -> jax.Array:
        found = network(params, features["image"])
        total = -(weight * jax.numpy.log(found[jax.numpy.arange(len(label)), label])).mean()
        for i in range(5):
            distance = (found - network(params, features[f"NL_nbr_{i}_image"])) ** 2
            total += multiplier * (features[f"NL_nbr_{i}_weight"] * distance).sum(axis=1).mean()
        return total

    return jax.tree.map(lambda value, slope: value - 3.0 * slope, params, jax.grad(loss)(params))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    epochs = parser.parse_args().epochs
    test, label = PackedDataset(f"{SAMPLES}/test.tfr", 500)[0]
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            words = [word.format(folder) for word in command.split()]
            subprocess.run([sys.executable, "-m", "nsl_tools", *words], cwd=SAMPLES, check=True)
        options = {"label_weight": "NL_label_weight", "drop_remainder": True, "seed": 1}
        for name, multiplier in (("without", 0.0), ("with", 0.05)):
            one, two = jax.random.split(jax.random.key(1))
            params = [jax.random.normal(one, (64, 64)) / 8, jax.random.normal(two, (64, 10)) / 8]
            data = PackedDataset(f"{folder}/packed.tfr", 50, 5, **options)
            for _ in range(epochs):
                for batch in data:  # in another order each time
                    params = step(params, batch, multiplier)
            right = network(params, test["image"]).argmax(1) == label
            print(f"test accuracy {name} the graph: {right.mean():.3f}")
