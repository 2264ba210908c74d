"""The lines with which NSL was announced run as they stand, but for the import."""

from typing import Any

import keras
import numpy as np
import pytest

import nsl_tools as nsl

X = np.random.default_rng(0).random((32, 8), np.float32)
Y = (X.sum(axis=1) > 4).astype("int32")
PACKED = {"x": X, "NL_nbr_0_x": X[::-1], "NL_nbr_0_weight": np.ones((32, 1), "float32")}


def layers() -> list[Any]:
    return [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2, activation="softmax")]


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((8,), name="x"), *layers()])


def functional() -> keras.Model:
    inputs = keras.Input((8,), name="x")
    hidden, output = layers()
    return keras.Model({"x": inputs}, output(hidden(inputs)))


class Subclassed(keras.Model):
    """A model that takes a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = layers()

    def call(self, inputs: Any) -> Any:
        """Return probabilities."""
        return self.out(self.hidden(inputs["x"]))


FORMS = pytest.mark.parametrize("make", [sequential, functional, Subclassed])


@FORMS
def test_graph_regularization(make: Any) -> None:
    keras.utils.set_random_seed(0)
    base_model = make()
    graph_config = nsl.configs.GraphRegConfig(
        neighbor_config=nsl.configs.GraphNeighborConfig(max_neighbors=1)
    )
    graph_model = nsl.keras.GraphRegularization(base_model, graph_config)
    graph_model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = graph_model.fit(PACKED, Y, epochs=5, verbose=0).history
    results = graph_model.evaluate({"x": X}, Y, verbose=0, return_dict=True)
    assert history["loss"][-1] < history["loss"][0]
    assert min(history["scaled_graph_loss"]) > 0
    assert set(results) == {"loss", "accuracy"}


@FORMS
def test_adversarial_regularization(make: Any) -> None:
    """The configuration comes second, as the announcement has it."""
    keras.utils.set_random_seed(0)
    base_model = make()
    adv_config = nsl.configs.make_adv_reg_config(multiplier=0.2, adv_step_size=0.05)
    adv_model = nsl.keras.AdversarialRegularization(base_model, adv_config)
    adv_model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = adv_model.fit({"x": X, "label": Y}, epochs=5, verbose=0).history
    results = adv_model.evaluate({"x": X, "label": Y}, verbose=0, return_dict=True)
    assert history["loss"][-1] < history["loss"][0]
    assert results["scaled_adversarial_loss"] > 0
