"""Saving, loading, checkpoints, export and resuming of GraphRegularization."""

from pathlib import Path
from typing import Any

import adv_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from adv_models import MODELS

import nsl_tools as nsl

pytestmark = pytest.mark.slow  # models are trained, saved and loaded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 2)).astype("float32")
Y = RNG.normal(size=(8, 1)).astype("float32")
OWN = {"feature": X}
PACKED = {
    **OWN,
    "NL_nbr_0_feature": RNG.normal(size=(8, 2)).astype("float32"),
    "NL_nbr_0_weight": RNG.uniform(size=(8, 1)).astype("float32"),
}


def wrapped(base: Any = None, *, deterministic: bool = False, **kwargs: Any) -> Any:
    config = nsl.configs.make_graph_reg_config(
        max_neighbors=1, multiplier=0.3, distance_type="l1", sum_over_axis=-1
    )
    model = nsl.keras.GraphRegularization(
        base or adv_models.sequential(), config, deterministic=deterministic, **kwargs
    )
    model.compile("adam", loss="MSE", metrics=["mae"], run_eagerly=True)
    return model


def fit(model: Any, epochs: int = 1, **kwargs: Any) -> Any:
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return model.fit(PACKED, Y, epochs=epochs, **settings).history


def predicted(model: Any, features: Any = None) -> Any:
    return model.predict(OWN if features is None else features, verbose=0)


@pytest.mark.parametrize("make", MODELS)
def test_saving_and_loading_the_wrapper(make: Any, tmp_path: Path) -> None:
    model = wrapped(make(), deterministic=True)
    fit(model)
    model.save(tmp_path / "wrapper.keras")
    loaded = keras.saving.load_model(tmp_path / "wrapper.keras")
    np.testing.assert_array_equal(predicted(loaded), predicted(model))
    assert type(loaded.base_model) is type(model.base_model)
    assert loaded.graph_reg_config == model.graph_reg_config
    assert loaded.deterministic
    assert loaded.evaluate(OWN, Y, verbose=0) == model.evaluate(OWN, Y, verbose=0)


@pytest.mark.parametrize("make", MODELS)
def test_saving_and_loading_the_base_model(make: Any, tmp_path: Path) -> None:
    """Whoever loads it needs nothing of this package."""
    model = wrapped(make())
    fit(model)
    model.base_model.save(tmp_path / "base.keras")
    loaded = keras.saving.load_model(tmp_path / "base.keras")
    features = OWN if make is adv_models.functional_dict else X
    np.testing.assert_array_equal(predicted(loaded, features), predicted(model))


def test_from_config_makes_an_equal_wrapper() -> None:
    model = wrapped(deterministic=True, name="mine", dtype="mixed_bfloat16")
    copy = nsl.keras.GraphRegularization.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert (copy.name, copy.deterministic) == ("mine", True)
    assert copy.dtype_policy.name == "mixed_bfloat16"
    assert copy.base_model is not model.base_model


def test_clone_model_makes_a_fresh_wrapper() -> None:
    model = wrapped()
    copy = keras.models.clone_model(model)
    assert copy.graph_reg_config == model.graph_reg_config


@pytest.mark.parametrize("deterministic", [False, True])
def test_resumed_training_equals_uninterrupted_training(
    deterministic: bool, tmp_path: Path
) -> None:
    """Weights, moving averages, optimizer and compilation are restored.

    Keras itself does not save the random state of dropout.
    """

    def base() -> Any:
        keras.utils.set_random_seed(1)
        averages = keras.layers.BatchNormalization(momentum=0.5)
        return keras.Sequential([keras.Input((2,), name="feature"), averages, adv_models.dense()])

    uninterrupted = wrapped(base(), deterministic=deterministic)
    expected = fit(uninterrupted, epochs=3)
    first = wrapped(base(), deterministic=deterministic)
    fit(first)
    first.save(tmp_path / "first.keras")
    resumed = keras.saving.load_model(tmp_path / "first.keras")
    found = fit(resumed, epochs=3, initial_epoch=1)
    assert found == {name: pytest.approx(values[1:]) for name, values in expected.items()}
    np.testing.assert_allclose(predicted(resumed), predicted(uninterrupted), rtol=1e-6)


def test_the_multiplier_of_a_schedule_is_saved(tmp_path: Path) -> None:
    model = wrapped()
    fit(model, epochs=2, callbacks=[nsl.keras.MultiplierSchedule(lambda epoch: 0.5**epoch)])
    model.save(tmp_path / "wrapper.keras")
    loaded = keras.saving.load_model(tmp_path / "wrapper.keras")
    assert float(loaded.multiplier) == pytest.approx(0.15)
    assert loaded.configured_multiplier == 0.3


def test_model_checkpoint_keeps_the_best_by_validation(tmp_path: Path) -> None:
    path = str(tmp_path / "best.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True)
    model = wrapped()
    fit(model, epochs=2, callbacks=[checkpoint], validation_data=(OWN, Y))
    np.testing.assert_array_equal(predicted(keras.saving.load_model(path)), predicted(model))


def test_early_stopping_restores_the_best_weights() -> None:
    model = wrapped()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, restore_best_weights=True)
    model.optimizer.learning_rate = 10.0
    before = predicted(model)
    history = fit(model, epochs=5, callbacks=[stop], validation_data=(OWN, Y))
    assert len(history["val_loss"]) < 5
    assert not np.array_equal(predicted(model), before)


def test_weights_alone(tmp_path: Path) -> None:
    model, other = wrapped(), wrapped(adv_models.sequential(np.ones((2, 1))))
    fit(model)
    fit(other)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(predicted(other), predicted(model))


def test_the_wrapper_adds_no_trainable_weights() -> None:
    model = wrapped()
    assert [w.path for w in model.trainable_weights] == [
        w.path for w in model.base_model.trainable_weights
    ]


def test_export_serves_the_base_model_without_neighbors(tmp_path: Path) -> None:
    model = wrapped()
    fit(model)
    model.export(tmp_path / "exported", verbose=False)
    artifact = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(artifact.serve(X), predicted(model), rtol=1e-6)
