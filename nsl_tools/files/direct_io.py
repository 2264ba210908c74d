"""Getting written data onto the disk while more is made, so that the last sync is short.

The first bytes of a file go through the page cache, and are synced now and then. The rest of
a large file is written past the cache (direct I/O): else the kernel has to find, clear and
fill a page for each 4 KiB, which takes longer than making them, and other files lose their
place in the cache.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import threading
from typing import TYPE_CHECKING

from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from typing_extensions import Self


class Syncer:
    """Syncs a file now and then, in a thread; a context manager.

    Leaving it without an exception raises the OSError of a sync that failed: the system may
    report a failure only once, and so not to the last sync.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsynced = 0
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if self._thread is not None:
            self._thread.join()
        if failure is None and self._failure is not None:
            raise self._failure

    def note(self, written: int) -> None:
        """Count bytes that were written; sync if they are many, unless a sync is running."""
        self._unsynced += written
        running = self._thread is not None and self._thread.is_alive()
        if self._unsynced >= TUNING.synced_bytes and not running:
            self._unsynced = 0
            self._thread = threading.Thread(target=self._sync, daemon=True)
            self._thread.start()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as err:
            self._failure = self._failure or err


class DiskWriter:
    """Writes a new file from its start to its end; a context manager, as its `Syncer` is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._syncer = Syncer(descriptor)
        self._written = 0
        self._block: memoryview | None = None
        self._filled = 0
        self._direct = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *rest: object) -> None:
        self._syncer.__exit__(failure, *rest)

    def write(self, data: memoryview) -> None:
        """Append `data`.

        Raises:
            OSError: it cannot be written.
        """
        cached = max(0, TUNING.cached_bytes - self._written)
        self._write(data[:cached])
        self._gather(data[cached:])

    def finish(self) -> None:
        """Write the last, incomplete block; nothing may be appended after it.

        Raises:
            OSError: it cannot be written.
        """
        if self._block is not None:
            self._set_direct(False)
            self._write(self._block[: self._filled])

    def _gather(self, left: memoryview) -> None:
        """Fill the block, and write it whenever it is full."""
        while left:
            if self._block is None:
                # Direct I/O takes whole pages of memory only, which a mapping has.
                self._block = memoryview(mmap.mmap(-1, TUNING.direct_bytes))
                self._set_direct(True)
            count = min(len(left), len(self._block) - self._filled)
            self._block[self._filled : self._filled + count] = left[:count]
            self._filled += count
            left = left[count:]
            if self._filled == len(self._block):
                self._write(self._block)
                self._filled = 0

    def _write(self, left: memoryview) -> None:
        while left:
            try:
                count = os.write(self._descriptor, left)
            except OSError as err:
                if not self._direct or err.errno != errno.EINVAL:
                    raise
                # Some file systems and devices refuse direct I/O only when it is used.
                self._set_direct(False)
                continue
            if not self._direct:
                self._syncer.note(count)
            self._written += count
            left = left[count:]

    def _set_direct(self, direct: bool) -> None:
        """Write past the cache from now on, if the system can, or through it."""
        with contextlib.suppress(OSError, AttributeError):
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            wanted = flags | os.O_DIRECT if direct else flags & ~os.O_DIRECT
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, wanted)
            self._direct = direct
