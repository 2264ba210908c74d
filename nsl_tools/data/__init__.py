"""Packed examples as datasets to train on."""

import importlib
from typing import Any

__all__ = ["FixedFeature", "ListFeature", "PackedDataset", "Ragged"]

_HOMES = {
    "FixedFeature": "features",
    "ListFeature": "features",
    "PackedDataset": "packed_dataset",
    "Ragged": "batches",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # When it is asked for: a dataset imports Keras, which takes seconds.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"nsl_tools.data.{_HOMES[name]}"), name)
