"""What tests of estimates share: examples of varied lengths, and a graph between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from support import write_examples

if TYPE_CHECKING:
    from pathlib import Path


def write_inputs(
    folder: Path, nodes: int = 300, edges: int = 4, *, shuffled: bool = False, seed: int = 0
) -> list[str]:
    """Write a third of the nodes as labeled, and a graph; return the three paths."""
    random = np.random.default_rng(seed)
    examples = [
        {
            "id": [b"n%05d" % i],
            "text": [b"word " * int(random.integers(0, 60))],
            "words": random.integers(0, 1000, int(random.integers(1, 12))).tolist(),
            "label": [i % 7],
        }
        for i in range(nodes)
    ]
    third = -(-nodes // 3)
    labeled = write_examples(folder / "labeled", examples[:third])
    unlabeled = write_examples(folder / "unlabeled", examples[third:])
    counts = random.integers(0, 2 * edges + 1, nodes)
    lines = [
        f"n{i:05d}\tn{int(random.integers(0, nodes)):05d}\t{random.random():.6f}\n"
        for i, count in enumerate(counts.tolist())
        for _ in range(count)
    ]
    if shuffled:
        random.shuffle(lines)
    (folder / "graph").write_text("".join(lines))
    return [labeled, unlabeled, str(folder / "graph")]
