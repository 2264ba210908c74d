"""Unpacking of packed features, as NSL 1.4's `lib/utils_test.py` expects it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import nsl_tools as nsl
from nsl_tools.configs import GraphNeighborConfig
from nsl_tools.keras.neighbor_features import strip_neighbor_features, unpack_neighbor_features

TWO = GraphNeighborConfig(max_neighbors=2)
SAMPLES = [[1.0, 2.0], [3.0, 4.0]]
FIRST = [[10.0, 20.0], [30.0, 40.0]]
SECOND = [[11.0, 21.0], [31.0, 41.0]]
FIRST_WEIGHTS = [[0.25], [0.5]]
SECOND_WEIGHTS = [[0.75], [0.0]]
MERGED = [FIRST[0], SECOND[0], FIRST[1], SECOND[1]]
MERGED_WEIGHTS = [[0.25], [0.75], [0.5], [0.0]]


def packed(**changes: Any) -> dict[str, Any]:
    features = {
        "F0": SAMPLES,
        "NL_nbr_0_F0": FIRST,
        "NL_nbr_0_weight": FIRST_WEIGHTS,
        "NL_nbr_1_F0": SECOND,
        "NL_nbr_1_weight": SECOND_WEIGHTS,
    }
    return {name: tf.constant(value) for name, value in {**features, **changes}.items()}


def test_neighbors_are_interleaved_by_sample() -> None:
    own, neighbors, weights = unpack_neighbor_features(packed(), TWO)
    assert list(own) == list(neighbors) == ["F0"]
    np.testing.assert_array_equal(own["F0"], SAMPLES)
    np.testing.assert_array_equal(neighbors["F0"], MERGED)
    np.testing.assert_array_equal(weights, MERGED_WEIGHTS)


def test_without_keep_rank_neighbors_have_an_axis() -> None:
    _, neighbors, weights = unpack_neighbor_features(packed(), TWO, keep_rank=False)
    np.testing.assert_array_equal(neighbors["F0"], np.reshape(MERGED, (2, 2, 2)))
    np.testing.assert_array_equal(weights, np.reshape(MERGED_WEIGHTS, (2, 2, 1)))


def test_further_neighbors_are_ignored() -> None:
    """NSL's `testExtraNeighborFeaturesIgnored`."""
    one = GraphNeighborConfig(max_neighbors=1)
    own, neighbors, weights = unpack_neighbor_features(packed(), one)
    assert list(own) == ["F0"]
    np.testing.assert_array_equal(neighbors["F0"], FIRST)
    np.testing.assert_array_equal(weights, FIRST_WEIGHTS)


@pytest.mark.parametrize("features", [packed(), {"F0": tf.constant(SAMPLES)}])
def test_no_neighbors(features: Any) -> None:
    """NSL's `testSampleFeatureOnlyExtractionWith(No)Neighbors`."""
    own, neighbors, weights = unpack_neighbor_features(features, GraphNeighborConfig())
    assert list(own) == ["F0"]
    assert neighbors == {}
    assert weights is None


def test_no_features() -> None:
    """NSL's `testEmptyFeatures`."""
    config = GraphNeighborConfig()
    assert unpack_neighbor_features({}, config) == ({}, {}, None)
    assert strip_neighbor_features({}, config) == {}


def test_prefix_and_suffix_are_configurable() -> None:
    config = GraphNeighborConfig(prefix="n", weight_suffix="/w", max_neighbors=1)
    features = {"F0": tf.constant(SAMPLES), "n0_F0": tf.constant(FIRST)}
    own, neighbors, weights = unpack_neighbor_features(
        {**features, "n0/w": tf.constant(FIRST_WEIGHTS)}, config
    )
    assert list(own) == ["F0"]
    np.testing.assert_array_equal(neighbors["F0"], FIRST)
    np.testing.assert_array_equal(weights, FIRST_WEIGHTS)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "string"])
@pytest.mark.parametrize("keep_rank", [True, False])
def test_dtypes_are_kept(dtype: str, keep_rank: bool) -> None:
    def tensor(values: Any) -> Any:
        return tf.as_string(values) if dtype == "string" else tf.cast(values, dtype)

    features = {name: tensor(tf.constant(v)) for name, v in packed().items() if "F0" in name}
    _, neighbors, weights = unpack_neighbor_features({**packed(), **features}, TWO, keep_rank)
    assert neighbors["F0"].dtype == dtype
    expected = tf.reshape(tensor(tf.constant(MERGED)), neighbors["F0"].shape)
    np.testing.assert_array_equal(neighbors["F0"], expected)
    assert weights.dtype == "float32"


def test_higher_ranks() -> None:
    images = {
        name: np.arange(24).reshape(2, 3, 2, 2) + shift
        for shift, name in enumerate(["image", "NL_nbr_0_image", "NL_nbr_1_image"])
    }
    weights = {name: value for name, value in packed().items() if "weight" in name}
    for keep_rank in (True, False):
        _, neighbors, _ = unpack_neighbor_features({**images, **weights}, TWO, keep_rank)
        expected = np.stack([images["NL_nbr_0_image"], images["NL_nbr_1_image"]], axis=1)
        shape = (4, 3, 2, 2) if keep_rank else (2, 2, 3, 2, 2)
        np.testing.assert_array_equal(neighbors["image"], expected.reshape(shape))


@pytest.mark.parametrize("keep_rank", [True, False])
def test_sparse_features_stay_sparse(keep_rank: bool) -> None:
    """NSL's `testSparseFeature`."""
    features = {
        name: tf.sparse.from_dense(value) if "F0" in name else value
        for name, value in packed().items()
    }
    own, neighbors, _ = unpack_neighbor_features(features, TWO, keep_rank)
    assert own["F0"] is features["F0"]
    assert isinstance(neighbors["F0"], tf.SparseTensor)
    dense = tf.sparse.to_dense(neighbors["F0"])
    np.testing.assert_array_equal(dense, MERGED if keep_rank else np.reshape(MERGED, (2, 2, 2)))


def test_sizes_may_be_unknown_until_the_function_runs() -> None:
    """NSL's `testDynamicBatchSizeAndFeatureShape`; one of the sizes is known for one side."""
    spec = {
        name: tf.TensorSpec((None, 1 if "weight" in name else None), "float32") for name in packed()
    }
    spec["F0"] = tf.TensorSpec((None, 2), "float32")
    unpack = tf.function(
        lambda features: unpack_neighbor_features(features, TWO), input_signature=[spec]
    )
    _, neighbors, weights = unpack(packed())
    np.testing.assert_array_equal(neighbors["F0"], MERGED)
    np.testing.assert_array_equal(weights, MERGED_WEIGHTS)


def test_strip_keeps_everything_else() -> None:
    features = {**packed(), "NL_num_nbrs": tf.constant([[2], [2]])}
    assert list(strip_neighbor_features(features, TWO)) == ["F0", "NL_num_nbrs"]


@pytest.mark.parametrize("name", ["NL_nbr_1_F0", "NL_nbr_1_weight"])
def test_a_missing_feature_or_weight_is_a_key_error(name: str) -> None:
    features = packed()
    del features[name]
    with pytest.raises(KeyError, match=f"Expected '{name}', of a neighbour"):
        unpack_neighbor_features(features, TWO)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("F0", [1.0, 3.0], "(batch, ...) of rank 2 or more"),
        ("NL_nbr_1_F0", [[1.0], [3.0]], "(2, 2), as the sample's own"),
        ("NL_nbr_1_F0", [[1.0, 2.0]], "(2, 2), as the sample's own"),
        ("NL_nbr_1_F0", [1.0, 3.0], "(2, 2), as the sample's own"),
        ("NL_nbr_0_weight", [0.25, 0.5], "(batch, 1)"),
        ("NL_nbr_0_weight", FIRST, "(batch, 1)"),
    ],
)
def test_a_wrong_shape_is_a_value_error(name: str, value: Any, expected: str) -> None:
    """NSL's `testInvalidRank`, `testInvalidNeighborWeightRank` and `*ShapeIncompatibility`."""
    with pytest.raises(ValueError, match="Invalid value for argument `features`") as error:
        unpack_neighbor_features(packed(**{name: value}), TWO)
    assert f"Expected {name!r} of shape {expected}. Received: shape" in str(error.value)


def test_the_functions_have_nsls_names() -> None:
    assert nsl.lib.unpack_neighbor_features is unpack_neighbor_features
    assert nsl.lib.strip_neighbor_features is strip_neighbor_features
