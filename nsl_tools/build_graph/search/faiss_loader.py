"""FAISS with the BLAS kernels of this processor.

FAISS brings its own OpenBLAS. If that is older than the processor, it takes old kernels, which
are several times as slow as those of numpy.
"""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import threadpool_info


def load_faiss() -> Any:
    """Return the module `faiss`, whose OpenBLAS takes the same kernels as that of numpy."""
    # Kernels that an OpenBLAS of the last ten years has, by the name of those that numpy's chose.
    known = {"haswell": "Haswell", "zen": "Zen"}
    known |= dict.fromkeys(("cooperlake", "sapphirerapids", "skylakex"), "SkylakeX")
    libraries = (str(library.get("architecture")).lower() for library in threadpool_info())
    kernels = next(filter(None, map(known.get, libraries)), None)
    variable = "OPENBLAS_CORETYPE"
    is_set_here = kernels is not None and variable not in os.environ
    if is_set_here:
        os.environ[variable] = str(kernels)
    try:
        import faiss
    finally:
        if is_set_here:
            del os.environ[variable]
    return faiss
