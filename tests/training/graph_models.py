"""The one-step setting of NSL's `graph_regularization_test.py`, and data for it."""

from typing import Any

import adv_models
import keras
import numpy as np

import nsl_tools as nsl

W = adv_models.W
LEARNING_RATE = adv_models.LEARNING_RATE
X, Y = adv_models.X, adv_models.Y
NEIGHBORS = (np.array([[2.5, 3.0]]), np.array([[2.0, 2.0]]))
WEIGHTS = (np.array([[0.9]]), np.array([[0.8]]))
# The outputs are -1 for the sample, 1 and 2 for the neighbours.
LABELED_LOSS = 1.0
FIRST_DISTANCE = 0.9 * 4.0
SECOND_DISTANCE = 0.8 * 9.0


def batch(name: str = "feature", neighbors: int = 2) -> dict[str, Any]:
    """Return one packed sample."""
    features: dict[str, Any] = {name: X}
    for rank in range(neighbors):
        features[f"NL_nbr_{rank}_{name}"] = NEIGHBORS[rank]
        features[f"NL_nbr_{rank}_weight"] = WEIGHTS[rank]
    return features


def config(**changes: Any) -> Any:
    return nsl.configs.make_graph_reg_config(**{"max_neighbors": 1, "multiplier": 1.0, **changes})


def compiled(base: Any = None, config_changes: Any = None, **kwargs: Any) -> Any:
    """Return a wrapped model, with SGD and the squared error unless told otherwise."""
    base = base or adv_models.sequential()
    settings = {"loss": "MSE", "metrics": ["mae"], "run_eagerly": True, **kwargs}
    deterministic = settings.pop("deterministic", False)
    model = nsl.keras.GraphRegularization(
        base, config(**(config_changes or {})), deterministic=deterministic
    )
    model.compile(settings.pop("optimizer", keras.optimizers.SGD(LEARNING_RATE)), **settings)
    return model


def fit(model: Any, *data: Any, **kwargs: Any) -> Any:
    """Return the history of training on `data`, or on the packed sample."""
    return model.fit(*(data or (batch(), Y)), **{"verbose": 0, **kwargs}).history


def weights_after(ranks: tuple[int, ...] = (0,), multiplier: float = 1.0) -> Any:
    """Return the weights after a step on the sample and on the mean over its neighbours."""
    gradient = 2 * (X @ W - Y) * X.T
    for rank in ranks:
        moved = X - NEIGHBORS[rank]
        gradient = gradient + multiplier * 2 * WEIGHTS[rank] * (moved @ W) * moved.T / len(ranks)
    return W - LEARNING_RATE * gradient
