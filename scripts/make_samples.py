"""Regenerate `data/samples/`, byte for byte.

The data are scikit-learn's handwritten digits (UCI, Optical Recognition of
Handwritten Digits, CC BY 4.0): 1,797 images of 8 x 8 pixels. Of these 50 are
labeled (5 of each digit), 1,247 unlabeled and 500 for testing. The embedding of
a training image is its pixels less the mean image of the training set, so that
the cosine compares shapes and not the amount of ink.

    pip install -e '.[dev]'
    python scripts/make_samples.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

FOLDER = Path(__file__).parents[1] / "data" / "samples"
LABELED_PER_DIGIT = 5
TEST = 500


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the labeled, unlabeled and test images, each ascending."""
    # The legacy generator's numbers never change.
    order = np.random.RandomState(0).permutation(len(labels))
    test, train = order[:TEST], order[TEST:]
    labeled = np.concatenate(
        [train[labels[train] == digit][:LABELED_PER_DIGIT] for digit in range(10)]
    )
    return np.sort(labeled), np.sort(np.setdiff1d(train, labeled)), np.sort(test)


def payloads(rows: np.ndarray, **features: np.ndarray) -> Iterator[bytes]:
    """Yield an example for each row: its id and the given features, encoded by dtype."""
    for row in rows:
        encoded = {b"id": example.encode_bytes([f"digit-{row:04}".encode()])}
        for name, values in features.items():
            value = np.atleast_1d(values[row])
            encode = example.encode_floats if value.dtype.kind == "f" else example.encode_int64
            encoded[name.encode()] = encode(value.tolist())
        yield example.encode(encoded)


def main() -> None:
    """Write the four sample files."""
    digits = load_digits()
    images, labels = digits.data / 16.0, digits.target
    labeled, unlabeled, test = split(labels)
    train = np.sort(np.concatenate([labeled, unlabeled]))
    centred = images - images[train].mean(axis=0)
    for name, rows, features in (
        ("labeled", labeled, {"image": images, "label": labels}),
        ("unlabeled", unlabeled, {"image": images}),
        ("test", test, {"image": images, "label": labels}),
        ("embeddings", train, {"embedding": centred}),
    ):
        path = FOLDER / f"{name}.tfr"
        write_records(str(path), payloads(rows, **features), len(rows))
        print(f"{path.name}: {len(rows)} examples, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
