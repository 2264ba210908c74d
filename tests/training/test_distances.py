"""Distances: NSL 1.4's numbers, its reductions and its errors; gradients; compiled functions."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import nsl_tools as nsl
from nsl_tools.configs import DistanceConfig, ReductionType
from nsl_tools.keras.distances import (
    jensen_shannon_divergence,
    kl_divergence,
    pairwise_distance_wrapper,
)

# The example of NSL 1.4's `pairwise_distance_wrapper` and of its `lib/distances_test.py`.
SOURCES = np.array([[1, 1], [2, 2], [0, 2], [5, 5]], "float32")
TARGETS = np.array([[1, 1], [0, 2], [4, 4], [1, 4]], "float32")
WEIGHTS = np.array([[1], [0], [0.5], [0.5]], "float32")

P = np.array([[1, 0, 0], [0.1, 0.2, 0.7]])
Q = np.array([[1, 0, 0], [0.1, 0.9, 0]])
LOGITS = np.array([[1, 2, 3], [1, -1, 2]], "float32")
OTHER_LOGITS = np.array([[1, 2, 3], [1, 0, -1]], "float32")

OF_VECTORS = ["cosine", "kl_divergence", "jensen_shannon_divergence"]
RNG = np.random.default_rng(0)


def distance(sources: Any, targets: Any, weights: Any = 1.0, **config: Any) -> Any:
    return np.asarray(
        pairwise_distance_wrapper(sources, targets, weights, DistanceConfig(**config))
    )


def softmax(logits: Any, axis: int = -1) -> Any:
    exponents = np.exp(logits)
    return exponents / exponents.sum(axis, keepdims=True)


def kl(p: Any, q: Any, axis: int = -1) -> Any:
    return np.sum(p * np.log(p + 1e-7) - p * np.log(q + 1e-7), axis, keepdims=True)


def js(p: Any, q: Any, axis: int = -1) -> Any:
    return kl(p, (p + q) / 2, axis) / 2 + kl(q, (p + q) / 2, axis) / 2


@pytest.mark.parametrize(("name", "expected"), [("l1", 3.25), ("l2", 10.25)])
def test_the_average_over_samples(name: str, expected: float) -> None:
    """NSL's `testL1Distance` and `testL2Distance`."""
    assert distance(SOURCES, TARGETS, distance_type=name, sum_over_axis=-1) == pytest.approx(
        expected
    )


def test_the_average_over_entries_is_the_default() -> None:
    """The docstring of NSL's `pairwise_distance_wrapper`: 41 / 8."""
    assert float(pairwise_distance_wrapper(SOURCES, TARGETS)) == pytest.approx(5.125)


def test_cosine() -> None:
    """NSL's `testCosineDistance`: the mean of 0, 0, 0.04 and 2."""
    sources, targets = [[1, 1], [1, 1], [3, 4], [-1, -1]], [[1, 1], [5, 5], [4, 3], [1, 1]]
    found = distance(sources, targets, distance_type="cosine", sum_over_axis=-1)
    assert found == pytest.approx(0.51)


def test_cosine_of_a_zero_vector_is_one() -> None:
    found = distance([[0.0, 0.0]], [[1.0, 2.0]], distance_type="cosine", sum_over_axis=1)
    assert found == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "formula"), [("kl_divergence", kl), ("jensen_shannon_divergence", js)]
)
def test_divergences(name: str, formula: Any) -> None:
    """NSL's `testKLDistance` and `testJensenShannonDistance`."""
    function = getattr(nsl.lib, name)
    expected = formula(P, Q)
    assert distance(P, Q, distance_type=name, sum_over_axis=-1) == pytest.approx(expected.mean())
    assert float(function(P, Q, axis=-1)) == pytest.approx(expected.mean())
    each = function(P, Q, axis=-1, reduction="none")
    np.testing.assert_allclose(each, expected, rtol=1e-5, atol=1e-7)
    by_columns = function(P.T, Q.T, axis=0, weights=[[0.0, 2.0]])
    assert float(by_columns) == pytest.approx(2 * expected[1, 0])


@pytest.mark.parametrize(
    ("name", "formula"), [("kl_divergence", kl), ("jensen_shannon_divergence", js)]
)
def test_divergences_of_logits(name: str, formula: Any) -> None:
    """NSL's `testKLDistanceFromLogit` and `testJensenShannonDistanceFromLogit`."""
    found = distance(
        LOGITS, OTHER_LOGITS, distance_type=name, sum_over_axis=-1, transform_fn="softmax"
    )
    assert found == pytest.approx(formula(softmax(LOGITS), softmax(OTHER_LOGITS)).mean(), rel=1e-5)


def test_the_softmax_acts_on_the_axis_or_the_last_one() -> None:
    """NSL's `testDistanceWithTransformButNoSumOverAxis`."""
    config = {"distance_type": "l1", "reduction": "none", "transform_fn": "softmax"}
    for axis in (-1, 0):
        expected = np.abs(softmax(LOGITS, axis) - softmax(OTHER_LOGITS, axis))
        given = axis if axis == 0 else None
        found = distance(LOGITS, OTHER_LOGITS, sum_over_axis=given, **config)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


# With w * |s - t| summing to 5.5 over rows of two entries; three rows have a weight.
@pytest.mark.parametrize(
    ("reduction", "summed", "plain"),
    [
        ("weighted_sum", 5.5, 5.5),
        ("weighted_mean", 5.5 / 2, 5.5 / 4),
        ("weighted_sum_over_batch_size", 5.5 / 4, 5.5 / 8),
        ("weighted_sum_by_nonzero_weights", 5.5 / 3, 5.5 / 6),
    ],
)
def test_reductions(reduction: str, summed: float, plain: float) -> None:
    """NSL's `testDistanceReduction*`, `testWeightedDistance`, `testDistanceWithoutSumOverAxis`."""
    config = {"distance_type": "l1", "reduction": reduction}
    assert distance(SOURCES, TARGETS, WEIGHTS, sum_over_axis=-1, **config) == pytest.approx(summed)
    assert distance(SOURCES, TARGETS, WEIGHTS, **config) == pytest.approx(plain)
    assert distance(SOURCES, TARGETS, 0.5, **config) == pytest.approx(
        distance(SOURCES, TARGETS, np.full((4, 2), 0.5), **config)
    )


def test_no_reduction_gives_every_entry() -> None:
    """NSL's `testDistanceReductionNone`: not multiplied by the size of the axis."""
    for axis in (None, -1):
        found = distance(
            SOURCES, TARGETS, WEIGHTS, distance_type="l1", reduction="none", sum_over_axis=axis
        )
        np.testing.assert_allclose(found, [[0, 0], [0, 0], [2, 1], [2, 0.5]])


@pytest.mark.parametrize("reduction", [r for r in ReductionType if r is not ReductionType.NONE])
def test_no_weight_at_all_gives_zero(reduction: Any) -> None:
    assert distance(SOURCES, TARGETS, np.zeros((4, 1)), reduction=reduction) == 0.0


def test_weights_broadcast_along_any_axis() -> None:
    found = distance(SOURCES, TARGETS, [[1.0, 0.0]], distance_type="l1")
    assert found == pytest.approx((0 + 2 + 4 + 4) / 4)


def test_half_precision_is_summed_in_float32() -> None:
    ones = np.ones((4096, 2), "float16")
    assert distance(ones, 3 * ones, reduction="weighted_sum") == 4 * 2 * 4096


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_probabilities_of_half_precision_are_accepted(dtype: str) -> None:
    logits = tf.constant(RNG.normal(size=(16, 10)), dtype)
    other = tf.constant(RNG.normal(size=(16, 10)), dtype)
    config = DistanceConfig("kl_divergence", sum_over_axis=-1)
    found = pairwise_distance_wrapper(tf.nn.softmax(logits), tf.nn.softmax(other), 1.0, config)
    assert found.dtype == "float32"
    assert np.isfinite(found)


@pytest.mark.parametrize("function", [kl_divergence, jensen_shannon_divergence])
@pytest.mark.parametrize("bad", [[0.1, 0.2, 0.8], [-0.1, 0.3, 0.8]])
def test_divergences_refuse_what_is_no_distribution(function: Any, bad: Any) -> None:
    """NSL's `testInvalidMultinomialDistribution` and its negative counterpart."""
    good = [0.1, 0.9, 0.0]
    for pair in ((bad, good), (good, bad)):
        with pytest.raises(ValueError, match=r"Expected probabilities.*softmax"):
            function(*([row] for row in pair), axis=-1)


def test_divergences_of_what_is_no_distribution_are_nan_in_a_compiled_function() -> None:
    """A compiled function cannot raise; a number would hide the mistake."""
    for jit in (False, True):
        compiled = tf.function(lambda p, q: kl_divergence(p, q, axis=-1), jit_compile=jit)
        assert np.isnan(compiled(tf.constant(LOGITS), tf.constant(P, "float32")))
        found = compiled(tf.constant(P, "float32"), tf.constant(Q, "float32"))
        assert float(found) == pytest.approx(kl(P, Q).mean(), rel=1e-5)


@pytest.mark.parametrize("function", [kl_divergence, jensen_shannon_divergence])
@pytest.mark.parametrize("axis", [None, 2, -3])
def test_divergences_need_a_valid_axis(function: Any, axis: Any) -> None:
    """NSL's `testInvalidAxisForDivergence`."""
    with pytest.raises(ValueError, match="Invalid value for argument `sum_over_axis`"):
        function(P, Q, axis=axis)


@pytest.mark.parametrize(
    ("targets", "weights", "config", "message"),
    [
        (TARGETS, np.ones((4, 2)), {"sum_over_axis": -1}, "`weights`. Expected size 1 along"),
        (TARGETS, np.ones((4, 2)), {"sum_over_axis": 2}, "`sum_over_axis`"),
        (TARGETS, 1.0, {"distance_type": "cosine"}, "`sum_over_axis`. Expected an axis"),
        (TARGETS, np.ones(4), {}, "`weights`"),
        (TARGETS, np.ones((3, 1)), {}, "`weights`"),
        (TARGETS[:2], 1.0, {}, "`targets`. Expected the shape of `sources`"),
        (TARGETS[0], 1.0, {}, "`targets`"),
    ],
)
def test_what_does_not_fit_is_refused(
    targets: Any, weights: Any, config: Any, message: str
) -> None:
    """NSL's `testDistanceInvalidWeightShapeAlongAxis`, `testDistanceInvalidAxis`, TensorFlow's."""
    with pytest.raises(ValueError, match=f"Invalid value for argument {message}"):
        distance(SOURCES, targets, weights, **config)


@pytest.mark.parametrize("transform", ["none", "softmax"])
@pytest.mark.parametrize(
    ("name", "axis"), [*product(["l1", "l2"], [None, 0, -1]), *product(OF_VECTORS, [0, -1])]
)
def test_gradients_equal_finite_differences(name: str, axis: Any, transform: str) -> None:
    """In float64, to either side, with weights of which one is zero."""
    sides = RNG.normal(size=(2, 3, 4))
    if "divergence" in name and transform == "none":
        sides = softmax(sides, axis + (axis >= 0))
    weights = np.array([[0.5], [0.0], [2.0]]) if axis != 0 else np.array([[0.5, 0.0, 2.0, 1.0]])
    config = DistanceConfig(name, sum_over_axis=axis, transform_fn=transform)

    def value(sides: Any) -> Any:
        return pairwise_distance_wrapper(sides[0], sides[1], weights, config)

    variable = tf.constant(sides)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        found = value(variable)
    gradient = tape.gradient(found, variable).numpy()
    np.testing.assert_allclose(gradient, _finite_differences(value, sides), rtol=1e-4, atol=1e-6)


def _finite_differences(value: Any, at: Any, step: float = 1e-5) -> Any:
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[index] = step
        found[index] = (float(value(at + moved)) - float(value(at - moved))) / (2 * step)
    return found
