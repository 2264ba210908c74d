"""Saving, loading, checkpoints, export and resuming of AdversarialRegularization."""

from pathlib import Path
from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from adv_models import MODELS

from nsl_tools.keras.adversarial_regularization import AdversarialRegularization

pytestmark = pytest.mark.slow  # models are trained, saved and loaded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 2)).astype("float32")
Y = RNG.normal(size=(8, 1)).astype("float32")


def wrapped(base: Any = None, **kwargs: Any) -> Any:
    config = adv_models.config(
        feature_mask=np.array([1.0, 0.5]), clip_value_max=1.0, pgd_iterations=2, random_init=True
    )
    model = AdversarialRegularization(base or adv_models.sequential(), adv_config=config, **kwargs)
    model.compile("adam", loss="MSE", metrics=["mae"], run_eagerly=True)
    return model


def fit(model: Any, epochs: int = 1, **kwargs: Any) -> Any:
    data = {"feature": X, "label": Y}
    return model.fit(data, epochs=epochs, batch_size=4, shuffle=False, verbose=0, **kwargs)


@pytest.mark.parametrize("make", MODELS)
def test_saving_and_loading_the_wrapper_keeps_weights_and_configuration(
    make: Any, tmp_path: Path
) -> None:
    model = wrapped(make(), label_keys=["label"])
    fit(model)
    model.save(tmp_path / "wrapper.keras")
    loaded = keras.saving.load_model(tmp_path / "wrapper.keras")
    np.testing.assert_array_equal(
        loaded.predict({"feature": X}, verbose=0), model.predict({"feature": X}, verbose=0)
    )
    assert type(loaded.base_model) is type(model.base_model)
    assert loaded.label_keys == ("label",)
    _assert_same_config(loaded.adv_config, model.adv_config)


def _assert_same_config(found: Any, expected: Any) -> None:
    assert found.multiplier == expected.multiplier
    for name in ("adv_step_size", "adv_grad_norm", "pgd_iterations", "random_init"):
        mine, theirs = (getattr(config.adv_neighbor_config, name) for config in (found, expected))
        assert mine == theirs
    np.testing.assert_array_equal(
        found.adv_neighbor_config.feature_mask, expected.adv_neighbor_config.feature_mask
    )


@pytest.mark.parametrize("make", MODELS)
def test_saving_and_loading_the_base_model(make: Any, tmp_path: Path) -> None:
    model = wrapped(make())
    fit(model)
    model.base_model.save(tmp_path / "base.keras")
    loaded = keras.saving.load_model(tmp_path / "base.keras")
    features = X if make is not adv_models.functional_dict else {"feature": X}
    np.testing.assert_array_equal(
        loaded.predict(features, verbose=0), model.predict({"feature": X}, verbose=0)
    )


def test_from_config_makes_an_equal_wrapper() -> None:
    model = wrapped(sample_weight_key="weight", base_with_labels_in_features=True, name="mine")
    copy = AdversarialRegularization.from_config(model.get_config())
    assert copy.get_config().keys() == model.get_config().keys()
    assert copy.name == "mine"
    assert copy.sample_weight_key == "weight"
    assert copy.base_with_labels_in_features
    _assert_same_config(copy.adv_config, model.adv_config)
    assert copy.base_model is not model.base_model


def test_resumed_training_equals_uninterrupted_training(tmp_path: Path) -> None:
    """Weights, optimizer, compilation and the random numbers of `random_init` are restored."""
    keras.utils.set_random_seed(1)
    uninterrupted = wrapped()
    expected = fit(uninterrupted, epochs=3).history
    keras.utils.set_random_seed(1)
    first = wrapped()
    fit(first, epochs=1)
    first.save(tmp_path / "half.keras")
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    found = fit(resumed, epochs=3, initial_epoch=1).history
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name][1:], rtol=1e-6)
    for mine, theirs in zip(resumed.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_model_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "best.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    model = wrapped()
    fit(model, callbacks=[checkpoint])
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict({"feature": X}, verbose=0), model.predict({"feature": X}, verbose=0)
    )


def test_weights_alone(tmp_path: Path) -> None:
    model, other = wrapped(), wrapped(adv_models.sequential(np.ones((2, 1))))
    fit(model)
    fit(other)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_the_wrapper_adds_no_trainable_weights() -> None:
    model = wrapped()
    assert [w.path for w in model.trainable_weights] == [
        w.path for w in model.base_model.trainable_weights
    ]


def test_export_serves_the_base_model_without_labels(tmp_path: Path) -> None:
    model = wrapped()
    fit(model)
    model.export(tmp_path / "exported", verbose=False)
    artifact = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(artifact.serve(X), model.base_model(X), rtol=1e-6)


def test_a_wrapper_that_was_never_compiled_or_called(tmp_path: Path) -> None:
    model = AdversarialRegularization(adv_models.sequential(), adv_models.config())
    model.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded(X), model(X))


def test_mixed_precision_is_restored(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        base = adv_models.sequential()
    finally:
        keras.config.set_dtype_policy("float32")
    model = wrapped(base)
    fit(model)
    model.save(tmp_path / "mixed.keras")
    loaded = keras.saving.load_model(tmp_path / "mixed.keras")
    assert loaded.dtype_policy.name == "mixed_float16"
    assert float(loaded.optimizer.dynamic_scale) == float(model.optimizer.dynamic_scale)
    fit(loaded)


def test_names_and_values_of_metrics_are_restored(tmp_path: Path) -> None:
    """Names are made unique once, not again for each load."""
    model = wrapped()
    model.compile("sgd", loss="MSE", metrics=["MSE", "mae", keras.metrics.MeanSquaredError()])
    expected = model.evaluate(X, Y, verbose=0, return_dict=True)
    model.save(tmp_path / "metrics.keras")
    loaded = keras.saving.load_model(tmp_path / "metrics.keras")
    assert loaded.evaluate(X, Y, verbose=0, return_dict=True).keys() == expected.keys()
