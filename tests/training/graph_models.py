"""The one-step setting of NSL's `graph_regularization_test.py`, and data for it."""

from typing import Any

import numpy as np

from nsl_tools import configs

W = np.array([[4.0], [-3.0]])
LEARNING_RATE = 0.01
MULTIPLIER = 1.0
X = np.array([[2.0, 3.0]])
Y = np.array([[0.0]])
NEIGHBORS = (np.array([[2.5, 3.0]]), np.array([[2.0, 2.0]]))
WEIGHTS = (np.array([[0.9]]), np.array([[0.8]]))


def batch(name: str = "feature", neighbors: int = 2) -> dict[str, Any]:
    """Return one packed sample."""
    features: dict[str, Any] = {name: X}
    for rank in range(neighbors):
        features[f"NL_nbr_{rank}_{name}"] = NEIGHBORS[rank]
        features[f"NL_nbr_{rank}_weight"] = WEIGHTS[rank]
    return features


def config(**changes: Any) -> Any:
    settings = {"max_neighbors": 1, "multiplier": MULTIPLIER}
    return configs.make_graph_reg_config(**{**settings, **changes})
