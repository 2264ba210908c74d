"""Which libraries multiply matrices here."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info


def blas_kernels() -> list[str]:
    """Return the libraries that multiply, and the kernel of each, in words."""
    np.ones((2, 2)) @ np.ones((2, 2))  # loads it
    found = []
    for each in threadpool_info():
        if each["user_api"] == "blas":
            name = f"{each['internal_api']} {each.get('version')}"
            kernel = f"kernel {each.get('architecture')}, {each['num_threads']} threads"
            found.append(f"{name}, {kernel}")
    return found
