"""Arrays to fill again and again: new ones would cost page faults and cache misses."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


T = TypeVar("T", bound=np.generic)


class Buffers(threading.local):
    """Arrays by name, for each thread its own. Asking for a name again reuses its memory."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, dtype: type[T], *shape: int) -> npt.NDArray[T]:
        """Return an array with any content. A name always has the same dtype."""
        size = math.prod(shape)
        if name not in self._held or self._held[name].size < size:
            self._held[name] = np.empty(size, dtype)
        return self._held[name][:size].reshape(shape)
