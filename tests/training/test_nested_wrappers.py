"""One wrapper around the other: the loss has both terms, and nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import adv_models
import graph_models
import keras
import numpy as np
import pytest
from adv_models import LEARNING_RATE, STEP, W, X, Y
from graph_models import FIRST_DISTANCE

import nsl_tools as nsl

GRAPH_MULTIPLIER, ADV_MULTIPLIER = 0.5, 0.2


def graph_of(base: Any, **changes: Any) -> Any:
    config = graph_models.config(**{"multiplier": GRAPH_MULTIPLIER, **changes})
    return nsl.keras.GraphRegularization(base, config)


def adv_of(base: Any, **changes: Any) -> Any:
    config = adv_models.config(**{"multiplier": ADV_MULTIPLIER, **changes})
    return nsl.keras.AdversarialRegularization(base, label_keys=["label"], adv_config=config)


def graph_then_adv(base: Any) -> Any:
    """Return what published scripts make: adversarial training of a graph-regularised model."""
    return adv_of(graph_of(base))


def adv_then_graph(base: Any) -> Any:
    return graph_of(adv_of(base))


ORDERS = [graph_then_adv, adv_then_graph]


def compiled(model: Any, **kwargs: Any) -> Any:
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss="mean_squared_error", **kwargs)
    return model


def expected_step() -> tuple[dict[str, float], np.ndarray]:
    """Return the terms, and the weights after a step on their sum, worked out by hand."""
    error = X @ W - Y
    x_adv = X + STEP * np.sign(error * W.T)
    adv_error = x_adv @ W - Y
    moved = X - graph_models.NEIGHBORS[0]
    graph_gradient = 2 * graph_models.WEIGHTS[0] * (moved @ W) * moved.T
    gradient = (
        2 * error * X.T
        + ADV_MULTIPLIER * 2 * adv_error * x_adv.T
        + GRAPH_MULTIPLIER * graph_gradient
    )
    terms = {
        "label": (error**2).item(),
        "scaled_adversarial_loss": ADV_MULTIPLIER * (adv_error**2).item(),
        "scaled_graph_loss": GRAPH_MULTIPLIER * FIRST_DISTANCE,
    }
    return terms, W - LEARNING_RATE * gradient


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("base", adv_models.MODELS)
@pytest.mark.parametrize("in_features", [True, False])
@pytest.mark.parametrize("eager", [True, False])
def test_a_step_follows_the_sum_of_all_terms(
    order: Any, base: Any, in_features: bool, eager: bool
) -> None:
    """With the labels among the features, as in NSL's scripts, or beside them."""
    terms, weights = expected_step()
    model = compiled(order(base()), run_eagerly=eager)
    features = graph_models.batch(neighbors=1)
    data = ({**features, "label": Y},) if in_features else (features, Y)
    history = model.fit(*data, verbose=0).history
    for name in ("scaled_adversarial_loss", "scaled_graph_loss"):
        assert history[name] == [pytest.approx(terms[name], rel=1e-5)]
    assert history["loss"] == [pytest.approx(sum(terms.values()), rel=1e-5)]
    np.testing.assert_allclose(model.trainable_variables[0], weights, rtol=1e-5)


def two_outputs(structure: Any) -> Any:
    """Return a model of which the second output is twice the first."""
    inputs = keras.Input((2,), name="feature")
    outputs = {
        name: keras.layers.Dense(
            1,
            use_bias=False,
            kernel_initializer=keras.initializers.Constant(factor * W),
            name=name,
        )(inputs)
        for name, factor in (("second", 2), ("first", 1))
    }
    return keras.Model(
        inputs, outputs if structure is dict else [outputs["first"], outputs["second"]]
    )


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("structure", [list, dict])
@pytest.mark.parametrize("by_name", [True, False])
def test_several_outputs_are_named_as_the_model_within_names_them(
    order: Any, structure: Any, by_name: bool
) -> None:
    """Labels, losses and metrics are given for each of them, with both wrappers as with one."""
    given: dict[str, Any] = {
        "loss": {"first": "mse", "second": "mae"},
        "metrics": {"first": [], "second": ["mse"]},
    }
    if not by_name and structure is list:
        given = {name: list(value.values()) for name, value in given.items()}
    model = order(two_outputs(structure))
    model.compile(keras.optimizers.SGD(LEARNING_RATE), **given)
    labels = {"first": Y, "second": Y} if by_name or structure is dict else [Y, Y]
    history = model.fit(graph_models.batch(neighbors=1), labels, verbose=0).history
    adversarial, graph = ADV_MULTIPLIER * (1.07**2 + 2.14), GRAPH_MULTIPLIER * 5 * FIRST_DISTANCE
    assert history["scaled_adversarial_loss"] == [pytest.approx(adversarial, rel=1e-5)]
    assert history["scaled_graph_loss"] == [pytest.approx(graph, rel=1e-5)]
    assert history["loss"] == [pytest.approx(3 + adversarial + graph, rel=1e-5)]
    (squared,) = [history[n] for n in ("mean_squared_error_second", "second_mse") if n in history]
    assert squared == [pytest.approx(4)]


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_evaluation_has_the_adversarial_term_and_not_that_of_the_graph(order: Any) -> None:
    """With neighbours or without, alone and while it trains."""
    terms, _ = expected_step()
    model = compiled(order(adv_models.sequential()), metrics=["mae"])
    expected = terms["label"] + terms["scaled_adversarial_loss"]
    for features in (graph_models.batch(neighbors=1), {"feature": X}):
        found = model.evaluate({**features, "label": Y}, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
        assert found["scaled_adversarial_loss"] == pytest.approx(
            terms["scaled_adversarial_loss"], rel=1e-5
        )
        assert "scaled_graph_loss" not in found
        assert any("absolute_error" in name or name == "mae" for name in found)
    listed = model.evaluate({"feature": X, "label": Y}, verbose=0)
    assert len(listed) == len(model.metrics_names)
    batch = {**graph_models.batch(neighbors=1), "label": Y}
    validation = {"feature": X, "label": Y}
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, validation)
    history = model.fit(batch, validation_data=(tensors, Y), verbose=0).history
    assert "scaled_graph_loss" in history
    assert "val_scaled_adversarial_loss" in history
    assert "val_scaled_graph_loss" not in history


@pytest.mark.parametrize("order", ORDERS)
def test_predictions_need_neither_labels_nor_neighbours(order: Any) -> None:
    model = compiled(order(adv_models.functional_dict()))
    np.testing.assert_allclose(model.predict({"feature": X}, verbose=0), X @ W, rtol=1e-6)


def test_neighbours_are_not_moved() -> None:
    """Only what the model within takes is: not what stands for other samples."""
    model = compiled(adv_of(graph_of(adv_models.sequential()), random_init=True, pgd_epsilon=1.0))
    features = graph_models.batch(neighbors=1)
    found = model.perturb_on_batch({**features, "label": Y})
    assert set(found) == {*features, "label"}
    assert not np.array_equal(found["feature"], X)
    for name in features:
        assert name == "feature" or np.allclose(found[name], features[name], rtol=1e-7)


def test_a_multiplier_counts() -> None:
    """The kind of the report: a loss that is the same whatever the multiplier of the graph."""
    losses = []
    for multiplier in (0.01, 1000.0):
        model = compiled(adv_of(graph_of(adv_models.sequential(), multiplier=multiplier)))
        batch = {**graph_models.batch(neighbors=1), "label": Y}
        losses.append(model.fit(batch, verbose=0).history["loss"][0])
    assert losses[1] - losses[0] == pytest.approx((1000 - 0.01) * FIRST_DISTANCE, rel=1e-5)


def test_two_of_a_kind_have_names_of_their_own() -> None:
    inner = graph_of(adv_models.sequential(), multiplier=0.25)
    model = compiled(graph_of(inner))
    history = model.fit(graph_models.batch(neighbors=1), Y, verbose=0).history
    assert history["scaled_graph_loss"] == [pytest.approx(0.25 * FIRST_DISTANCE)]
    assert history["scaled_graph_loss_2"] == [pytest.approx(GRAPH_MULTIPLIER * FIRST_DISTANCE)]
    assert history["loss"] == [pytest.approx(1 + 0.75 * FIRST_DISTANCE)]
    twice = compiled(adv_of(adv_of(adv_models.sequential())))
    history = twice.fit({"feature": X, "label": Y}, verbose=0).history
    assert {"scaled_adversarial_loss", "scaled_adversarial_loss_2"} <= set(history)


@pytest.mark.parametrize("order", ORDERS)
def test_nested_wrappers_are_saved_and_loaded(order: Any, tmp_path: Any) -> None:
    model = compiled(order(adv_models.sequential()))
    batch = {**graph_models.batch(neighbors=1), "label": Y}
    model.fit(batch, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.trainable_variables[0], model.trainable_variables[0])
    assert loaded.fit(batch, verbose=0).history == model.fit(batch, verbose=0).history


class OwnLoss(keras.Model):
    """A model with a loss that nobody else computes."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = adv_models.dense()

    def call(self, inputs: Any) -> Any:
        """Return a linear function of the feature."""
        return self.dense(inputs["feature"] if isinstance(inputs, dict) else inputs)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Add a term."""
        return 100.0 + super().compute_loss(*args, **kwargs)


class OwnStep(OwnLoss):
    """A model that trains in a way of its own."""

    compute_loss = keras.Model.compute_loss

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Train as Keras does."""
        return super().train_step(*args, **kwargs)


class OwnTerm(OwnLoss):
    """A model whose term is one that Keras knows of."""

    compute_loss = keras.Model.compute_loss

    def call(self, inputs: Any) -> Any:
        """Add a term, and return a linear function of the feature."""
        found = super().call(inputs)
        self.add_loss(7.0 + 0.0 * keras.ops.sum(found))
        return found


class MoreGraph(nsl.keras.GraphRegularization):
    """A wrapper with one more term."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Add a term."""
        return 1.0 + super().compute_loss(*args, **kwargs)


@pytest.mark.parametrize("wrap", [graph_of, adv_of, graph_then_adv])
@pytest.mark.parametrize(("base", "method"), [(OwnLoss, "compute_loss"), (OwnStep, "train_step")])
def test_a_loss_that_would_be_left_out_is_refused(wrap: Any, base: Any, method: str) -> None:
    problem = rf"`self.add_loss\(.*Received: a {base.__name__}, which overrides {method}"
    with pytest.raises(ValueError, match=problem):
        wrap(base())


def test_a_wrapper_with_more_terms_is_refused_as_well() -> None:
    more = MoreGraph(adv_models.sequential(), graph_models.config())
    with pytest.raises(ValueError, match="Received: a MoreGraph, which overrides compute_loss"):
        adv_of(more)


def test_a_loss_that_is_added_counts() -> None:
    for model in (graph_of(OwnTerm(), multiplier=0.0), adv_of(OwnTerm(), multiplier=0.0)):
        history = compiled(model).fit({"feature": X}, Y, verbose=0).history
        assert history["loss"] == [pytest.approx(8.0)]
