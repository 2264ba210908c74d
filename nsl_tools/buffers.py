"""Arrays to fill again and again: fresh ones cost page faults, and miss the cache."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Buffers(threading.local):
    """Arrays by name, each thread's own; another call with the name reuses the memory."""

    def __init__(self) -> None:
        self._floats: dict[str, npt.NDArray[np.float32]] = {}
        self._flags: dict[str, npt.NDArray[np.bool_]] = {}

    def floats(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        """Return an array of float32 numbers, not set."""
        size = math.prod(shape)
        if name not in self._floats or self._floats[name].size < size:
            self._floats[name] = np.empty(size, np.float32)
        return self._floats[name][:size].reshape(shape)

    def flags(self, name: str, *shape: int) -> npt.NDArray[np.bool_]:
        """Return an array of flags, not set."""
        size = math.prod(shape)
        if name not in self._flags or self._flags[name].size < size:
            self._flags[name] = np.empty(size, np.bool_)
        return self._flags[name][:size].reshape(shape)
