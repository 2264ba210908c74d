"""Inputs near those of a corpus, the same ones for a seed: what needs no libFuzzer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from example_mutations import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent / "corpus"


def corpus_of(name: str) -> list[bytes]:
    """Return the corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(name: str, count: int, seed: object = "") -> Iterator[bytes]:
    """Yield inputs of the corpus with a few bytes changed, or joined to another's end."""
    corpus, rng = corpus_of(name), random.Random(f"{name}{seed}")  # noqa: S311 - repeatable, not secret
    for _ in range(count):
        data = rng.choice(corpus)
        if rng.random() < 0.2:
            data = data[: rng.randint(0, len(data))] + rng.choice(corpus)[2:]
        yield damaged(data, rng)
