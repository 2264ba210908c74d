"""GraphRegularization on many inputs and outputs, in both modes, on devices and in precisions."""

from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from graph_models import FIRST_DISTANCE, LABELED_LOSS, X, Y, batch, compiled, fit, weights_after
from keras import layers
from replicas import mirrored

import nsl_tools as nsl

pytestmark = pytest.mark.slow  # models of each form are trained

approx = pytest.approx
TERM = "scaled_graph_loss"
RNG = np.random.default_rng(0)


def two_inputs(form: str) -> Any:
    """Return twice the sum of `a`, `[B, 2]`, plus the sum of `b`, `[B, 3]`."""
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    output = layers.Dense(1, use_bias=False, kernel_initializer="ones")(
        layers.Concatenate()([2 * a, b])
    )
    inputs = {"dict": {"b": b, "a": a}, "list": [b, a]}[form]
    return keras.Model(inputs, output)


def packed(size: int = 4, neighbors: int = 2) -> dict[str, Any]:
    """Return samples of two features with as many neighbours, of random weights."""
    features = {"a": RNG.normal(size=(size, 2)), "b": RNG.normal(size=(size, 3))}
    for rank in range(neighbors):
        for name in ("a", "b"):
            features[f"NL_nbr_{rank}_{name}"] = RNG.normal(size=features[name].shape)
        features[f"NL_nbr_{rank}_weight"] = RNG.uniform(size=(size, 1))
    return {name: value.astype("float32") for name, value in features.items()}


def expected_term(features: Any, output: Any, neighbors: int = 2) -> float:
    """Return the mean of weighted squares over all pairs and outputs."""
    own = output(features["a"], features["b"])
    squares = [
        features[f"NL_nbr_{rank}_weight"]
        * (own - output(features[f"NL_nbr_{rank}_a"], features[f"NL_nbr_{rank}_b"])) ** 2
        for rank in range(neighbors)
    ]
    return float(np.mean(squares))


@pytest.mark.parametrize("form", ["dict", "list"])
def test_several_inputs_are_routed_by_name(form: str) -> None:
    features = packed()
    model = compiled(two_inputs(form), {"max_neighbors": 2})
    expected = expected_term(
        features, lambda a, b: 2 * a.sum(1, keepdims=True) + b.sum(1, keepdims=True)
    )
    assert fit(model, features, np.zeros((4, 1)))[TERM] == [approx(expected, rel=1e-5)]
    own = {name: features[name] for name in ("a", "b")}
    assert model.predict(own, verbose=0).shape == (4, 1)


def test_features_that_the_model_does_not_take_need_no_neighbors() -> None:
    """Ids, and features of another model, may be among them."""
    features = {**batch(), "id": np.array([["x"]]), "other": np.zeros((1, 3))}
    for make in (adv_models.functional_dict, adv_models.sequential):
        data = tf.data.Dataset.from_tensors((features, Y))
        assert fit(compiled(make()), data, shuffle=False)[TERM] == [approx(FIRST_DISTANCE)]


@pytest.mark.parametrize("form", ["list", "dict"])
def test_the_distances_of_several_outputs_are_summed(form: str) -> None:
    inputs = keras.Input((2,), name="feature")
    first, second = (
        adv_models.dense(weights)(inputs) for weights in (adv_models.W, 2 * adv_models.W)
    )
    outputs = {"list": [first, second], "dict": {"first": first, "second": second}}[form]
    labels = {"list": [Y, Y], "dict": {"first": Y, "second": Y}}[form]
    loss = {"list": ["mse", "mse"], "dict": {"first": "mse", "second": "mse"}}[form]
    model = compiled(keras.Model(inputs, outputs), loss=loss, metrics=None)
    history = fit(model, batch(), labels)
    assert history[TERM] == [approx(FIRST_DISTANCE * (1 + 4))]
    assert history["loss"] == [approx(LABELED_LOSS * (1 + 4) + history[TERM][0])]


def test_losses_and_metrics_by_name_of_the_output() -> None:
    inputs = keras.Input((2,), name="feature")
    outputs = [layers.Dense(1, name=name)(inputs) for name in ("first", "second")]
    model = compiled(
        keras.Model(inputs, outputs),
        loss={"first": "mse", "second": "mae"},
        metrics={"second": ["mse"]},
    )
    history = fit(model, batch(), [Y, Y])
    assert {"first_loss", "second_loss", "second_mse", TERM} < set(history)


def test_outputs_of_higher_rank() -> None:
    """A weight counts for all of a neighbour's entries."""
    inputs = keras.Input((2,), name="feature")
    double = layers.Dense(2, use_bias=False, kernel_initializer=keras.initializers.Identity(2.0))
    base = keras.Model(inputs, layers.Reshape((2, 1))(double(inputs)))
    expected = 0.9 * np.mean((2 * (X - batch()["NL_nbr_0_feature"])) ** 2)
    assert fit(compiled(base), batch(), np.zeros((1, 2, 1)))[TERM] == [approx(expected)]


def test_integer_features() -> None:
    tokens = keras.Input((3,), name="tokens", dtype="int32")
    table = layers.Embedding(5, 1, embeddings_initializer=_counting)(tokens)
    base = keras.Model(tokens, layers.Flatten()(table))
    features = {
        "tokens": np.array([[0, 1, 2]]),
        "NL_nbr_0_tokens": np.array([[0, 1, 4]]),
        "NL_nbr_0_weight": np.array([[1.0]]),
    }
    assert fit(compiled(base), features, np.zeros((1, 3)))[TERM] == [approx(4 / 3)]


def _counting(shape: Any, dtype: Any = None) -> Any:
    return keras.ops.cast(keras.ops.reshape(keras.ops.arange(shape[0]), shape), dtype)


def test_string_features() -> None:
    """They reach the layer that looks them up."""
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
    words = keras.Input((1,), name="word", dtype="string")
    base = keras.Model(words, layers.Dense(1, kernel_initializer="ones")(lookup(words)))
    features = {"word": [["a"], ["b"]], "NL_nbr_0_word": [["c"], [""]]}
    data = {name: tf.constant(value) for name, value in features.items()}
    weights = {"NL_nbr_0_weight": tf.constant([[1.0], [0.0]])}
    dataset = tf.data.Dataset.from_tensors(({**data, **weights}, tf.zeros((2, 1))))
    model = compiled(base, jit_compile=False, run_eagerly=False)
    # One-hot rows of four, the unknown first: words of another row have the same sum.
    assert fit(model, dataset, shuffle=False)[TERM] == [0.0]


@keras.saving.register_keras_serializable(package="tests")
class Recorder(layers.Layer):
    """Adds 1 in training mode, and remembers the mode and the size of each batch."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.calls: list[Any] = []

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs, and 1 more in training mode."""
        self.calls.append((bool(training), inputs.shape[0]))
        return inputs + 1.0 if training else inputs


@pytest.mark.parametrize("deterministic", [False, True])
def test_modes_of_the_passes(deterministic: bool) -> None:
    """Both sides in training mode, or both in inference mode, which costs a third pass."""
    recorder = Recorder()
    base = keras.Sequential([keras.Input((2,), name="feature"), recorder, adv_models.dense()])
    model = compiled(base, {"max_neighbors": 2}, deterministic=deterministic)
    recorder.calls.clear()
    fit(model)
    inference = [(False, 1), (False, 2)]
    expected = [(True, 1), *(inference if deterministic else [(True, 2)])]
    assert [call for call in recorder.calls if call[1] is not None][-len(expected) :] == expected


def test_dropout_adds_to_the_term_unless_it_is_deterministic() -> None:
    """Between equal samples the distance is 0; dropout makes it noise."""
    features = {"feature": np.ones((64, 8)), "NL_nbr_0_feature": np.ones((64, 8))}
    features["NL_nbr_0_weight"] = np.ones((64, 1))
    base = keras.Sequential(
        [keras.Input((8,), name="feature"), layers.Dropout(0.5, seed=1), layers.Dense(1)]
    )
    terms = [
        fit(compiled(base, deterministic=deterministic), features, np.zeros((64, 1)))[TERM][0]
        for deterministic in (False, True)
    ]
    assert terms[0] > 0.01
    assert terms[1] == 0.0


def test_gradients_of_the_deterministic_term_reach_both_sides() -> None:
    model = compiled(deterministic=True)
    fit(model)
    np.testing.assert_allclose(model.base_model.get_weights()[0], weights_after(), rtol=1e-6)


def test_losses_of_layers_are_counted_once_a_step() -> None:
    base = keras.Sequential(
        [
            keras.Input((2,), name="feature"),
            layers.Dense(
                1,
                use_bias=False,
                kernel_initializer=keras.initializers.Constant(adv_models.W),
                activity_regularizer=lambda y: 3.0 * keras.ops.sum(keras.ops.square(y)),
            ),
        ]
    )
    history = fit(compiled(base, optimizer=keras.optimizers.SGD(0.0)), epochs=3)
    assert history["loss"] == [approx(LABELED_LOSS + 3.0 + FIRST_DISTANCE)] * 3


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_precisions(policy: str) -> None:
    """The term is reckoned in float32 whatever the model computes in."""
    dense = layers.Dense(
        1,
        use_bias=False,
        dtype=policy,
        kernel_initializer=keras.initializers.Constant(adv_models.W),
    )
    base = keras.Sequential([keras.Input((2,), name="feature"), dense], name="base")
    model = nsl.keras.GraphRegularization(
        base, nsl.configs.make_graph_reg_config(max_neighbors=1, multiplier=1.0)
    )
    model.compile(keras.optimizers.SGD(0.01), loss="mse", run_eagerly=False)
    history = fit(model)
    assert history[TERM] == [approx(FIRST_DISTANCE, rel=1e-3)]
    found = model.base_model.get_weights()[0].astype("float64")
    np.testing.assert_allclose(found, weights_after(), rtol=5e-3)


def test_a_global_policy_scales_the_loss() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        base = adv_models.sequential()
        sgd = keras.optimizers.SGD(0.01)
        optimizer = keras.optimizers.LossScaleOptimizer(sgd, initial_scale=8.0)
        model = compiled(base, run_eagerly=False, optimizer=optimizer)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.compute_dtype == "float16"
    fit(model)
    np.testing.assert_allclose(base.get_weights()[0], weights_after(), rtol=1e-3)


@pytest.mark.parametrize("jit", [True, False])
def test_compiled_training(jit: bool) -> None:
    features = packed(8)
    model = compiled(two_inputs("dict"), {"max_neighbors": 2}, run_eagerly=False, jit_compile=jit)
    expected = expected_term(
        features, lambda a, b: 2 * a.sum(1, keepdims=True) + b.sum(1, keepdims=True)
    )
    history = fit(model, features, np.zeros((8, 1)), batch_size=8)
    assert history[TERM] == [approx(expected, rel=1e-4)]


def test_replicas_do_what_one_device_does() -> None:
    """Two replicas of half a batch: gradients, history and evaluation are those of the batch."""
    features, labels = packed(8), RNG.normal(size=(8, 1)).astype("float32")
    own = {name: features[name] for name in ("a", "b")}
    found = []
    for strategy in (None, mirrored(2)):
        with strategy.scope() if strategy else tf.device("CPU:0"):
            model = compiled(
                two_inputs("dict"), {"max_neighbors": 2}, run_eagerly=False, jit_compile=False
            )
        history = fit(model, features, labels, batch_size=8)
        kernel = model.base_model.get_weights()[0]
        found.append((history, kernel, model.evaluate(own, labels, verbose=0, batch_size=8)))
    (history, kernel, result), (other_history, other_kernel, other_result) = found
    assert other_history == {name: approx(value, rel=1e-5) for name, value in history.items()}
    np.testing.assert_allclose(other_kernel, kernel, rtol=1e-5)
    assert other_result == approx(result, rel=1e-5)
