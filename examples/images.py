"""Encoded images, few of them labeled: decoding, and a graph for a convolutional model."""

import argparse
import shutil
import tempfile
import zlib
from pathlib import Path

import keras
import numpy as np
from commands import run

import nsl_tools as nsl

SAMPLES = Path(__file__).parents[1] / "data" / "samples"  # 50 digits with labels, 1,247 without


def encoded(name: str) -> list[dict]:
    """Return the digits of a file, their images as compressed bytes."""
    names = ["id", "image"] if name == "unlabeled" else ["id", "image", "label"]
    digits = nsl.data.PackedDataset(f"{SAMPLES}/{name}.tfr", 2000, features=names, label=None)[0]
    digits["image"] = [zlib.compress((16 * image).astype("uint8")) for image in digits["image"]]
    return [dict(zip(digits, row, strict=True)) for row in zip(*digits.values(), strict=True)]


def decoded(value: bytes) -> np.ndarray:
    """Return the pixels of an image; for PNG or JPEG, this would be Pillow or `tf.io`."""
    return np.frombuffer(zlib.decompress(value), "uint8").reshape(8, 8, 1) / np.float32(16)


def accuracy(folder: str, epochs: int, weight: float) -> float:
    """Train on the labels, and on the graph times `weight`; return the test accuracy."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    found = keras.layers.Conv2D(32, 3, activation="relu")(image)
    found = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(found))
    config = nsl.configs.make_graph_reg_config(max_neighbors=5, multiplier=weight, sum_over_axis=-1)
    model = nsl.keras.GraphRegularization(keras.Model(image, found), config)
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    options = {"decode": {"image": decoded}, "label_weight": "NL_label_weight", "seed": 1}
    train = nsl.data.PackedDataset(f"{folder}/packed.tfr", 100, max_neighbors=5, **options)
    test = nsl.data.PackedDataset(f"{folder}/test.tfr", 100, **options)
    model.fit(train, epochs=epochs, verbose=0)
    return model.evaluate(test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as folder:
        for name in ("labeled", "unlabeled", "test"):
            nsl.data.write_examples(f"{folder}/{name}.tfr", encoded(name))
        shutil.copy(SAMPLES / "embeddings.tfr", folder)  # pixels, less those of the mean image
        run(folder, "build-graph --similarity-threshold=0.5 embeddings.tfr graph.tsv")
        run(folder, "pack-nbrs --seed-unlabeled labeled.tfr unlabeled.tfr graph.tsv packed.tfr")
        for name, weight in (("without", 0.0), ("with", 1.0)):
            print(f"test accuracy {name} the graph: {accuracy(folder, epochs, weight):.3f}")
