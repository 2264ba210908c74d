"""GraphRegularization against one step computed by hand, on every kind of base model."""

from typing import Any

import adv_models
import graph_models as gm
import keras
import numpy as np
import pytest

import nsl_tools as nsl


def compiled(base: Any, config: Any = None, **kwargs: Any) -> Any:
    model = nsl.keras.GraphRegularization(base, config or gm.config(), **kwargs)
    optimizer = keras.optimizers.SGD(gm.LEARNING_RATE)
    model.compile(optimizer, loss="MSE", metrics=["mae"], run_eagerly=True)
    return model


def fit(model: Any, features: Any = None, **kwargs: Any) -> Any:
    features = gm.batch() if features is None else features
    return model.fit(features, gm.Y, batch_size=1, verbose=0, **kwargs).history


@pytest.mark.parametrize("make", adv_models.MODELS)
def test_one_step_with_one_neighbor(make: Any) -> None:
    """NSL's `test_graph_reg_model`: L2 between -1 and 1 with weight 0.9, over one weight."""
    model = compiled(make())
    history = fit(model)
    assert history["loss"] == [pytest.approx(1.0 + 3.6)]
    assert history["scaled_graph_loss"] == [pytest.approx(3.6)]
    labeled_gradient = 2 * (gm.X @ gm.W - gm.Y) * gm.X.T
    moved = gm.X - gm.NEIGHBORS[0]
    graph_gradient = 2 * 0.9 * (moved @ gm.W) * moved.T
    expected = gm.W - gm.LEARNING_RATE * (labeled_gradient + graph_gradient)
    np.testing.assert_allclose(model.base_model.get_weights()[0], expected, rtol=1e-6)


@pytest.mark.parametrize("make", adv_models.MODELS)
def test_evaluation_and_prediction_need_no_neighbors(make: Any) -> None:
    model = compiled(make())
    plain = {"feature": gm.X}
    assert model.evaluate(plain, gm.Y, verbose=0, return_dict=True) == {"loss": 1.0, "mae": 1.0}
    assert model.evaluate(plain, gm.Y, verbose=0) == [1.0, 1.0]
    np.testing.assert_allclose(model.predict(plain, verbose=0), [[-1.0]])
    np.testing.assert_allclose(model.predict(gm.batch(), verbose=0), [[-1.0]])
