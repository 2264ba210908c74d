"""The graph loss as a function: what the wrapper adds, in a loop of one's own."""

from __future__ import annotations

from typing import Any

import adv_models
import graph_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from graph_models import FIRST_DISTANCE, SECOND_DISTANCE

import nsl_tools as nsl


def tensors(**more: Any) -> dict[str, Any]:
    batch = {**graph_models.batch(), **more}
    return {name: tf.constant(value, tf.float32) for name, value in batch.items()}


@pytest.mark.parametrize("base", adv_models.MODELS)
@pytest.mark.parametrize("known", [False, True])
def test_the_loss_is_the_mean_over_neighbours(base: Any, known: bool) -> None:
    """Ids and labels among the features need not come of neighbours."""
    model, config = base(), graph_models.config(max_neighbors=2)
    features = tensors(id=np.array([[3.0]]), NL_num_nbrs=np.array([[2.0]]))
    predictions = features["feature"] @ adv_models.W if known else None
    found = nsl.keras.graph_loss(model, features, config, predictions)
    assert float(found) == pytest.approx((FIRST_DISTANCE + SECOND_DISTANCE) / 2, rel=1e-6)


def test_a_step_of_a_tape_is_that_of_the_wrapper() -> None:
    base = adv_models.functional_dict()
    config = graph_models.config(max_neighbors=2, multiplier=0.5)
    features, (weights,) = tensors(), base.trainable_variables

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            predictions = base({"feature": features["feature"]}, training=True)
            loss = tf.reduce_mean((predictions - graph_models.Y) ** 2)
            loss += config.multiplier * nsl.keras.graph_loss(base, features, config, predictions)
        return tape.gradient(loss, weights.value)

    weights.assign(weights - graph_models.LEARNING_RATE * gradient())
    np.testing.assert_allclose(weights, graph_models.weights_after((0, 1), 0.5), rtol=1e-5)


def test_a_function_of_features_with_several_outputs() -> None:
    def model(features: Any) -> Any:
        return {"a": features["feature"], "b": 2.0 * features["feature"]}

    config = graph_models.config()
    found = nsl.keras.graph_loss(model, tensors(), config)
    difference = graph_models.X - graph_models.NEIGHBORS[0]
    weight = graph_models.WEIGHTS[0].item()
    # The mean over the two values of each output; the second is four times the first.
    assert float(found) == pytest.approx(5 * weight * (difference**2).mean(), rel=1e-6)


def test_without_neighbours_the_loss_is_zero() -> None:
    config = graph_models.config(max_neighbors=0)
    assert float(nsl.keras.graph_loss(adv_models.functional_dict(), tensors(), config)) == 0


def test_a_missing_neighbour_is_an_error() -> None:
    config = graph_models.config(max_neighbors=3)
    with pytest.raises(KeyError, match="NL_nbr_2_feature"):
        nsl.keras.graph_loss(adv_models.functional_dict(), tensors(), config)


def test_the_arguments_of_the_model_are_passed_on() -> None:
    inputs = keras.Input((2,), name="feature")
    dropped = keras.layers.Dropout(0.999999, seed=0)(inputs)
    model = keras.Model({"feature": inputs}, dropped)
    config = graph_models.config()
    assert float(nsl.keras.graph_loss(model, tensors(), config)) > 0
    training = {"training": True}
    assert float(nsl.keras.graph_loss(model, tensors(), config, model_kwargs=training)) == 0
