"""Finite differences, adversarial_loss as a function, precision, compilation, replicas."""

from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from adv_models import LEARNING_RATE, MULTIPLIER, STEP, W, X, Y, one_step
from keras import ops
from replicas import mirrored

from nsl_tools.keras.adversarial_regularization import AdversarialRegularization
from nsl_tools.keras.regularizers import adversarial_loss
from nsl_tools.keras.schedule import MultiplierSchedule

W3 = np.array([[1.0], [-2.0], [3.0]])
EXPECTED_LOSS = one_step(multiplier=1.0).scaled_adversarial


def tensor(values: Any) -> Any:
    return ops.convert_to_tensor(np.asarray(values, dtype="float32"))


def inputs_for(make: Any) -> Any:
    return {"feature": tensor(X)} if make is not adv_models.functional_single else tensor(X)


@pytest.mark.parametrize(
    "make",
    [
        adv_models.sequential,
        adv_models.functional_dict,
        adv_models.functional_single,
        adv_models.Subclassed,
    ],
)
def test_adversarial_loss(make: Any) -> None:
    """NSL's `AdversarialLossTest.test_normal_case`; the subclassed model is not built yet."""
    features = tensor(X) if make is adv_models.sequential else inputs_for(make)
    loss = adversarial_loss(
        features, tensor(Y), make(), keras.losses.MeanSquaredError(), None, adv_models.config()
    )
    assert float(loss) == pytest.approx(EXPECTED_LOSS)


@pytest.mark.parametrize("known", ["predictions", "labeled_loss"])
def test_adversarial_loss_reuses_what_a_tape_watched(known: str) -> None:
    """NSL's `test_given_predictions` and `test_given_labeled_loss`: one call is left."""
    base = adv_models.functional_single()
    calls = []

    def model(x: Any) -> Any:
        calls.append("model")
        return base(x)

    def loss_fn(*args: Any) -> Any:
        calls.append("loss")
        return keras.losses.MeanSquaredError()(*args)

    x, y = tensor(X), tensor(Y)
    with tf.GradientTape() as tape:
        tape.watch(x)
        predictions = base(x)
        labeled = keras.losses.MeanSquaredError()(y, predictions)
    given = {"predictions": predictions} if known == "predictions" else {"labeled_loss": labeled}
    loss = adversarial_loss(
        x, y, model, loss_fn, adv_config=adv_models.config(), gradient_tape=tape, **given
    )
    assert float(loss) == pytest.approx(EXPECTED_LOSS)
    assert calls.count("model") == 1
    assert calls.count("loss") == (2 if known == "predictions" else 1)


def test_adversarial_loss_without_a_record_computes_the_gradient_itself() -> None:
    base = adv_models.functional_single()
    loss = adversarial_loss(
        tensor(X),
        tensor(Y),
        base,
        keras.losses.MeanSquaredError(),
        adv_config=adv_models.config(),
        predictions=base(tensor(X)),
    )
    assert float(loss) == pytest.approx(EXPECTED_LOSS)


def test_adversarial_loss_passes_arguments_to_the_model() -> None:
    """NSL's `test_with_model_kwargs`: a single example is normalised to zero in training."""
    base = keras.Sequential([keras.Input((2,)), adv_models.dense()])
    base.add(keras.layers.BatchNormalization())
    loss = adversarial_loss(
        tensor(X),
        tensor(Y),
        base,
        keras.losses.MeanSquaredError(),
        adv_config=adv_models.config(),
        model_kwargs={"training": True},
    )
    assert float(loss) == pytest.approx(0.0)


def test_adversarial_loss_weighs_examples() -> None:
    loss = adversarial_loss(
        tensor(np.repeat(X, 2, axis=0)),
        tensor(np.repeat(Y, 2, axis=0)),
        adv_models.functional_single(),
        keras.losses.MeanSquaredError(),
        sample_weights=tensor([0.0, 6.0]),
        adv_config=adv_models.config(),
    )
    assert float(loss) == pytest.approx(3 * EXPECTED_LOSS)


def smooth_base() -> Any:
    base = keras.Sequential(
        [
            keras.Input((3,), dtype="float64"),
            keras.layers.Dense(4, activation="tanh", dtype="float64"),
            keras.layers.Dense(3, activation="softmax", dtype="float64"),
        ]
    )
    rng = np.random.default_rng(2)
    base.set_weights([rng.normal(size=w.shape) for w in base.get_weights()])
    return base


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("norm", ["l1", "l2", "infinity"])
def test_the_gradient_of_the_adversarial_loss_agrees_with_finite_differences(
    norm: str, iterations: int
) -> None:
    """At a fixed neighbour, since no gradient flows into the perturbation."""
    base = smooth_base()
    rng = np.random.default_rng(3)
    x = tf.constant(rng.normal(size=(5, 3)))
    y = tf.constant([0, 1, 2, 0, 1])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(dtype="float64")
    config = adv_models.config(
        adv_step_size=0.1, adv_grad_norm=norm, pgd_iterations=iterations, pgd_epsilon=0.15
    )
    found = {}

    def remember(features: Any) -> Any:
        found["x"] = features
        return base(features)

    with tf.GradientTape() as tape:
        loss = adversarial_loss(x, y, remember, loss_fn, adv_config=config)
    gradients = tape.gradient(loss, base.trainable_variables)
    neighbor = tf.constant(found["x"].numpy())  # the last call is on the neighbour
    assert np.abs(neighbor - x).max() > 1e-3
    for variable, gradient in zip(base.trainable_variables, gradients, strict=True):
        direction = rng.normal(size=variable.shape)
        values = variable.numpy()
        difference = 0.0
        for sign in (1, -1):
            variable.assign(values + sign * 1e-5 * direction)
            difference += sign * float(loss_fn(y, base(neighbor))) / 2e-5
        variable.assign(values)
        assert difference == pytest.approx(float((gradient * direction).numpy().sum()), rel=1e-6)


def test_a_small_step_raises_the_loss_as_the_gradient_says() -> None:
    """First order: loss(x + s d) - loss(x) = s |gradient|_2 for each example."""
    base = smooth_base()
    x = tf.constant(np.random.default_rng(4).normal(size=(1, 3)))
    y = tf.constant([1])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(dtype="float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        labeled = loss_fn(y, base(x))
    slope = np.linalg.norm(tape.gradient(labeled, x))
    config = adv_models.config(adv_step_size=1e-6, adv_grad_norm="l2")
    rise = float(adversarial_loss(x, y, base, loss_fn, adv_config=config) - labeled)
    assert rise / 1e-6 == pytest.approx(slope, rel=1e-4)


def compiled(base: Any, config: Any = None, **kwargs: Any) -> Any:
    model = AdversarialRegularization(base, config or adv_models.config())
    # The initial scale of dynamic loss scaling overflows on errors as large as these.
    optimizer = keras.optimizers.SGD(LEARNING_RATE)
    if model.compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=16.0)
    model.compile(optimizer, **{"loss": "mse", "run_eagerly": True, **kwargs})
    return model


@pytest.mark.slow
def test_graph_and_eager_training_agree_with_dropout_and_normalisation() -> None:
    """Eager recomputes the first gradient, a graph reuses the loss: same weights in the end."""
    trained = []
    for eager in (True, False):
        keras.utils.set_random_seed(1)
        base = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(1),
            ]
        )
        config = adv_models.config(pgd_iterations=3, pgd_epsilon=0.02, adv_grad_norm="l2")
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
        compiled(base, config, run_eagerly=eager).fit(x, y, epochs=2, verbose=0, shuffle=False)
        trained.append(base.get_weights())
    for eager, graph in zip(*trained, strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("iterations", [1, 3])
def test_xla(iterations: int) -> None:
    base = adv_models.sequential()
    config = adv_models.config(pgd_iterations=iterations, pgd_epsilon=STEP)
    compiled(base, config, run_eagerly=False, jit_compile=True).fit(X, Y, verbose=0)
    np.testing.assert_allclose(base.get_weights()[0], one_step().weights, rtol=1e-5)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy: str, eager: bool) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        base = adv_models.sequential()
        model = compiled(base, run_eagerly=eager)
    finally:
        keras.config.set_dtype_policy("float32")
    history = model.fit(X, Y, verbose=0).history
    np.testing.assert_allclose(base.get_weights()[0], one_step().weights, rtol=0.02)
    assert history["scaled_adversarial_loss"][0] == pytest.approx(
        one_step().scaled_adversarial, rel=0.1
    )


def test_float16_finds_the_direction_of_gradients_below_its_range() -> None:
    """The mean over 4096 examples divides each gradient by as much: 2e-9 is zero in float16."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        base = adv_models.sequential(W * 1e-3)
        model = compiled(base)
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = np.repeat(X, 4096, axis=0), np.repeat(Y, 4096, axis=0)
    moved = model.perturb_on_batch(x, y)
    np.testing.assert_allclose(moved - x, STEP * np.sign(-W.T) * np.ones_like(x), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("replicas", [1, 2])
def test_mirrored_strategy_takes_the_same_step(replicas: int, iterations: int) -> None:
    """The mean over two replicas with the same example is the step of one."""
    config = adv_models.config(pgd_iterations=iterations, pgd_epsilon=STEP)
    with mirrored(replicas).scope():
        base = adv_models.sequential()
        model = compiled(base, config, run_eagerly=False, metrics=["mae"])
    x, y = np.repeat(X, replicas, axis=0), np.repeat(Y, replicas, axis=0)
    history = model.fit(x, y, batch_size=replicas, verbose=0).history
    np.testing.assert_allclose(base.get_weights()[0], one_step().weights, rtol=1e-5)
    assert history["scaled_adversarial_loss"] == pytest.approx([one_step().scaled_adversarial])
    assert history["mean_squared_error"] == pytest.approx([one_step().labeled])


def test_the_multiplier_starts_at_an_epoch_and_follows_a_schedule() -> None:
    model = compiled(adv_models.sequential())
    model.optimizer.learning_rate = 0.0
    schedule = MultiplierSchedule(lambda epoch: 0.5**epoch, start_epoch=1)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule]).history
    full = one_step().scaled_adversarial
    assert history["scaled_adversarial_loss"] == pytest.approx([0.0, full, full / 2])
    assert model.configured_multiplier == MULTIPLIER


def test_several_steps_per_execution() -> None:
    base = adv_models.sequential()
    model = compiled(base, run_eagerly=False, steps_per_execution=2)
    model.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_allclose(base.get_weights()[0], one_step().weights, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 2])
def test_recurrent_models_with_masks_train_alike_in_graphs_and_eagerly(iterations: int) -> None:
    x = np.random.default_rng(0).normal(size=(6, 5, 2)).astype("float32")
    x[:3, 3:] = 0.0
    trained = []
    for eager in (True, False):
        keras.utils.set_random_seed(0)
        base = keras.Sequential(
            [
                keras.Input((5, 2)),
                keras.layers.Masking(),
                keras.layers.LSTM(3),
                adv_models.dense(W3),
            ]
        )
        config = adv_models.config(adv_grad_norm="l2", pgd_iterations=iterations)
        compiled(base, config, run_eagerly=eager).fit(x, np.ones((6, 1)), verbose=0, shuffle=False)
        trained.append(base.get_weights())
    for eager, graph in zip(*trained, strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["xla", "replicas"])
def test_random_starts_compile_and_differ_from_step_to_step(how: str) -> None:
    """Without a gradient, the random start alone decides the loss on the neighbour."""
    config = adv_models.config(adv_step_size=0.5, random_init=True, feature_mask=0.0)
    with mirrored(2 if how == "replicas" else 1).scope():
        base = adv_models.sequential()
        model = compiled(base, config, run_eagerly=False, jit_compile=how == "xla")
    model.optimizer.learning_rate = 0.0
    x, y = np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0)
    history = model.fit(x, y, epochs=3, verbose=0).history["scaled_adversarial_loss"]
    assert len(set(history)) == 3
