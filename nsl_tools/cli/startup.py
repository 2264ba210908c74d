"""What makes a short run fast, which is mostly starting, and being handed memory."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def leave_threads_to_us() -> None:
    """Keep OpenBLAS, not loaded yet, from starting threads of its own, which spin at first.

    Our workers multiply on one BLAS thread each.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def let_arrow_reserve_nothing() -> None:
    """Let Arrow, not loaded yet, take its memory from the C library, as it needs it.

    Its own pool has a GiB at once, within which no system call tells, or refuses, what is used.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Load a pipeline: without looking for garbage, of which that leaves none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
    _leave_pandas_alone()
    _keep_freed_memory()


def _leave_pandas_alone() -> None:
    """Keep pyarrow from importing pandas, if it is there, to see whether a list is one of its.

    That takes half a second and 60 MB, and no list of ours is.
    """
    if "pandas" in sys.modules or "pyarrow" not in sys.modules:
        return
    sys.meta_path.insert(0, blocker := _Blocker())
    try:
        sys.modules["pyarrow"].array([])  # it tries once
    finally:
        sys.meta_path.remove(blocker)


class _Blocker:
    """Finds pandas nowhere."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Refuse pandas, and leave all others to others."""
        if fullname == "pandas":
            raise ImportError("left alone")


def _keep_freed_memory() -> None:
    """Let the C library, if it is glibc, keep some freed memory for the next arrays.

    Else it returns that of most arrays at once, and the kernel clears as much for the next.
    """
    import ctypes  # here, since `--help` does without

    trim_threshold, mmap_threshold, most_arenas = -1, -3, -8  # of `malloc.h`
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 4 << 20)  # numpy asks for huge pages from here on: they cost little
        mallopt(trim_threshold, 64 << 20)  # bytes of freed memory: some batches
        mallopt(most_arenas, 1)  # what one thread frees, others may have
