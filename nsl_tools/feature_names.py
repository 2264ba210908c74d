"""Names of the features that packing adds and training reads.

A packed example holds its own features, `NL_num_nbrs`, and for each neighbour
rank `i` in `0..K-1` every feature of that neighbour as `NL_nbr_<i>_<name>` and
its edge weight as `NL_nbr_<i>_weight`. Source: NSL 1.4, `tools/pack_nbrs.py`
and `configs/configs.py`.
"""

NEIGHBOR_PREFIX = "NL_nbr_"
WEIGHT_NAME = "weight"
WEIGHT_SUFFIX = f"_{WEIGHT_NAME}"
NUM_NEIGHBORS = "NL_num_nbrs"
LABEL_WEIGHT = "NL_label_weight"
"""1.0 for a labeled seed and 0.0 for an unlabeled one (`pack-nbrs --seed-unlabeled`)."""

SOFT_LABEL = "NL_soft_label"
"""Probabilities of all classes (`pack-nbrs --soft-labels`)."""
PROBABILITIES = "probabilities"
CONFIDENCE = "confidence"
"""Of a node, in what `spread-labels` writes."""


def neighbor_feature(rank: int, name: str, prefix: str = NEIGHBOR_PREFIX) -> str:
    """Return the packed name of feature `name` of the neighbour of rank `rank`."""
    return f"{prefix}{rank}_{name}"


def neighbor_weight(rank: int, prefix: str = NEIGHBOR_PREFIX, suffix: str = WEIGHT_SUFFIX) -> str:
    """Return the packed name of the edge weight of the neighbour of rank `rank`."""
    return f"{prefix}{rank}{suffix}"
