"""The base model after `compile`: as in NSL, it is compiled as well, with its own metrics."""

from __future__ import annotations

from typing import Any

import adv_models
import graph_models
import keras
import numpy as np
import pytest
from adv_models import LEARNING_RATE, W, X, Y

import nsl_tools as nsl

WRAPPERS = [
    lambda base: nsl.keras.GraphRegularization(base, graph_models.config()),
    lambda base: nsl.keras.AdversarialRegularization(base, adv_config=adv_models.config()),
    lambda base: nsl.keras.AdversarialRegularization(
        nsl.keras.GraphRegularization(base, graph_models.config()), adv_config=adv_models.config()
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("metrics", [["mae"], [keras.metrics.MeanAbsoluteError(name="mae")], None])
def test_the_base_model_goes_on_where_the_wrapper_ends(wrap: Any, metrics: Any) -> None:
    """It evaluates and trains by the losses and metrics given to the wrapper."""
    base = adv_models.sequential()
    model = wrap(base)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss="mse", metrics=metrics)
    model.fit({**graph_models.batch(neighbors=1), "label": Y}, Y, verbose=0)
    weights = base.trainable_variables[0].numpy()
    found = base.evaluate(X, Y, verbose=0, return_dict=True)
    error = abs((X @ weights - Y).item())
    assert found["loss"] == pytest.approx(error**2, rel=1e-5)
    assert metrics is None or found["mae"] == pytest.approx(error, rel=1e-5)
    base.fit(X, Y, verbose=0)
    gradient = 2 * (X @ weights - Y) * X.T
    np.testing.assert_allclose(
        base.trainable_variables[0], weights - LEARNING_RATE * gradient, rtol=1e-5
    )
    assert int(base.optimizer.iterations) == 2


class FewArguments(adv_models.Subclassed):
    """A base model with a `compile` of its own, of two arguments."""

    def compile(self, optimizer: Any, loss: Any) -> None:
        """Compile with the absolute error beside the loss."""
        super().compile(optimizer, loss=loss, metrics=["mae"])


def test_a_compile_of_fewer_arguments_gets_what_was_given() -> None:
    base = FewArguments()
    model = nsl.keras.GraphRegularization(base, graph_models.config())
    model.compile("sgd", loss="mse")
    model.fit(graph_models.batch(neighbors=1), Y, verbose=0)
    assert set(base.evaluate(X, Y, verbose=0, return_dict=True)) == {"loss", "mae"}


def test_the_states_of_metrics_are_apart() -> None:
    base = adv_models.sequential()
    metric = keras.metrics.MeanAbsoluteError(name="mae")
    model = graph_models.compiled(base, metrics=[metric], run_eagerly=False)
    graph_models.fit(model)
    before = float(metric.result())
    base.evaluate(X, Y + 100.0, verbose=0)
    assert float(metric.result()) == before == pytest.approx(abs((X @ W - Y).item()))


def test_a_random_start_alone_is_a_neighbour() -> None:
    """As in NSL, `pgd_iterations=0` takes no step from it; without it, that is an error."""
    config = adv_models.config(pgd_iterations=0, random_init=True, pgd_epsilon=0.5)
    model = nsl.keras.AdversarialRegularization(adv_models.sequential(), adv_config=config)
    model.compile("sgd", loss="mse")
    found = model.perturb_on_batch({"feature": X, "label": Y})["feature"]
    assert 0 < np.abs(found - X).max() <= 0.5
    with pytest.raises(ValueError, match="pgd_iterations"):
        adv_models.config(pgd_iterations=0)
