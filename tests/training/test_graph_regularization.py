"""GraphRegularization: one training step by hand, on every kind of base model and data."""

from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from adv_models import MODELS
from graph_models import (
    FIRST_DISTANCE,
    LABELED_LOSS,
    SECOND_DISTANCE,
    WEIGHTS,
    X,
    Y,
    batch,
    compiled,
    fit,
    weights_after,
)

import nsl_tools as nsl

approx = pytest.approx
TERM = "scaled_graph_loss"
PLAIN = {"feature": X}


def kernel(model: Any) -> Any:
    return model.base_model.get_weights()[0]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_one_step_with_one_neighbor(make: Any, eager: bool) -> None:
    """NSL's `test_graph_reg_model_one_neighbor_training`, with a weight of 0.9."""
    model = compiled(make(), run_eagerly=eager)
    history = fit(model)
    assert history["loss"] == [approx(LABELED_LOSS + FIRST_DISTANCE)]
    assert history[TERM] == [approx(FIRST_DISTANCE)]
    np.testing.assert_allclose(kernel(model), weights_after(), rtol=1e-6)


@pytest.mark.parametrize("make", MODELS)
def test_one_step_with_two_neighbors(make: Any) -> None:
    """NSL's `test_graph_reg_model_two_neighbors_training`: the mean over two non-zero weights."""
    model = compiled(make(), {"max_neighbors": 2, "multiplier": 0.5})
    history = fit(model)
    assert history[TERM] == [approx(0.5 * (FIRST_DISTANCE + SECOND_DISTANCE) / 2)]
    np.testing.assert_allclose(kernel(model), weights_after((0, 1), multiplier=0.5), rtol=1e-6)


def test_padding_with_weight_zero_changes_nothing() -> None:
    padding = {"NL_nbr_1_feature": np.zeros((1, 2)), "NL_nbr_1_weight": np.zeros((1, 1))}
    model = compiled(None, {"max_neighbors": 2})
    assert fit(model, {**batch(), **padding}, Y)[TERM] == [approx(FIRST_DISTANCE)]
    np.testing.assert_allclose(kernel(model), weights_after(), rtol=1e-6)


def test_no_weight_at_all_leaves_the_loss_on_the_labels() -> None:
    history = fit(compiled(), {**batch(), "NL_nbr_0_weight": np.zeros((1, 1))}, Y)
    assert history[TERM] == [0.0]
    assert history["loss"] == [approx(LABELED_LOSS)]


@pytest.mark.parametrize("changes", [{"max_neighbors": 0}, {"multiplier": 0}])
def test_without_neighbors_or_multiplier_training_is_plain(changes: Any) -> None:
    """NSL has the metric then too. Neighbours need not be there."""
    model = compiled(None, changes)
    history = fit(model, PLAIN, Y)
    assert history[TERM] == [0.0]
    assert history["loss"] == [approx(LABELED_LOSS)]
    np.testing.assert_allclose(kernel(model), weights_after(()), rtol=1e-6)


def test_the_default_configuration_is_nsls() -> None:
    model = nsl.keras.GraphRegularization(adv_models.sequential())
    assert model.name == "GraphRegularization"
    assert model.graph_reg_config == nsl.configs.GraphRegConfig()
    assert model.configured_multiplier == 0.01
    assert not model.deterministic


@pytest.mark.parametrize("make", MODELS)
def test_evaluation_and_prediction_need_no_neighbors(make: Any) -> None:
    model = compiled(make())
    assert model.evaluate(PLAIN, Y, verbose=0, return_dict=True) == {"loss": 1.0, "mae": 1.0}
    assert model.evaluate(batch(), Y, verbose=0) == [1.0, 1.0]
    np.testing.assert_allclose(model.predict(PLAIN, verbose=0), [[-1.0]])
    np.testing.assert_allclose(model.predict(batch(), verbose=0), [[-1.0]])
    np.testing.assert_allclose(model.predict_on_batch(PLAIN), [[-1.0]])


def test_the_history_has_the_term_and_validation_has_not() -> None:
    """Epoch after epoch, whichever of both functions was compiled last."""
    model = compiled(run_eagerly=False)
    history = fit(model, epochs=3, validation_data=(PLAIN, Y))
    assert set(history) == {"loss", "mae", TERM, "val_loss", "val_mae"}
    labeled = np.subtract(history["loss"], history[TERM])
    # The loss after an epoch is the loss on the labels before the next.
    np.testing.assert_allclose(history["val_loss"][:2], labeled[1:], rtol=1e-5)


def test_metrics_names_are_those_of_what_evaluate_returns() -> None:
    """As in `dict(zip(model.metrics_names, model.evaluate(...)))` of NSL's tutorials."""
    model = compiled()
    assert fit(model)[TERM]
    results = dict(zip(model.metrics_names, model.evaluate(PLAIN, Y, verbose=0), strict=True))
    assert results == model.evaluate(PLAIN, Y, verbose=0, return_dict=True)
    assert list(results) == ["loss", "mae"]


def test_single_batches() -> None:
    model = compiled()
    assert model.test_on_batch(PLAIN, Y, return_dict=True) == {"loss": 1.0, "mae": 1.0}
    found = model.train_on_batch(batch(), Y, return_dict=True)
    assert found[TERM] == approx(FIRST_DISTANCE)


def test_the_term_of_an_epoch_is_the_mean_over_its_examples() -> None:
    """As the loss: batches of three and one examples count three and one times."""
    features = {name: np.repeat(value, 4, axis=0) for name, value in batch().items()}
    features["NL_nbr_0_weight"] = np.array([[1.0], [1.0], [1.0], [0.0]])
    model = compiled(optimizer=keras.optimizers.SGD(0.0))
    history = fit(model, features, np.zeros((4, 1)), batch_size=3, shuffle=False)
    assert history[TERM] == [approx(3 / 4 * 4.0)]
    assert history["loss"] == [approx(LABELED_LOSS + 3 / 4 * 4.0)]


def datasets() -> dict[str, Any]:
    triple = (batch(), Y, np.array([1.0]))
    return {
        "pair": tf.data.Dataset.from_tensors(triple[:2]),
        "triple": tf.data.Dataset.from_tensors(triple),
        "generator": (each for each in [triple]),
    }


@pytest.mark.parametrize("kind", ["pair", "triple", "generator"])
def test_datasets_and_generators(kind: str) -> None:
    model = compiled()
    fit(model, datasets()[kind], steps_per_epoch=1, shuffle=False)
    np.testing.assert_allclose(kernel(model), weights_after(), rtol=1e-6)


def test_sample_weights_do_not_touch_the_graph_term() -> None:
    """A weight of 0 is how an unlabeled sample trains on its neighbours alone."""
    model = compiled()
    history = fit(model, batch(), Y, sample_weight=np.array([0.0]))
    assert history[TERM] == [approx(FIRST_DISTANCE)]
    assert history["loss"] == [approx(FIRST_DISTANCE)]
    labeled_step = weights_after(()) - adv_models.W
    np.testing.assert_allclose(kernel(model), weights_after() - labeled_step, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", ["MSE", keras.losses.MeanSquaredError(), keras.losses.mean_squared_error]
)
@pytest.mark.parametrize("listed", [True, False])
def test_losses_of_every_form(loss: Any, listed: bool) -> None:
    model = compiled(loss=[loss] if listed else loss)
    assert fit(model)["loss"] == [approx(LABELED_LOSS + FIRST_DISTANCE)]
    np.testing.assert_allclose(kernel(model), weights_after(), rtol=1e-6)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [("l1", 0.9 * 2), ("l2", 0.9 * 4), ("cosine", 0.9 * 2), ("l2-sum", 0.9 * 4)],
)
def test_distances_between_outputs(distance: str, expected: float) -> None:
    """Of outputs -1 and 1; `tests/training/test_distances.py` has the rest."""
    name, _, reduction = distance.partition("-")
    changes = {"distance_type": name, "sum_over_axis": -1 if name == "cosine" else None}
    if reduction:
        changes["reduction"] = "weighted_sum"
    assert fit(compiled(None, changes))[TERM] == [approx(expected)]


def test_divergence_between_probabilities() -> None:
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    changes = {"distance_type": "kl_divergence", "sum_over_axis": -1, "transform_fn": "softmax"}
    model = compiled(adv_models.sequential(weights), changes, run_eagerly=False)
    # Logits (2, 3) and (2.5, 3).
    p, q = (np.exp(v) / np.exp(v).sum() for v in (np.array([2.0, 3.0]), np.array([2.5, 3.0])))
    expected = 0.9 * np.sum(p * np.log(p / q))
    assert fit(model, batch(), np.zeros((1, 2)))[TERM] == [approx(expected, rel=1e-4)]


def test_a_distance_without_reduction_is_refused() -> None:
    config = nsl.configs.make_graph_reg_config(reduction="none")
    with pytest.raises(ValueError, match="Expected a reduction to one number"):
        nsl.keras.GraphRegularization(adv_models.sequential(), config)


@pytest.mark.parametrize("argument", ["base_model", "graph_reg_config"])
def test_arguments_of_a_wrong_type_are_refused(argument: str) -> None:
    given = {"base_model": adv_models.sequential(), argument: "x"}
    with pytest.raises(TypeError, match=f"Invalid value for argument `{argument}`"):
        nsl.keras.GraphRegularization(**given)


def test_training_needs_the_neighbors() -> None:
    with pytest.raises(KeyError, match="NL_nbr_0_feature"):
        fit(compiled(), PLAIN, Y)
    with pytest.raises(TypeError, match="Invalid value for argument `x`"):
        fit(compiled(), X, Y)


def test_the_base_model_sees_only_its_own_features() -> None:
    base = adv_models.Subclassed()
    number = {"NL_num_nbrs": np.array([[1]])}
    fit(compiled(base), {**batch(), **number}, Y)
    assert base.seen == {"feature"}


def test_the_multiplier_can_start_at_an_epoch_and_change() -> None:
    model = compiled(optimizer=keras.optimizers.SGD(0.0))
    schedule = nsl.keras.MultiplierSchedule(lambda epoch: 0.5**epoch, start_epoch=1)
    history = fit(model, epochs=3, callbacks=[schedule])
    assert history[TERM] == [0.0, approx(FIRST_DISTANCE), approx(FIRST_DISTANCE / 2)]


def test_the_base_models_variables_are_shared() -> None:
    base = adv_models.sequential()
    model = compiled(base)
    assert model.trainable_variables == base.trainable_variables
    fit(model)
    np.testing.assert_allclose(base.predict(X, verbose=0), X @ weights_after(), rtol=1e-5)


def test_edge_weights_scale_the_distance() -> None:
    features = {**batch(), "NL_nbr_0_weight": 3 * WEIGHTS[0]}
    assert fit(compiled(), features, Y)[TERM] == [approx(3 * FIRST_DISTANCE)]
