"""NSL's layers in models of one's own, after NSL 1.4's `keras/layers` tests."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import nsl_tools as nsl
from nsl_tools.configs import DistanceConfig, DistanceType, GraphNeighborConfig
from nsl_tools.keras.layers import NeighborFeatures, PairwiseDistance, make_missing_neighbor_inputs

RNG = np.random.default_rng(0)
TWO = GraphNeighborConfig(max_neighbors=2)
KL = DistanceConfig("kl_divergence", sum_over_axis=-1)


def kl(p: Any, q: Any) -> Any:
    return np.sum(p * np.log(p / q), axis=-1, keepdims=True)


def features(dtype: str = "uint8") -> dict[str, Any]:
    values = {
        name: RNG.integers(0, 256, (4, 3, 3, 1)).astype(dtype)
        for name in ("image", "NL_nbr_0_image", "NL_nbr_1_image")
    }
    weights = {f"NL_nbr_{rank}_weight": RNG.uniform(size=(4, 1)) for rank in range(2)}
    return {**values, **weights}


@pytest.mark.parametrize("keep_rank", [True, False])
def test_neighbor_features_makes_the_inputs_that_are_missing(keep_rank: bool) -> None:
    """NSL's `testDense`."""
    inputs = {"image": keras.Input((3, 3, 1), dtype="uint8", name="image")}
    outputs = NeighborFeatures(TWO)(inputs, keep_rank=keep_rank)
    assert sorted(inputs) == sorted(features())
    assert inputs["NL_nbr_1_image"].dtype == "uint8"
    data = features()
    samples, neighbors, weights = keras.Model(inputs, outputs)(data)
    np.testing.assert_array_equal(samples["image"], data["image"])
    stacked = np.stack([data["NL_nbr_0_image"], data["NL_nbr_1_image"]], axis=1)
    shape = (8, 3, 3, 1) if keep_rank else (4, 2, 3, 3, 1)
    np.testing.assert_array_equal(neighbors["image"], stacked.reshape(shape))
    stacked = np.stack([data["NL_nbr_0_weight"], data["NL_nbr_1_weight"]], axis=1)
    np.testing.assert_allclose(weights, stacked.reshape((8, 1) if keep_rank else (4, 2, 1)))


def test_neighbor_features_of_chosen_features() -> None:
    inputs = {name: keras.Input((2,), name=name) for name in ("a", "b")}
    samples, neighbors, _ = NeighborFeatures(TWO, feature_names=["a"])(inputs)
    assert list(samples) == list(neighbors) == ["a"]
    assert "NL_nbr_0_b" not in inputs


def test_neighbor_features_of_sparse_inputs() -> None:
    inputs = {"x": keras.Input((2,), sparse=True, name="x")}
    NeighborFeatures(TWO, weight_dtype="float64")(inputs)
    assert inputs["NL_nbr_0_x"].sparse
    assert inputs["NL_nbr_0_weight"].dtype == "float64"
    assert not inputs["NL_nbr_0_weight"].sparse


def test_neighbor_features_of_tensors_makes_nothing() -> None:
    with pytest.raises(KeyError, match="NL_nbr_0_x"):
        NeighborFeatures(TWO)({"x": tf.zeros((1, 2))})


def test_missing_inputs_are_those_that_are_not_there() -> None:
    inputs = {name: keras.Input((2,), name=name) for name in ("x", "NL_nbr_0_x")}
    made = make_missing_neighbor_inputs(TWO, inputs)
    assert sorted(made) == ["NL_nbr_0_weight", "NL_nbr_1_weight", "NL_nbr_1_x"]
    assert made["NL_nbr_1_x"].shape == (None, 2)


def test_pairwise_distance_of_one_source() -> None:
    """NSL's `testCall` and `testWeights`."""
    source = np.array([0.1, 0.4, 0.5])
    targets = np.array([[0.6, 0.2, 0.2], [0.9, 0.01, 0.09]])
    layer = PairwiseDistance(KL, name="kl_loss")
    assert layer.name == "kl_loss"
    expected = kl(source, targets).mean()
    assert float(layer(source, targets)) == pytest.approx(expected, rel=1e-4)
    assert float(layer(source, targets, 0.5)) == pytest.approx(expected / 2, rel=1e-4)


@pytest.mark.parametrize("symbolic", [True, False])
def test_pairwise_distance_takes_weights_as_an_input_or_a_number(symbolic: bool) -> None:
    """NSL's `testCallOverride`."""
    shapes = {"sources": (4,), "targets": (1, 4)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    data = {"sources": np.ones((1, 4)), "targets": np.array([[[4.0, 3.0, 2.0, 1.0]]])}
    if symbolic:
        inputs["weights"] = keras.Input((1, 1), name="weights")
        data["weights"] = np.array([[[0.25]]])
        outputs = PairwiseDistance()(**inputs)
    else:
        outputs = PairwiseDistance()(weights=0.25, **inputs)
    found = keras.Model(inputs, outputs)(data)
    assert float(found) == pytest.approx(0.25 * (9 + 4 + 1) / 4)


def test_pairwise_distance_takes_a_tuple() -> None:
    sources, targets = np.ones((1, 2)), np.zeros((2, 2))
    layer = PairwiseDistance()
    assert float(layer((sources, targets))) == 1.0
    assert float(layer((sources, targets), weights=3.0)) == 3.0
    assert float(layer((sources, targets, np.array([[1.0], [0.0]])))) == 1.0


def test_pairwise_distance_repeats_the_sources() -> None:
    """NSL's `testReplicateSources`: either way of laying out the neighbours."""
    sources = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
    targets = np.random.default_rng(0).dirichlet(np.full(4, 9.0), size=4)
    config = DistanceConfig("kl_divergence", reduction="none", sum_over_axis=-1)
    expected = kl(np.repeat(sources, 2, axis=0), targets)
    found = PairwiseDistance(config)(sources, targets)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    found = PairwiseDistance(config)(sources, targets.reshape(2, 2, 4))
    np.testing.assert_allclose(found, expected.reshape(2, 2, 1), rtol=1e-4)
    with pytest.raises(ValueError, match="Invalid value for argument `targets`"):
        PairwiseDistance(config)(sources, targets[1:])


def test_pairwise_distance_needs_targets() -> None:
    with pytest.raises(ValueError, match=r"`targets`\. Expected a tensor\. Received: None"):
        PairwiseDistance()(np.ones(5))


@keras.saving.register_keras_serializable(package="tests")
class Regularized(keras.Model):
    """A model that adds the graph term itself, as NSL's documentation of the layer does."""

    def __init__(self, distance_type: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = DistanceConfig(distance_type, sum_over_axis=-1, transform_fn="softmax")
        self.neighbors = NeighborFeatures(TWO)
        self.distance = PairwiseDistance(config)
        self.base = keras.layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        """Return the outputs for the samples."""
        samples, neighbors, weights = self.neighbors(inputs)
        outputs = self.base(samples["x"])
        self.add_loss(self.distance(outputs, self.base(neighbors["x"]), weights))
        return outputs


@pytest.mark.parametrize("distance_type", [kind.value for kind in DistanceType])
def test_a_model_with_both_layers_trains(distance_type: str) -> None:
    """NSL's `testModelFitAndEvaluate`."""
    data = {"x": RNG.normal(size=(8, 4))}
    for rank in range(2):
        data[f"NL_nbr_{rank}_x"] = RNG.normal(size=(8, 4))
        data[f"NL_nbr_{rank}_weight"] = RNG.uniform(size=(8, 1))
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metric = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="labeled")
    model = Regularized(distance_type)
    model.compile("sgd", loss=cross_entropy, metrics=[metric], run_eagerly=True)
    labels = RNG.integers(0, 3, size=8)
    history = model.fit(data, labels, batch_size=8, verbose=0).history
    assert history["loss"][0] > history["labeled"][0]


def test_layers_are_saved_with_a_model(tmp_path: Path) -> None:
    inputs = {"x": keras.Input((4,), name="x")}
    config = DistanceConfig("l1", sum_over_axis=-1)
    samples, neighbors, weights = NeighborFeatures(TWO, weight_dtype="float64")(inputs)
    model = keras.Model(inputs, PairwiseDistance(config)(samples["x"], neighbors["x"], weights))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    data = {
        name: RNG.uniform(size=(2, 1 if "weight" in name else 4)).astype("float32")
        for name in inputs
    }
    assert float(loaded(data)) == pytest.approx(float(model(data)))
    assert any(isinstance(layer, nsl.keras.layers.NeighborFeatures) for layer in loaded.layers)
