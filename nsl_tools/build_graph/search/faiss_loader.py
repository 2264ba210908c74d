"""FAISS with the BLAS kernels of this processor.

FAISS brings an OpenBLAS of its own, which may be older than the processor, and then takes
old kernels, several times as slow as those that numpy's takes.
"""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import threadpool_info

_KERNELS = {"cooperlake": "SkylakeX", "sapphirerapids": "SkylakeX", "skylakex": "SkylakeX",
            "haswell": "Haswell", "zen": "Zen"}  # fmt: skip
"""Kernels that an OpenBLAS of the last ten years has, by the name of those it chose."""


def load_faiss() -> Any:
    """Return the module `faiss`; its OpenBLAS takes the kernels of numpy's, if it has any."""
    libraries = (str(library.get("architecture")).lower() for library in threadpool_info())
    kernels = next(filter(None, map(_KERNELS.get, libraries)), None)
    variable = "OPENBLAS_CORETYPE"
    told = kernels is not None and variable not in os.environ
    if told:
        os.environ[variable] = str(kernels)
    try:
        import faiss
    finally:
        if told:
            del os.environ[variable]
    return faiss
