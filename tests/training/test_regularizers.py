"""Adversarial regularisers as functions, and decays: the numbers of NSL 1.4.

Source of the settings: its `lib/regularizer_test.py`; of the decays: the formulas of the
`tf.compat.v1.train` functions that its `lib/utils.py` calls.
"""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from nsl_tools import configs
from nsl_tools.keras.regularizers import adv_regularizer, virtual_adv_regularizer
from nsl_tools.keras.schedule import MultiplierSchedule, decay_over_time


def tensor(values: Any, dtype: str = "float32") -> Any:
    return ops.convert_to_tensor(np.asarray(values, dtype=dtype))


def config(distance: str = "l2", **changes: Any) -> configs.VirtualAdvConfig:
    neighbor = {"adv_step_size": 0.1, "adv_grad_norm": "l2", **changes.pop("neighbor", {})}
    return configs.VirtualAdvConfig(
        adv_neighbor_config=configs.AdvNeighborConfig(**neighbor),
        distance_config=configs.DistanceConfig(distance_type=distance, sum_over_axis=-1),
        **changes,
    )


def test_adv_regularizer_is_the_loss_on_the_neighbours() -> None:
    arguments = {}

    def model_fn(x: Any, **kwargs: Any) -> Any:
        arguments.update(kwargs)
        return x

    neighbors, target = tensor([1, 1, 1, 0, 1]), tensor([1, 1, 1, 1, 1])
    loss = adv_regularizer(neighbors, target, model_fn, keras.losses.mean_squared_error)
    assert float(loss) == pytest.approx(1 / 5)
    assert arguments == {"is_train": False, "reuse": True}


def test_virtual_adversarial_loss_of_a_linear_embedding() -> None:
    """The Hessian of the squared distance is 2 W W^T: one power iteration from the seed."""
    weights = np.array([[1.0, 5.0], [2.0, 2.0]])
    seed = np.array([[0.6, 0.8]])
    loss = virtual_adv_regularizer(
        tensor([[1, -1]]),
        lambda x: ops.matmul(x, tensor(weights)),
        config(approx_difference=1e-3),
        seed_perturbation=tensor(seed),
    )
    direction = seed @ (2 * weights @ weights.T)
    direction *= 0.1 / np.linalg.norm(direction)
    assert float(loss) == pytest.approx(np.linalg.norm(direction @ weights) ** 2, rel=1e-3)


def test_virtual_adversarial_loss_after_many_steps() -> None:
    """A cosine distance; NSL expects d H d^T with its Hessian at x, whose norm is 1."""
    x, seed = np.array([[0.28, -0.96]]), np.array([[0.6, 0.8]])
    loss = virtual_adv_regularizer(
        tensor(x),
        lambda x: x,
        config("cosine", num_approx_steps=20, approx_difference=1.0, neighbor={"adv_step_size": 1}),
        seed_perturbation=tensor(seed),
    )
    hessian = (x @ x.T) * np.identity(2) - x.T @ x
    direction = seed @ hessian
    direction /= np.linalg.norm(direction)
    assert float(loss) == pytest.approx((direction @ hessian @ direction.T).item(), abs=1e-4)


@pytest.mark.parametrize("known", [True, False])
def test_an_identity_embedding_moves_by_the_step_whatever_the_direction(known: bool) -> None:
    x = tensor([[1, -1], [2, 0]])
    loss = virtual_adv_regularizer(
        x, lambda x: x, config(approx_difference=1e-2), x if known else None, seed=1
    )
    assert float(loss) == pytest.approx(0.01, rel=1e-4)


def test_default_configuration() -> None:
    loss = virtual_adv_regularizer(tensor([[1, -1]]), lambda x: x, configs.VirtualAdvConfig())
    assert float(loss) >= 0


def test_the_mask_keeps_the_direction_out_of_a_feature() -> None:
    """The embedding is the first feature, which the mask leaves alone."""
    settings = config(neighbor={"feature_mask": [0.0, 1.0]})
    loss = virtual_adv_regularizer(tensor([[1, -1]]), lambda x: x[:, :1], settings, seed=1)
    assert float(loss) == 0


def test_an_embedding_that_does_not_depend_on_the_input_costs_nothing() -> None:
    loss = virtual_adv_regularizer(tensor([[1, -1]]), lambda _: ops.ones((1, 1)), config(), seed=1)
    assert float(loss) == 0


def test_gradient_is_stopped_at_the_original_embedding() -> None:
    """With the embedding w x and d = 1: the loss (w x - w (x + s))^2 has 2 (w s) (x + s)."""
    w = tf.Variable(3.0)
    x = tensor([[2.0]])
    settings = config(approx_difference=1e-2)
    with tf.GradientTape() as tape:
        loss = virtual_adv_regularizer(
            x, lambda x: w * x, settings, seed_perturbation=ops.ones((1, 1))
        )
    assert float(tape.gradient(loss, w)) == pytest.approx(2 * 3 * 0.1 * 2.1, rel=1e-4)


def test_a_model_keeps_its_state_in_the_search() -> None:
    """Only the embeddings of the input and of the moved input update moving averages."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(momentum=0.5)])

    class Training:
        variables = model.variables

        def __call__(self, x: Any) -> Any:
            return model(x, training=True)

    x = tensor([[1, 2], [3, 6]])
    settings = config(num_approx_steps=4, neighbor={"adv_step_size": 1e-6})
    virtual_adv_regularizer(x, Training(), settings, seed=1)
    np.testing.assert_allclose(model.layers[0].moving_mean, 0.75 * np.array([2, 4]), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("exponential_decay", lambda t: 0.5**t),
        ("inverse_time_decay", lambda t: 1 / (1 + 0.5 * t)),
        ("natural_exp_decay", lambda t: np.exp(-0.5 * t)),
    ],
)
@pytest.mark.parametrize("step", [0, 5, 10, 30])
def test_decay_over_time(kind: str, formula: Any, step: int) -> None:
    decay = configs.DecayConfig(decay_steps=10, decay_rate=0.5, decay_type=configs.DecayType(kind))
    assert float(decay_over_time(step, decay, 4.0)) == pytest.approx(4 * formula(step / 10))


def test_decay_stops_at_the_minimum() -> None:
    decay = configs.DecayConfig(decay_steps=1, decay_rate=0.1, min_value=0.5)
    assert float(decay_over_time(tensor(3, "int32"), decay)) == pytest.approx(0.5)


def test_a_schedule_can_be_a_decay() -> None:
    decay = configs.DecayConfig(decay_steps=1, decay_rate=0.5)

    class Model:
        configured_multiplier = 0.2
        multiplier = keras.Variable(0.2)

    schedule = MultiplierSchedule(lambda epoch: 1 - decay_over_time(epoch, decay))
    schedule.set_model(Model())
    found = []
    for epoch in range(3):
        schedule.on_epoch_begin(epoch)
        found.append(float(Model.multiplier))
    assert found == pytest.approx([0, 0.1, 0.15])
