"""PyTorch without Keras and TensorFlow: a graph term in a training loop of one's own."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from nsl_tools.data import PackedDataset

SAMPLES = Path(__file__).parents[1] / "data" / "samples"  # 50 digits with labels, 1,247 without
NEIGHBORS = 5
COMMANDS = (
    "build-graph --similarity-threshold=0.5 embeddings.tfr {0}/graph.tsv",
    "pack-nbrs --seed-unlabeled labeled.tfr unlabeled.tfr {0}/graph.tsv {0}/packed.tfr",
)


def train(packed: str, epochs: int, multiplier: float) -> torch.nn.Module:
    """Return a network trained on the labels, and on the graph times `multiplier`."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    data = PackedDataset(packed, 50, NEIGHBORS, label_weight="NL_label_weight", seed=1)
    for epoch in range(epochs):
        data.set_epoch(epoch)  # another order of the samples
        for features, label, weight in DataLoader(data, batch_size=None):
            logits = model(features["image"])
            loss = (weight * cross_entropy(logits, label, reduction="none")).mean()
            for i in range(NEIGHBORS):
                difference = logits.softmax(1) - model(features[f"NL_nbr_{i}_image"]).softmax(1)
                distance = features[f"NL_nbr_{i}_weight"] * difference.square()
                loss = loss + multiplier * distance.sum(1).mean() / NEIGHBORS
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    epochs = parser.parse_args().epochs
    test, label = next(iter(DataLoader(PackedDataset(f"{SAMPLES}/test.tfr", 500), batch_size=None)))
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            words = [word.format(folder) for word in command.split()]
            subprocess.run([sys.executable, "-m", "nsl_tools", *words], cwd=SAMPLES, check=True)
        for name, multiplier in (("without", 0.0), ("with", 1.0)):
            model = train(f"{folder}/packed.tfr", epochs, multiplier)
            right = model(test["image"]).argmax(1) == label
            print(f"test accuracy {name} the graph: {right.float().mean():.3f}")
