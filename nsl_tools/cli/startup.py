"""What makes a short run fast, which is mostly starting, and being handed memory."""

from __future__ import annotations

import contextlib
import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8  # of mallopt
_MOST_KEPT = 64 << 20  # bytes of freed memory: some batches
_LARGE = 4 << 20  # numpy asks for huge pages from here on, which cost little


def leave_threads_to_us() -> None:
    """Keep OpenBLAS, not loaded yet, from starting threads of its own, which spin at first.

    Our workers multiply on one BLAS thread each.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Load a pipeline: without looking for garbage, of which that leaves none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the C library, if it is glibc, keep some freed memory for the next arrays.

    Else it returns that of most arrays at once, and the kernel clears as much for the next.
    """
    import ctypes  # here, since `--help` does without

    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
        # What one thread frees, others may have.
        mallopt(_MOST_ARENAS, 1)
