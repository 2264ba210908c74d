"""`pack_nbrs.marks.seed_marks`: entries beside the neighbours are what encoding each gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nsl_tools.formats.protobuf import example
from nsl_tools.pack_nbrs.marks.seed_marks import Marks
from nsl_tools.pack_nbrs.marks.soft_labels import SoftLabels

ROWS = np.array([0, 2, 3, 5])


def entry(name: str, values: list[float]) -> bytes:
    return example.encode_entry(name.encode(), example.encode_floats(values))


def of(soft: SoftLabels | None, **nodes: Any) -> list[bytes]:
    marks: Any = Marks(SimpleNamespace(labeled=3, **nodes), soft)  # type: ignore[arg-type]
    return [row.tobytes() for row in marks.of(ROWS)]


def test_nothing_is_added_to_labeled_seeds_alone() -> None:
    assert of(None, seed_unlabeled=False) == [b""] * 4


def test_seeds_are_marked_as_labeled_or_not() -> None:
    found = of(None, seed_unlabeled=True)
    assert found == [entry("NL_label_weight", [float(row < 3)]) for row in ROWS]


@pytest.mark.parametrize("classes", [1, 3, 200])
def test_soft_labels_come_with_their_confidence(classes: int) -> None:
    """A row without one has zeros."""
    values = np.random.default_rng(0).random((3, classes + 1)).astype(np.float32)
    soft = SoftLabels(np.array([0, -1, 1, -1, -1, 2]), values)
    right = [values[0], values[1], 0 * values[0], values[2]]
    assert of(soft, seed_unlabeled=True) == [
        entry("NL_soft_label", row[:-1].tolist()) + entry("NL_label_weight", [float(row[-1])])
        for row in right
    ]
