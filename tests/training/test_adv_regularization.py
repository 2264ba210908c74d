"""AdversarialRegularization: one training step by hand, on every kind of base model."""

from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from adv_models import LEARNING_RATE, MODELS, STEP, W, X, Y, one_step

from nsl_tools.keras.adversarial_regularization import AdversarialRegularization

XY = {"feature": X, "label": Y}


def wrapped(base: Any, *args: Any, compiled: Any = None, **kwargs: Any) -> Any:
    model = AdversarialRegularization(base, *args, **{"adv_config": adv_models.config(), **kwargs})
    settings = {"loss": "MSE", "run_eagerly": True, **(compiled or {})}
    model.compile(keras.optimizers.SGD(LEARNING_RATE), **settings)
    return model


def step(model: Any, *data: Any, **kwargs: Any) -> Any:
    return model.fit(*data, batch_size=1, verbose=0, **kwargs).history


def kernel(model: Any) -> Any:
    return model.get_weights()[0]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_one_step_of_fgsm_on_every_kind_of_base_model(make: Any, eager: bool) -> None:
    """NSL's `test_train_fgsm`: labels in the dictionary."""
    base = make()
    history = step(wrapped(base, compiled={"run_eagerly": eager}), XY)
    expected = one_step()
    np.testing.assert_allclose(kernel(base), expected.weights, rtol=1e-5)
    assert history["mean_squared_error"] == pytest.approx([expected.labeled])
    assert history["scaled_adversarial_loss"] == pytest.approx([expected.scaled_adversarial])
    assert history["loss"] == pytest.approx([expected.labeled + expected.scaled_adversarial])


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("features", [X, {"feature": X}], ids=["array", "dict"])
def test_labels_may_come_as_y(make: Any, features: Any) -> None:
    if make is adv_models.functional_list and not isinstance(features, dict):
        features = [features]
    base = make()
    step(wrapped(base), features, Y)
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


@pytest.mark.parametrize("make", MODELS)
def test_one_step_of_pgd(make: Any) -> None:
    """NSL's `test_train_pgd`: the direction stays, so that the radius is reached."""
    base = make()
    config = adv_models.config(pgd_iterations=3, pgd_epsilon=2.5 * STEP)
    step(wrapped(base, adv_config=config), XY)
    np.testing.assert_allclose(kernel(base), one_step(moved=2.5 * STEP).weights, rtol=1e-5)


@pytest.mark.parametrize("batches", ["dict", "pair", "triple"])
def test_datasets(batches: str) -> None:
    data = {"dict": XY, "pair": (X, Y), "triple": ({"feature": X}, Y, np.array([1.0]))}[batches]
    base = adv_models.functional_dict()
    wrapped(base).fit(tf.data.Dataset.from_tensor_slices(data).batch(1), shuffle=False, verbose=0)
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


def test_generators() -> None:
    base = adv_models.sequential()
    wrapped(base).fit((batch for batch in [(XY,)]), steps_per_epoch=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


@pytest.mark.parametrize("name", ["a_feature", "the_feature"])
def test_inputs_are_routed_by_name_whatever_their_order(name: str) -> None:
    base = adv_models.functional_dict(name=name)
    step(wrapped(base), {name: X, "label": Y})
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_sample_weights_in_the_dictionary_weigh_both_terms(shape: Any) -> None:
    """NSL's `test_train_fgsm_with_sample_weights`, and weights of rank one."""
    base = adv_models.sequential()
    history = step(wrapped(base, sample_weight_key="weight"), {**XY, "weight": np.full(shape, 2.0)})
    np.testing.assert_allclose(kernel(base), one_step(2.0).weights, rtol=1e-5)
    assert history["scaled_adversarial_loss"] == pytest.approx([one_step(2.0).scaled_adversarial])


def test_sample_weights_as_argument_weigh_both_terms() -> None:
    base = adv_models.sequential()
    step(wrapped(base), X, Y, sample_weight=np.array([2.0]))
    np.testing.assert_allclose(kernel(base), one_step(2.0).weights, rtol=1e-5)


def test_sample_weights_weigh_examples_not_pairs_of_examples() -> None:
    """NSL 1.4 multiplies weights [B] by ones [B, 1], which gives [B, B]."""
    x, y = np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0)
    model = wrapped(adv_models.sequential())
    result = model.evaluate(x, y, sample_weight=np.array([0.0, 1.0, 5.0]), verbose=0)
    assert result[-1] == pytest.approx(one_step(2.0).scaled_adversarial)


@pytest.mark.parametrize(
    "loss", ["MSE", "mse", keras.losses.MeanSquaredError(), keras.losses.mean_squared_error]
)
def test_losses_of_every_form(loss: Any) -> None:
    base = adv_models.sequential()
    for spec in (loss, [loss]):
        model = wrapped(base, compiled={"loss": spec})
        assert model.evaluate(XY, verbose=0, return_dict=True)[
            "mean_squared_error"
        ] == pytest.approx(1.0)


def test_reduction_of_the_loss_is_kept() -> None:
    x, y = np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0)
    total = keras.losses.MeanSquaredError(reduction="sum")
    model = wrapped(adv_models.sequential(), compiled={"loss": total})
    results = model.evaluate(x, y, batch_size=3, verbose=0, return_dict=True)
    assert results["scaled_adversarial_loss"] == pytest.approx(3 * one_step().scaled_adversarial)


def test_metrics_have_nsls_names() -> None:
    compiled = {"loss": ["MSE"], "metrics": [["mae", "MSE", keras.metrics.MeanAbsoluteError()]]}
    history = step(wrapped(adv_models.sequential(), compiled=compiled), XY)
    assert history["mean_absolute_error"] == pytest.approx([1.0])
    assert history["mean_absolute_error_2"] == pytest.approx([1.0])
    assert history["mean_squared_error"] == history["mean_squared_error_2"]


@pytest.mark.parametrize(
    ("loss", "y", "prefix"),
    [
        ("squared_hinge", [[0.0, 1.0, 1.0]], "binary"),
        (keras.losses.BinaryCrossentropy(), [[0.0, 1.0, 1.0]], "binary"),
        ("categorical_crossentropy", [[0.0, 1.0, 0.0]], "categorical"),
        ("sparse_categorical_crossentropy", [[1]], "sparse_categorical"),
    ],
)
def test_accuracy_and_crossentropy_resolve_from_the_loss(loss: Any, y: Any, prefix: str) -> None:
    """NSL's `test_evaluate_*_metrics`: the metric that belongs to the loss, by its name."""
    weights = np.array([[4.0, 1.0, -5.0], [-3.0, 1.0, 2.0]])
    base = keras.Sequential(
        [
            keras.Input((2,), name="feature"),
            adv_models.dense(weights),
            keras.layers.Activation("sigmoid" if prefix == "binary" else "softmax"),
        ]
    )
    model = wrapped(base, compiled={"loss": loss, "metrics": ["accuracy", "ce"]})
    values = model.evaluate({"feature": X, "label": np.array(y)}, verbose=0)
    results = dict(zip(model.metrics_names, values, strict=True))
    logits = (X @ weights)[0]
    if prefix == "binary":
        chance = 1 / (1 + np.exp(-logits))
        target = np.array(y[0])
        accuracy = np.mean((chance > 0.5) == (target > 0.5))
        crossentropy = -np.mean(target * np.log(chance) + (1 - target) * np.log(1 - chance))
    else:
        accuracy = 1.0  # logits -1, 5, -4
        crossentropy = np.log(np.exp(logits).sum()) - logits[1]
    assert results[f"{prefix}_accuracy"] == pytest.approx(accuracy)
    assert results[f"{prefix}_crossentropy"] == pytest.approx(crossentropy, rel=1e-4)


def two_outputs(as_dict: bool = False) -> Any:
    inputs = keras.Input((2,), name="feature")
    outputs = [adv_models.dense()(inputs), adv_models.dense(-W)(inputs)]
    if as_dict:
        outputs = {"first": outputs[0], "second": outputs[1]}
    return keras.Model({"feature": inputs}, outputs)


LABELS = {"label1": np.array([[1.0]]), "label2": np.array([[-3.0]])}


@pytest.mark.parametrize("keys", [("label1", "label2"), ("label2", "label1")])
@pytest.mark.parametrize("as_dict", [False, True])
def test_label_keys_correspond_to_the_outputs(keys: tuple[str, str], as_dict: bool) -> None:
    """The outputs are -1 and 1; NSL names the metrics by label."""
    model = wrapped(
        two_outputs(as_dict),
        keys,
        compiled={"metrics": [keras.metrics.MeanAbsoluteError()], "loss_weights": [1.0, 0.0]},
    )
    history = step(model, {"feature": X, **LABELS})
    errors = [abs(y_hat - LABELS[key].item()) for y_hat, key in zip((-1, 1), keys, strict=True)]
    for key, error in zip(keys, errors, strict=True):
        assert history[f"mean_absolute_error_{key}"] == pytest.approx([error])
        assert history[f"mean_squared_error_{key}"] == pytest.approx([error**2])
    labeled = history["loss"][0] - history["scaled_adversarial_loss"][0]
    assert labeled == pytest.approx(errors[0] ** 2)


def test_labels_named_like_dictionary_outputs_are_matched_by_name() -> None:
    model = wrapped(two_outputs(as_dict=True), ("second", "first"))
    data = {"feature": X, "first": np.array([[1.0]]), "second": np.array([[5.0]])}
    results = model.evaluate(data, verbose=0, return_dict=True)
    assert results["loss"] - results["scaled_adversarial_loss"] == pytest.approx(4.0 + 16.0)


@pytest.mark.parametrize("as_dict", [False, True])
def test_outputs_with_labels_as_y(as_dict: bool) -> None:
    y = [np.array([[1.0]]), np.array([[5.0]])]
    if as_dict:
        y = {"first": y[0], "second": y[1]}
    model = wrapped(two_outputs(as_dict))
    results = model.evaluate(X, y, verbose=0, return_dict=True)
    assert results["loss"] - results["scaled_adversarial_loss"] == pytest.approx(4.0 + 16.0)


@pytest.mark.parametrize("names", [("first", "second"), ("second", "first")])
def test_two_inputs_share_the_l2_norm(names: tuple[str, str]) -> None:
    """NSL's `test_train_with_2_inputs`: |x1 w1 + x2 w2| has the gradients w1 and w2."""
    x1, x2 = np.array([[1.0]]), np.array([[4.0, 5.0]])
    w1, w2 = np.array([[2.0]]), np.array([[3.0], [6.0]])
    inputs = [keras.Input((1,), name=names[0]), keras.Input((2,), name=names[1])]
    layers = [adv_models.dense(w1), adv_models.dense(w2)]
    outputs = keras.layers.Add()(
        [layer(tensor) for layer, tensor in zip(layers, inputs, strict=True)]
    )
    base = keras.Model(inputs, outputs)
    config = adv_models.config(multiplier=1.0, adv_step_size=0.1, adv_grad_norm="l2")
    model = wrapped(base, adv_config=config, compiled={"loss": "MAE"})
    step(model, {names[0]: x1, names[1]: x2, "label": np.array([0.0])})
    norm = np.sqrt((w1**2).sum() + (w2**2).sum())
    for layer, w, x in zip(layers, (w1, w2), (x1, x2), strict=True):
        x_adv = x + 0.1 * w.T / norm
        np.testing.assert_allclose(
            layer.get_weights()[0], w - LEARNING_RATE * (x + x_adv).T, rtol=1e-5
        )


def test_a_sequential_without_input_takes_features_by_position() -> None:
    base = keras.Sequential([keras.layers.Concatenate(), adv_models.dense()])
    step(wrapped(base), {"x1": X[:, :1], "x2": X[:, 1:], "label": Y})
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


def test_a_declared_input_without_a_feature_is_an_error() -> None:
    inputs = [keras.Input((1,), name="x1"), keras.Input((1,), name="x2")]
    base = keras.Model(inputs, keras.layers.Add()(inputs))
    with pytest.raises(ValueError, match=r"the inputs \['x1', 'x2'\].*without \['x2'\]"):
        wrapped(base).evaluate({"x1": Y, "x3": Y, "label": Y}, verbose=0)


@pytest.mark.parametrize("keep", [True, False])
def test_a_subclassed_base_gets_labels_only_when_asked_for(keep: bool) -> None:
    base = adv_models.Subclassed()
    model = wrapped(base, base_with_labels_in_features=keep)
    step(model, XY)
    assert ("label" in base.seen) is keep
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        (adv_models.config(),),
        (["label"], None, adv_models.config()),
        ("label", None, adv_models.config()),
    ],
)
def test_the_second_argument_is_the_configuration_or_the_label_keys(given: Any) -> None:
    model = AdversarialRegularization(adv_models.sequential(), *given)
    assert model.label_keys == ("label",)
    assert model.adv_config == adv_models.config()


@pytest.mark.parametrize("make", MODELS)
def test_predicting_needs_no_labels(make: Any) -> None:
    model = wrapped(make())
    for features in ({"feature": X}, XY):
        np.testing.assert_allclose(model.predict(features, verbose=0), [[-1.0]])


def test_evaluation_has_both_terms() -> None:
    """As NSL's: the history of validation has the adversarial loss too."""
    model = wrapped(adv_models.sequential())
    results = model.evaluate(XY, verbose=0, return_dict=True)
    assert results["scaled_adversarial_loss"] == pytest.approx(one_step().scaled_adversarial)
    history = step(model, X, Y, validation_data=(X, Y))
    assert history["val_scaled_adversarial_loss"][0] < history["scaled_adversarial_loss"][0]


def test_missing_labels_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"Expected the labels \['label'\].*nor `y`"):
        wrapped(adv_models.sequential()).evaluate({"feature": X}, verbose=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": None}, "`loss`"),
        ({"loss": ["mse", "mse"]}, "`loss`. Expected 1 entries"),
        ({"loss": {"other": "mse"}}, "`loss`. Expected an entry for each"),
        ({"metrics": [["mse"], ["mse"]]}, "`metrics`. Expected 1 entries"),
    ],
)
def test_what_does_not_fit_the_outputs_is_an_error(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrapped(adv_models.sequential(), compiled=settings)


def test_one_label_for_two_outputs_is_an_error() -> None:
    with pytest.raises(ValueError, match="label_keys"):
        wrapped(two_outputs()).evaluate(XY, verbose=0)


@pytest.mark.parametrize("make", MODELS)
def test_perturb_on_batch(make: Any) -> None:
    """NSL's `test_perturb_on_batch`: sign of the gradient, labels put back."""
    model = wrapped(make())
    moved = model.perturb_on_batch(XY)
    np.testing.assert_allclose(moved["feature"], X + STEP * np.sign((X @ W - Y) * W.T), rtol=1e-6)
    np.testing.assert_array_equal(moved["label"], Y)
    assert isinstance(moved["feature"], np.ndarray)


def test_perturb_on_batch_with_labels_as_y() -> None:
    moved = wrapped(adv_models.sequential()).perturb_on_batch(X, Y)
    np.testing.assert_allclose(moved, X + STEP * np.sign((X @ W - Y) * W.T), rtol=1e-6)


@pytest.mark.slow
def test_perturb_can_be_compiled() -> None:
    model = wrapped(adv_models.sequential())
    pgd = {"pgd_iterations": 5, "pgd_epsilon": 0.045}
    attack = tf.function(lambda x, y: model.perturb(x, y, **pgd))
    moved = attack(tf.constant(X, "float32"), tf.constant(Y, "float32"))
    np.testing.assert_allclose(moved, X + 0.045 * np.sign((X @ W - Y) * W.T), rtol=1e-6)


def test_perturb_on_batch_accepts_overrides() -> None:
    """NSL's `test_perturb_on_batch_custom_config` and `_pgd`; `None` overrides nothing."""
    model = wrapped(adv_models.sequential())
    direction = np.sign((X @ W - Y) * W.T)
    moved = model.perturb_on_batch(XY, adv_step_size=0.2, pgd_epsilon=None)["feature"]
    np.testing.assert_allclose(moved, X + 0.2 * direction, rtol=1e-6)
    moved = model.perturb_on_batch(XY, pgd_iterations=5, pgd_epsilon=0.045)["feature"]
    np.testing.assert_allclose(moved, X + 0.045 * direction, rtol=1e-6)


def test_perturb_on_batch_runs_in_inference_mode() -> None:
    """Dropout of everything would leave no gradient; normalisation keeps its averages."""
    base = keras.Sequential(
        [
            keras.Input((2,), name="feature"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.99),
            adv_models.dense(),
        ]
    )
    model = wrapped(base)
    before = base.get_weights()
    moved = model.perturb_on_batch(XY)
    assert (moved["feature"] != X).all()
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_search_leaves_moving_averages_alone() -> None:
    """Two passes in training mode, on the example and its neighbour, whatever the search."""
    averages = []
    for iterations in (1, 5):
        base = keras.Sequential(
            [keras.Input((2,), name="feature"), keras.layers.BatchNormalization(momentum=0.5)]
        )
        config = adv_models.config(adv_step_size=1e-9, pgd_iterations=iterations)
        step(wrapped(base, adv_config=config), XY)
        averages.append(base.layers[0].moving_mean.numpy())
    np.testing.assert_allclose(averages[0], 0.75 * X[0])
    np.testing.assert_allclose(averages[1], averages[0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("kernel_regularizer", 0.1 * 25), ("activity_regularizer", 0.1)],  # |w|^2, and y_hat^2
)
def test_losses_of_layers_count_once_in_each_step(kind: str, expected: float) -> None:
    layer = keras.layers.Dense(
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(W),
        **{kind: keras.regularizers.L2(0.1)},
    )
    model = wrapped(keras.Sequential([keras.Input((2,), name="feature"), layer]))
    model.optimizer.learning_rate = 0.0
    losses = step(model, XY, epochs=2)["loss"]
    total = one_step().labeled + one_step().scaled_adversarial + expected
    assert losses == pytest.approx([total, total])


def test_an_untrained_multiplier_of_zero_is_the_plain_model() -> None:
    base = adv_models.sequential()
    step(wrapped(base, adv_config=adv_models.config(multiplier=0.0)), XY)
    np.testing.assert_allclose(kernel(base), one_step(multiplier=0.0).weights, rtol=1e-5)


def test_string_features_stay_beside_the_moved_ones() -> None:
    class Base(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = adv_models.dense()

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs["feature"])

    base = Base()
    data = {"feature": X.astype("float32"), "name": np.array([[b"a"]]), "label": Y}
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(1)
    wrapped(base).fit(dataset, shuffle=False, verbose=0)
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


def test_features_of_which_none_can_move_are_an_error() -> None:
    """NSL 1.4 trains on, with neighbours equal to the examples."""
    with pytest.raises(ValueError, match=r"dense float feature.*cast images to float.*int32"):
        wrapped(adv_models.sequential()).evaluate(X.astype("int32"), Y, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("model",), "base_model"),
        ((None, adv_models.config().adv_neighbor_config), "label_keys"),
        ((None, ["label"], adv_models.config()), "sample_weight_key"),
        ((None, ["label"], None, adv_models.config().adv_neighbor_config), "adv_config"),
    ],
)
def test_arguments_of_the_wrong_type_are_an_error(arguments: Any, name: str) -> None:
    base = arguments[0] or adv_models.sequential()
    with pytest.raises(TypeError, match=f"Invalid value for argument `{name}`"):
        AdversarialRegularization(base, *arguments[1:])


def test_weighted_metrics_use_the_weights_in_the_dictionary() -> None:
    model = wrapped(
        adv_models.sequential(),
        sample_weight_key="weight",
        compiled={"weighted_metrics": ["mae"], "metrics": ["mae"]},
    )
    data = {"feature": np.array([[2.0, 3.0], [2.0, 2.0]]), "label": np.zeros((2, 1))}
    weights = {"weight": np.array([3.0, 1.0])}  # errors 1 and 2
    results = model.evaluate({**data, **weights}, verbose=0, return_dict=True)
    assert results["mean_absolute_error"] == pytest.approx(1.5)
    assert results["mean_absolute_error_2"] == pytest.approx(5 / 4)


def test_losses_and_metrics_by_name_of_the_output() -> None:
    base = two_outputs()
    first, second = base.output_names
    compiled = {
        "loss": {second: "mae", first: "mse"},
        "loss_weights": {second: 2.0, first: 1.0},
        "metrics": {second: ["mae"]},
    }
    model = wrapped(base, ("label1", "label2"), compiled=compiled)
    results = model.evaluate({"feature": X, **LABELS}, verbose=0, return_dict=True)
    assert results["mean_squared_error_label1"] == pytest.approx(4.0)  # (-1 - 1)^2
    assert results["mean_absolute_error_label2"] == pytest.approx(4.0)  # |1 + 3|
    assert results["mean_absolute_error_label2_2"] == pytest.approx(4.0)
    assert results["loss"] - results["scaled_adversarial_loss"] == pytest.approx(12.0)


def test_nested_features() -> None:
    class Base(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = adv_models.dense()

        def call(self, inputs: Any) -> Any:
            halves = [inputs["pair"]["left"], inputs["pair"]["right"]]
            return self.dense(keras.ops.concatenate(halves, axis=-1))

    base = Base()
    data = {"pair": {"left": X[:, :1], "right": X[:, 1:]}, "label": Y}
    wrapped(base).fit(data, verbose=0)
    np.testing.assert_allclose(kernel(base), one_step().weights, rtol=1e-5)


def test_sparse_features_stay_tensors_in_perturb_on_batch() -> None:
    class Base(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs["dense"] + tf.sparse.reduce_sum(inputs["sparse"], axis=1, keepdims=True)

    sparse = tf.sparse.from_dense([[1.0, 2.0]])
    data = {"dense": np.array([[1.0]]), "sparse": sparse, "label": np.array([[0.0]])}
    moved = wrapped(Base()).perturb_on_batch(data)
    np.testing.assert_allclose(moved["dense"], [[1 + STEP]], rtol=1e-6)
    assert isinstance(moved["sparse"], tf.SparseTensor)
