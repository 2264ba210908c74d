"""Neural Structured Learning for Keras 3.

`import nsl_tools as nsl` gives NSL 1.4's own spelling: `nsl.configs`,
`nsl.keras`, `nsl.lib`, `nsl.tools`; `nsl.data` is new. The submodules load on first
use, so that the data tools never pay for TensorFlow.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = ("configs", "data", "keras", "lib", "tools")


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["__version__", *_SUBMODULES]
