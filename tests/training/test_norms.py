"""Directions, projections and samples in norm balls: the numbers of NSL 1.4.

Numbers marked "NSL" are those of its `lib/utils_test.py`; the others follow from the
formula beside them.
"""

from typing import Any

import numpy as np
import pytest
from keras import ops, tree

from nsl_tools.configs import NormType
from nsl_tools.keras import norms

NORMS = ("infinity", "l1", "l2")


def tensor(values: Any) -> Any:
    return ops.convert_to_tensor(np.asarray(values, dtype="float32"))


def arrays(structure: Any) -> Any:
    return tree.map_structure(ops.convert_to_numpy, structure)


def norm_of(values: Any, kind: str) -> Any:
    order = {"infinity": np.inf, "l1": 1, "l2": 2}[kind]
    flat = [np.reshape(ops.convert_to_numpy(v), (v.shape[0], -1)) for v in tree.flatten(values)]
    return np.linalg.norm(np.concatenate(flat, axis=1).astype("float64"), order, axis=1)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("infinity", [[1, 2, -4], [-1, 5, -3]], [[0.25, 0.5, -1], [-0.2, 1, -0.6]]),  # NSL
        ("l1", [[1, 1, 1, 1]], [[0.25, 0.25, 0.25, 0.25]]),  # NSL
        ("l2", [[1, 1, 1, 1]], [[0.5, 0.5, 0.5, 0.5]]),  # NSL
        ("l2", [[3, -4]], [[0.6, -0.8]]),
    ],
)
def test_normalize_divides_by_the_norm(kind: str, values: Any, expected: Any) -> None:
    np.testing.assert_allclose(norms.normalize(tensor(values), kind), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", NORMS)
def test_normalize_takes_the_norm_over_all_axes_but_the_first(kind: str) -> None:
    values = np.arange(1, 25, dtype="float32").reshape(2, 3, 4)
    normalized = norms.normalize(tensor(values), NormType(kind))
    np.testing.assert_allclose(norm_of(normalized, kind), [1, 1], rtol=1e-5)


@pytest.mark.parametrize("kind", NORMS)
def test_zero_stays_zero(kind: str) -> None:
    zero = tensor(np.zeros((2, 3)))
    for result in (
        norms.normalize(zero, kind),
        norms.maximize_within_unit_norm(zero, kind),
        norms.project_to_ball(zero, 0.5, kind),
    ):
        np.testing.assert_array_equal(result, np.zeros((2, 3)))


@pytest.mark.parametrize("kind", NORMS)
def test_half_precision_zero_stays_zero(kind: str) -> None:
    zero = ops.zeros((2, 3), dtype="float16")
    direction = norms.maximize_within_unit_norm(zero, kind)
    assert "float16" in str(direction.dtype)
    np.testing.assert_array_equal(direction, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("infinity", [[1, 2, -4], [-1, 5, -3]], [[1, 1, -1], [-1, 1, -1]]),  # NSL
        ("l1", [[3, -4, -5], [1, 1, 0]], [[0, 0, -1], [0.5, 0.5, 0]]),  # NSL
        ("l2", [[3, -4], [-7, 24]], [[0.6, -0.8], [-0.28, 0.96]]),  # NSL
    ],
)
def test_maximize_within_unit_norm(kind: str, values: Any, expected: Any) -> None:
    actual = norms.maximize_within_unit_norm(tensor(values), kind)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_maximize_takes_the_l2_norm_over_all_features() -> None:
    weights = {"w1": tensor([[1, 2], [-4, 4]]), "w2": tensor([[-2], [-7]])}  # NSL
    actual = norms.maximize_within_unit_norm(weights, "l2")
    np.testing.assert_allclose(actual["w1"], [[1 / 3, 2 / 3], [-4 / 9, 4 / 9]], rtol=1e-6)
    np.testing.assert_allclose(actual["w2"], [[-2 / 3], [-7 / 9]], rtol=1e-6)


def test_maximize_splits_l1_over_ties_in_several_features() -> None:
    weights = [tensor([[2, -1]]), tensor([[[-2], [2]]])]
    first, second = norms.maximize_within_unit_norm(weights, "l1")
    np.testing.assert_allclose(first, [[1 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(second, [[[-1 / 3], [1 / 3]]], rtol=1e-6)


@pytest.mark.parametrize("kind", NORMS)
def test_maximize_of_nothing_is_nothing(kind: str) -> None:
    assert norms.maximize_within_unit_norm({}, kind) == {}
    assert norms.project_to_ball([], 1.0, kind) == []


@pytest.mark.parametrize(
    ("radius", "factors"), [(1, (1 / 3, 1 / 15)), (4, (1, 4 / 15)), (16, (1, 1))]
)
def test_project_to_l2_ball_scales_examples_outside(radius: float, factors: Any) -> None:
    values = np.array([[1, -2, 2], [2, 10, 11]], dtype="float32")  # NSL: norms 3 and 15
    actual = norms.project_to_ball({"f1": tensor(values)}, radius, NormType.L2)["f1"]
    np.testing.assert_allclose(actual, values * np.array(factors)[:, None], rtol=1e-6)


def test_project_to_l2_ball_takes_the_norm_over_all_features() -> None:
    tensors = [tensor([[1, -2], [-8, 1]]), tensor([[2], [-4]])]  # NSL: norms 3 and 9
    first, second = norms.project_to_ball(tensors, 0.9, "l2")
    np.testing.assert_allclose(first, [[0.3, -0.6], [-0.8, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(second, [[0.6], [-0.4]], rtol=1e-6)


@pytest.mark.parametrize(
    ("radius", "expected"), [(0.5, [0.5, 0.5, -0.5]), (1.5, [1, 1.5, -1.5]), (5, [1, 2, -4])]
)
def test_project_to_infinity_ball_clips(radius: float, expected: Any) -> None:
    actual = norms.project_to_ball(tensor([1, 2, -4]), radius, "infinity")  # NSL
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("values", "radius", "expected"),
    [
        ([[3, -1, 0.5]], 1.0, [[1, 0, 0]]),  # threshold 2
        ([[3, -2, 0.5]], 2.0, [[1.5, -0.5, 0]]),  # threshold (3 + 2 - 2) / 2 = 1.5
        ([[1, 1, -1]], 1.5, [[0.5, 0.5, -0.5]]),  # threshold (3 - 1.5) / 3
        ([[0.5, -0.25, 0]], 1.0, [[0.5, -0.25, 0]]),  # inside
    ],
)
def test_project_to_l1_ball_soft_thresholds(values: Any, radius: float, expected: Any) -> None:
    actual = norms.project_to_ball(tensor(values), radius, "l1")
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_project_to_l1_ball_is_the_nearest_point() -> None:
    """No random point of the ball is nearer than the projection."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 6)).astype("float32")
    halves = [tensor(values[:, :2]), tensor(values[:, 2:])]
    projected = np.concatenate(arrays(norms.project_to_ball(halves, 1.0, "l1")), axis=1)
    np.testing.assert_allclose(np.abs(projected).sum(axis=1), 1.0, rtol=1e-5)
    others = rng.laplace(size=(2000, 4, 6))
    others /= np.abs(others).sum(axis=2, keepdims=True)
    distances = np.linalg.norm(others - values, axis=2).min(axis=0)
    assert (np.linalg.norm(projected - values, axis=1) <= distances).all()


@pytest.mark.parametrize("kind", NORMS)
def test_random_points_lie_in_the_ball_and_keep_the_structure(kind: str) -> None:
    like = {"a": tensor(np.zeros((50, 1))), "b": [tensor(np.zeros((50, 2, 2)))]}
    drawn = norms.random_in_norm_ball(like, 0.5, kind, seed=3)
    assert drawn["a"].shape == (50, 1)
    assert drawn["b"][0].shape == (50, 2, 2)
    radii = norm_of(drawn, kind)
    assert radii.max() <= 0.5 * (1 + 1e-5)
    assert np.unique(radii).size == 50


@pytest.mark.parametrize("kind", NORMS)
def test_random_points_fill_the_ball_uniformly(kind: str) -> None:
    """In n dimensions the radius of a uniform point has the mean n / (n + 1)."""
    drawn = norms.random_in_norm_ball(tensor(np.zeros((20000, 3))), 1.0, kind, seed=1)
    assert norm_of(drawn, kind).mean() == pytest.approx(0.75, abs=0.005)
    np.testing.assert_allclose(np.mean(ops.convert_to_numpy(drawn), axis=0), 0, atol=0.02)


def test_random_points_need_float_tensors_of_one_batch() -> None:
    with pytest.raises(ValueError, match="float dtype"):
        norms.random_in_norm_ball(ops.zeros((2, 1), dtype="int32"), 1.0, "l2")
    with pytest.raises(ValueError, match=r"same first dimension.*\[2, 3\]"):
        norms.random_in_norm_ball([ops.zeros((2, 1)), ops.zeros((3, 1))], 1.0, "l2")


def test_mask_multiplies() -> None:
    features = tensor([[1, 2], [3, 4]])
    assert norms.apply_feature_mask(features) is features
    masked = norms.apply_feature_mask(features, [0.0, 0.5])
    np.testing.assert_array_equal(masked, [[0, 1], [0, 2]])


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_mask_outside_zero_and_one_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match=r"feature_mask.*Expected values in \[0, 1\].*Received"):
        norms.apply_feature_mask(tensor([[1, 2]]), tensor([1.0, value]))


def test_unknown_norm_is_an_error() -> None:
    with pytest.raises(ValueError, match="l3"):
        norms.normalize(tensor([[1]]), "l3")
