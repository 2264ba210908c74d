"""Examples in and out: writing them, and packed ones as datasets to train on."""

import importlib
from typing import Any

__all__ = ["FixedFeature", "ListFeature", "PackedDataset", "Ragged", "write_examples"]

_HOMES = {
    "FixedFeature": "nsl_tools.data.features",
    "ListFeature": "nsl_tools.data.features",
    "PackedDataset": "nsl_tools.data.packed_dataset",
    "Ragged": "nsl_tools.data.batches",
    "write_examples": "nsl_tools.formats.example_writer",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # When it is asked for: a dataset imports Keras, which takes seconds.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
