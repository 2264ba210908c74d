"""Getting written data onto the disk while more is being made, so that the last sync is short."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_STEP = 1 << 25
"""Bytes between two syncs: enough to keep a disk busy, few enough to keep the last one short."""


class Syncer:
    """Syncs a file now and then, in a thread; a context manager.

    Leaving it without an exception raises the OSError of a sync that failed:
    the system may report it once only, and not to the last one.
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
        if self._unsynced >= _STEP and not running:
            self._unsynced = 0
            self._thread = threading.Thread(target=self._sync, daemon=True)
            self._thread.start()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as err:
            self._failure = self._failure or err
