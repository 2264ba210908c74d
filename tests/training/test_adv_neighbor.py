"""Adversarial neighbours: the numbers of NSL 1.4.

Unless a test says otherwise the setting is that of NSL's `adversarial_neighbor_test.py`:
x = [-1, 1], w = [3, 4], y = 0 and the squared error, so that the gradient at x is [6, 8] and
its direction [0.6, 0.8] wherever PGD gets to.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from nsl_tools.configs import AdvNeighborConfig
from nsl_tools.keras.adversarial_neighbor import gen_adv_neighbor

W = np.array([[3.0], [4.0]], dtype="float32")


def tensor(values: Any, dtype: str = "float32") -> Any:
    return ops.convert_to_tensor(np.asarray(values, dtype=dtype))


def squared_error(y: Any, y_hat: Any) -> Any:
    return ops.square(y - y_hat)


def linear(x: Any) -> Any:
    return ops.matmul(x, W)


def neighbor(
    x: Any,
    model: Any = linear,
    loss: Any = squared_error,
    labels: Any = 0.0,
    *,
    strict: bool = False,
    **config: Any,
) -> Any:
    """Return the neighbour of `x`, with the gradient computed by the function itself."""
    settings = {"adv_step_size": 0.1, **config}
    found, weights = gen_adv_neighbor(
        x,
        None,
        AdvNeighborConfig(**settings),
        raise_invalid_gradient=strict,
        pgd_model_fn=model,
        pgd_loss_fn=loss,
        pgd_labels=labels,
    )
    np.testing.assert_array_equal(weights, np.ones(weights.shape))
    return found


X = tensor([[-1, 1]])


def test_fgsm_moves_by_the_step_size_along_the_normalised_gradient() -> None:
    np.testing.assert_allclose(neighbor(X), [[-0.94, 1.08]], rtol=1e-6)


def test_weights_are_ones_for_each_example() -> None:
    _, weights = gen_adv_neighbor(
        tensor(np.zeros((3, 2))), None, AdvNeighborConfig(), False, None, linear, squared_error, 1.0
    )
    assert tuple(weights.shape) == (3, 1)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("infinity", [[-0.9, 1.1]]), ("l2", [[-0.94, 1.08]]), ("l1", [[-1, 1.1]])],
)
def test_each_norm_has_its_direction(norm: str, expected: Any) -> None:
    np.testing.assert_allclose(neighbor(X, adv_grad_norm=norm), expected, rtol=1e-6)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(
    ("epsilon", "moved"), [(None, 0.2), (0.15, 0.15), (0.13, 0.13), (1.0, 0.2)]
)
def test_pgd_projects_around_the_original_input(
    loop: bool, epsilon: float | None, moved: float
) -> None:
    config = AdvNeighborConfig(adv_step_size=0.1, pgd_iterations=2, pgd_epsilon=epsilon)
    found, _ = gen_adv_neighbor(
        X,
        None,
        config,
        pgd_model_fn=linear,
        pgd_loss_fn=squared_error,
        pgd_labels=0.0,
        use_while_loop=loop,
    )
    np.testing.assert_allclose(found, [[-1 + 0.6 * moved, 1 + 0.8 * moved]], rtol=1e-6)


def test_pgd_projects_in_the_l1_norm_too() -> None:
    """NSL 1.4 raises; two steps of 0.1 along the larger gradient, cut to 0.15."""
    found = neighbor(X, adv_grad_norm="l1", pgd_iterations=2, pgd_epsilon=0.15)
    np.testing.assert_allclose(found, [[-1, 1.15]], rtol=1e-6)


def test_the_l2_norm_is_over_all_features() -> None:
    def model(x: Any) -> Any:
        return x[0] * 3.0 + x[1] * 4.0

    found = neighbor([tensor([[-1]]), tensor([[1]])], model)
    assert isinstance(found, list)
    np.testing.assert_allclose(found[0], [[-0.94]], rtol=1e-6)
    np.testing.assert_allclose(found[1], [[1.08]], rtol=1e-6)


def test_features_of_different_ranks() -> None:
    """Sixteen entries with equal gradients: 0.1 / sqrt(16) each, cut from two steps to 0.15."""

    def model(x: Any) -> Any:
        return ops.sum(x["f1"], axis=(1, 2, 3)) + ops.sum(x["f2"], axis=(1, 2))

    x = {"f1": tensor(np.zeros((2, 2, 2, 3))), "f2": tensor(np.zeros((2, 2, 2)))}
    found = neighbor(x, model, lambda _, y_hat: y_hat, pgd_iterations=2, pgd_epsilon=0.15)
    for key, original in x.items():
        np.testing.assert_allclose(found[key], original + 0.15 / 4, rtol=1e-6)


def test_nested_features_keep_their_structure() -> None:
    def model(x: Any) -> Any:
        return x["a"]["b"] * 3.0 + x["c"][0] * 4.0

    x = {"a": {"b": tensor([[-1]])}, "c": (tensor([[1]]),)}
    found = neighbor(x, model, feature_mask={"a": {"b": 0.0}})
    np.testing.assert_allclose(found["a"]["b"], [[-1]])
    np.testing.assert_allclose(found["c"][0], [[1.1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("mask", "norm", "expected"),
    [
        ([1.0, 0.0], "l2", [[-0.9, 1.0]]),  # masked before it is normalised
        ([0.0, 1.0], "l2", [[-1.0, 1.1]]),
        ([0.5, 0.375], "l2", [[-1 + 0.1 / 2**0.5, 1 + 0.1 / 2**0.5]]),  # gradient [3, 3]
        ([0.5, 0.0], "infinity", [[-0.9, 1.0]]),  # the sign makes 0.5 a 1
        (1.0, "l2", [[-0.94, 1.08]]),
    ],
)
def test_the_mask_applies_before_normalising(mask: Any, norm: str, expected: Any) -> None:
    found = neighbor(X, feature_mask=mask, adv_grad_norm=norm)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_mask_outside_zero_and_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="feature_mask"):
        neighbor(X, feature_mask=tensor([2.0, 0.0]))


def two_features(x: Any) -> Any:
    return x["a"] * 3.0 + x["b"] * 4.0


AB = {"a": tensor([[-1]]), "b": tensor([[1]])}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"feature_mask": {}}, (-0.94, 1.08)),
        ({"feature_mask": {"a": 0.0}}, (-1, 1.1)),
        ({"clip_value_max": {"b": 1.05}}, (-0.94, 1.05)),
        ({"clip_value_min": {"a": -0.5}}, (-0.5, 1.08)),
        # NSL 1.4 ignores bare values where the features are a dictionary.
        ({"feature_mask": 0.0}, (-1, 1)),
        ({"clip_value_max": 0.5}, (-0.94, 0.5)),
        ({"clip_value_min": -0.5, "clip_value_max": 1.0}, (-0.5, 1.0)),
    ],
)
def test_masks_and_bounds_are_per_feature_or_for_all(settings: Any, expected: Any) -> None:
    found = neighbor(AB, two_features, **settings)
    np.testing.assert_allclose([found["a"][0, 0], found["b"][0, 0]], expected, rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_clipping_comes_last(steps: int) -> None:
    """Each step goes to the ball first, then to the allowed values."""
    config = {"adv_step_size": 1.0, "pgd_iterations": steps, "pgd_epsilon": 0.5}
    expected = original = np.array([-1.0, 1.0])
    for _ in range(steps):
        moved = expected + np.array([0.6, 0.8]) - original
        moved *= 0.5 / np.linalg.norm(moved)
        expected = np.minimum(original + moved, 1.25)
    found = neighbor(X, **config, clip_value_max=1.25)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_zero_and_non_finite_gradients_do_not_move() -> None:
    def model(x: Any) -> Any:  # gradients: infinite, nan, zero, one
        return ops.sqrt(x[:, :1]), x[:, 1:2] / 0.0, x[:, 2:3] * 0.0, x[:, 3:]

    def loss(_: Any, outputs: Any) -> Any:
        return sum(outputs)

    x = tensor([[0, 0, 1, 1]])
    found = neighbor(x, model, loss, adv_grad_norm="infinity")
    np.testing.assert_allclose(found, [[0, 0, 1, 1.1]], rtol=1e-6)


def test_integer_and_unused_features_stay() -> None:
    x = {**AB, "int": tensor([[2]], "int32"), "unused": tensor([[5.0]])}

    def model(x: Any) -> Any:
        return two_features(x) + ops.cast(x["int"], "float32")

    found = neighbor(x, model, adv_grad_norm="l2", clip_value_max=3.0)
    np.testing.assert_allclose(found["a"], [[-0.94]], rtol=1e-6)
    np.testing.assert_array_equal(found["int"], [[2]])
    np.testing.assert_array_equal(found["unused"], [[5]])


def test_string_sparse_and_ragged_features_stay() -> None:
    """As in NSL's test of sparse tensors: the dense gradient is 6."""
    x = {
        "dense": tensor([[-1], [1]]),
        "sparse": tf.sparse.from_dense([[1.0, 0.0], [0.0, 3.0]]),
        "ragged": tf.ragged.constant([[1.0], [2.0, 3.0]]),
        "text": tf.constant([["a"], ["b"]]),
    }

    def model(x: Any) -> Any:
        sparse = tf.sparse.sparse_dense_matmul(x["sparse"], tf.constant([[5.0], [4.0]]))
        return 6.0 * x["dense"] + sparse + tf.reduce_sum(x["ragged"], axis=1, keepdims=True)

    found = neighbor(x, model, lambda _, y_hat: y_hat)
    np.testing.assert_allclose(found["dense"], [[-0.9], [1.1]], rtol=1e-6)
    for key in ("sparse", "ragged", "text"):
        assert found[key] is x[key]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"int": tensor([[2]], "int32")}, "Cannot perturb int"),
        ({"text": tf.constant([["a"]])}, "Cannot perturb text"),
        ({"sparse": tf.sparse.from_dense([[1.0]])}, "Cannot perturb sparse"),
        ({"unused": tensor([[1.0]])}, "Cannot perturb unused"),
    ],
)
def test_features_that_cannot_move_raise_when_asked(extra: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbor({**AB, **extra}, two_features, strict=True)


def test_nothing_connected_returns_the_input() -> None:
    np.testing.assert_array_equal(neighbor(X, lambda _: ops.zeros((1, 1))), X)


def test_no_gradient_flows_into_the_perturbation() -> None:
    """The derivative of sum(x_adv) is 1 for each entry, although the direction depends on x."""
    with tf.GradientTape() as tape:
        tape.watch(X)
        total = tf.reduce_sum(neighbor(X, ops.square, adv_grad_norm="l2"))
    np.testing.assert_allclose(tape.gradient(total, X), [[1, 1]])


@pytest.mark.parametrize("norm", ["l1", "l2", "infinity"])
@pytest.mark.parametrize(("epsilon", "radius"), [(0.5, 0.5), (None, 0.1)])
def test_random_init_starts_within_the_radius_and_then_steps(
    norm: str, epsilon: float | None, radius: float
) -> None:
    """Where there is no gradient only the random start is left."""
    x = tensor(np.zeros((40, 3)))
    found = neighbor(
        x,
        lambda x: x * 0.0,
        random_init=True,
        adv_grad_norm=norm,
        pgd_epsilon=epsilon,
        clip_value_min=-0.05,
    )
    values = ops.convert_to_numpy(found)
    order = {"infinity": np.inf, "l1": 1, "l2": 2}[norm]
    assert np.linalg.norm(values, order, axis=1).max() <= radius * (1 + 1e-5)
    assert values.min() == pytest.approx(-0.05)
    assert np.unique(values).size > 40


@pytest.mark.slow
def test_random_init_runs_all_iterations_for_a_batch_of_unknown_size() -> None:
    """NSL 1.4 fails on a dynamic batch. Three steps reach the sphere from anywhere inside."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2))])
    def attack(x: Any) -> Any:
        config = AdvNeighborConfig(
            adv_step_size=0.2, pgd_iterations=3, pgd_epsilon=0.2, random_init=True
        )
        found, _ = gen_adv_neighbor(
            x,
            None,
            config,
            pgd_model_fn=linear,
            pgd_loss_fn=lambda _, y_hat: y_hat,
            use_while_loop=True,
        )
        return found

    x = np.ones((5, 2), dtype="float32")
    moved = attack(tf.constant(x)).numpy() - x
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 0.2, rtol=1e-4)
    assert (moved @ W > 0.9).all()


def test_a_tape_spares_the_first_forward_pass() -> None:
    calls = []

    def model(x: Any) -> Any:
        calls.append(1)
        return linear(x)

    with tf.GradientTape() as tape:
        tape.watch(X)
        loss = squared_error(0.0, model(X))
    found, _ = gen_adv_neighbor(
        X,
        loss,
        AdvNeighborConfig(adv_step_size=0.1),
        gradient_tape=tape,
        pgd_model_fn=model,
        pgd_loss_fn=squared_error,
    )
    np.testing.assert_allclose(found, [[-0.94, 1.08]], rtol=1e-6)
    assert len(calls) == 1


@pytest.mark.slow
def test_a_graph_needs_no_tape() -> None:
    @tf.function
    def attack(x: Any) -> Any:
        return gen_adv_neighbor(x, linear(x), AdvNeighborConfig(adv_step_size=0.1))[0]

    x = [[1.0, 1.0], [0.0, 0.0], [-1.0, -1.0]]  # NSL: gradient w for each
    expected = np.array(x) + np.array([0.06, 0.08])
    np.testing.assert_allclose(attack(tf.constant(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("settings", [{"pgd_iterations": 2}, {"random_init": True}])
def test_pgd_needs_the_model_and_the_loss(settings: Any) -> None:
    with tf.GradientTape() as tape:
        tape.watch(X)
        loss = squared_error(0.0, linear(X))
    with pytest.raises(ValueError, match="pgd_model_fn"):
        gen_adv_neighbor(X, loss, AdvNeighborConfig(**settings), gradient_tape=tape)


def test_a_loss_without_a_record_needs_the_model() -> None:
    with pytest.raises(ValueError, match="pgd_loss_fn"):
        gen_adv_neighbor(X, squared_error(0.0, linear(X)), AdvNeighborConfig())


def test_numpy_features_are_moved() -> None:
    np.testing.assert_allclose(neighbor(np.array([[-1.0, 1.0]])), [[-0.94, 1.08]], rtol=1e-6)
