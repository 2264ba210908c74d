"""Small models and the one-step setting of NSL's `adversarial_regularization_test.py`."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from nsl_tools import configs

W = np.array([[4.0], [-3.0]])
X = np.array([[2.0, 3.0]])
Y = np.array([[0.0]])
LEARNING_RATE = 0.01
MULTIPLIER = 0.2
STEP = 0.01


def dense(weights: Any = W) -> Any:
    return keras.layers.Dense(
        weights.shape[-1],
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(weights),
    )


def sequential(weights: Any = W) -> Any:
    return keras.Sequential([keras.Input((2,), name="feature"), dense(weights)])


def sequential_without_input(weights: Any = W) -> Any:
    return keras.Sequential([dense(weights)])


def functional_dict(weights: Any = W, name: str = "feature") -> Any:
    inputs = keras.Input((2,), name=name)
    return keras.Model({name: inputs}, dense(weights)(inputs))


def functional_list(weights: Any = W) -> Any:
    inputs = keras.Input((2,), name="feature")
    return keras.Model([inputs], dense(weights)(inputs))


def functional_single(weights: Any = W) -> Any:
    inputs = keras.Input((2,), name="feature")
    return keras.Model(inputs, dense(weights)(inputs))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A linear model of the feature named `feature`, or of a bare tensor."""

    def __init__(self, weights: Any = W, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = np.asarray(weights)
        self.dense = dense(self.initial)
        self.seen = set()

    def call(self, inputs: Any) -> Any:
        """Remember the names of the features and return their linear function."""
        if isinstance(inputs, dict):
            self.seen |= set(inputs)
            inputs = inputs["feature"]
        return self.dense(inputs)

    def get_config(self) -> Any:
        """Return what the constructor takes."""
        return {"weights": self.initial.tolist(), "name": self.name}


MODELS = [
    sequential,
    sequential_without_input,
    functional_dict,
    functional_list,
    functional_single,
    Subclassed,
]


def config(**changes: Any) -> Any:
    settings = {"multiplier": MULTIPLIER, "adv_step_size": STEP, "adv_grad_norm": "infinity"}
    return configs.make_adv_reg_config(**{**settings, **changes})


@dataclass(frozen=True)
class OneStep:
    """What one step of gradient descent on (y_hat - y)^2 and on its neighbour's does."""

    labeled: float
    scaled_adversarial: float
    weights: np.ndarray


def one_step(
    sample_weight: float = 1.0, moved: float = STEP, multiplier: float = MULTIPLIER
) -> Any:
    """Return the loss terms and the weights after the step, as NSL's tests compute them."""
    error = X @ W - Y
    x_adv = X + moved * np.sign(error * W.T)
    adv_error = x_adv @ W - Y
    gradient = 2 * sample_weight * (error * X.T + multiplier * adv_error * x_adv.T)
    return OneStep(
        labeled=(sample_weight * error**2).item(),
        scaled_adversarial=(multiplier * sample_weight * adv_error**2).item(),
        weights=W - LEARNING_RATE * gradient,
    )
