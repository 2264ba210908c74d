"""What a seed gets beside its neighbours: what its label counts for, and a soft label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nsl_tools.feature_names import LABEL_WEIGHT, SOFT_LABEL
from nsl_tools.formats.protobuf import example

if TYPE_CHECKING:
    from typing import Any

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.pack_nbrs.marks.soft_labels import SoftLabels


class MarkedNodes(Protocol):
    """What marks depend on.

    Attributes:
        labeled: rows that are labeled; they come first.
        seed_unlabeled: whether unlabeled rows are packed, too.
    """

    labeled: int
    seed_unlabeled: bool


class Marks:
    """Entries of feature maps, of as many bytes for each seed."""

    def __init__(self, nodes: MarkedNodes, soft: SoftLabels | None = None) -> None:
        """Mark seeds if unlabeled ones are among them, or if there are soft labels."""
        self._nodes = nodes
        self._soft = soft

    def of(self, rows: Places) -> Bytes:
        """Return the entries of seeds, by their rows, shape (m, bytes)."""
        if self._soft is not None:
            values = self._soft.of(rows)
            return np.hstack([_entries(SOFT_LABEL, values[:, :-1]), _weights(values[:, -1])])
        if self._nodes.seed_unlabeled:
            return _weights(rows < self._nodes.labeled)
        return np.empty((len(rows), 0), np.uint8)


def _weights(values: npt.NDArray[Any]) -> Bytes:
    return _entries(LABEL_WEIGHT, values[:, np.newaxis])


def _entries(name: str, values: npt.NDArray[Any]) -> Bytes:
    """Return an entry for each row of values, shape (m, c), as floats."""
    count = values.shape[1]
    entry = example.encode_entry(name.encode(), example.encode_floats(np.zeros(count)))
    found = np.tile(np.frombuffer(entry, np.uint8), (len(values), 1))
    if count:  # they are the end of the entry
        found[:, -4 * count :] = values.astype("<f4", order="C").view(np.uint8)
    return found
