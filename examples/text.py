"""Texts of varying length, one in ten with its label: a graph for a model with an embedding."""

import argparse
import tempfile
from collections.abc import Iterator

import keras
import numpy as np
from commands import run

import nsl_tools as nsl


def make_texts(count: int) -> Iterator[dict]:
    """Yield made-up reviews: the numbers of their words, 1 to 1640, and whether they praise."""
    random = np.random.default_rng(0)
    for row in range(count):
        kind = random.integers(16)  # praise or not, in other words for each of eight genres
        words = 1 + random.zipf(1.3, random.integers(20, 100)) % 1000
        tells = random.random(len(words)) < 0.15
        words[tells] = 1001 + 40 * kind + random.integers(40, size=sum(tells))
        yield {"id": str(row), "words": words, "label": kind % 2}


def accuracy(folder: str, multiplier: float) -> float:
    """Train on the labels, and on the graph times `multiplier`; return the test accuracy."""
    keras.utils.set_random_seed(1)
    words = keras.Input((None,), name="words", dtype="int32")
    vectors = keras.layers.Embedding(1641, 16, mask_zero=True)(words)
    mean = keras.layers.GlobalAveragePooling1D()(vectors)
    base = keras.Model(words, keras.layers.Dense(2, activation="softmax")(mean))
    config = nsl.configs.make_graph_reg_config(max_neighbors=5, multiplier=multiplier)
    model = nsl.keras.GraphRegularization(base, config)
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    options = {"pad": {"words": 100}, "label_weight": "NL_label_weight", "seed": 1}
    train = nsl.data.PackedDataset(f"{folder}/packed.tfr", 100, max_neighbors=5, **options)
    test = nsl.data.PackedDataset(f"{folder}/test.tfr", 100, **options)
    model.fit(train, epochs=10, verbose=0)
    return model.evaluate(test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1000, help="texts to train on")
    size = parser.parse_args().size
    few, rows = size // 10, list(make_texts(2 * size))
    for row in rows[few:size]:
        del row["label"]
    counts = np.stack([np.bincount(row["words"], minlength=1641) for row in rows[:size]])
    with tempfile.TemporaryDirectory() as folder:
        files = {"labeled": rows[:few], "unlabeled": rows[few:size], "test": rows[size:]}
        for name, part in files.items():
            nsl.data.write_examples(f"{folder}/{name}.tfr", part)
        np.save(f"{folder}/tfidf.npy", counts * np.log(size / (1 + (counts > 0).sum(axis=0))))
        run(folder, "build-graph --similarity-threshold=0.1 tfidf.npy graph.tsv")
        run(folder, "pack-nbrs --seed-unlabeled labeled.tfr unlabeled.tfr graph.tsv packed.tfr")
        for name, multiplier in (("without", 0.0), ("with", 1.0)):
            print(f"test accuracy {name} the graph: {accuracy(folder, multiplier):.3f}")
