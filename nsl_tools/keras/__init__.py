"""Training with NSL on Keras 3: wrappers for any model, and packed shards as datasets."""

import importlib
from typing import Any

from nsl_tools.keras import layers
from nsl_tools.keras.adversarial_regularization import AdversarialRegularization
from nsl_tools.keras.graph_regularization import GraphRegularization
from nsl_tools.keras.regularizers import adversarial_loss, graph_loss
from nsl_tools.keras.schedule import MultiplierSchedule

__all__ = [
    "AdversarialRegularization",
    "GraphRegularization",
    "MultiplierSchedule",
    "adversarial_loss",
    "graph_loss",
    "layers",
    "make_dataset",
    "make_parse_fn",
]

_TENSORFLOW_ONLY = ("make_dataset", "make_parse_fn")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # `tf.data` is TensorFlow's alone; the wrappers run on other backends without it.
    if name not in _TENSORFLOW_ONLY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("nsl_tools.data.tf_dataset"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"nsl_tools.keras.{name}: expected TensorFlow, whose `tf.data` reads files on every "
            f"Keras backend; found none: pip install tensorflow ({error})"
        ) from error
