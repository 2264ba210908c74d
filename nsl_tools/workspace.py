"""Workspaces: hidden folders beside their destination, where outputs grow until they are complete.

A run holds the lock of its workspace (`flock`) for as long as it lives. A
workspace that nobody has locked is that of a run which was killed: the next run
that writes to the same folder removes it. One that is to be kept has another name,
and stays until a run of the same output takes it up. Several runs may share a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil

_NAME = re.compile(r"\.[0-9a-f]{16}\.nsl-tools\.tmp")
_KEPT = re.compile(r"\.[0-9a-f]{16}\.nsl-tools\.resume")
_live: set[Workspace] = set()


class Workspace:
    """A folder of this run only, in `folder`; a context manager is what removes it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock: int | None = None
        self.path = ""

    def create(self) -> None:
        """Create and lock it, and remove those of runs that were killed.

        Raises:
            OSError: the folder cannot be written.
        """
        _reclaim(self._folder)
        while self._lock is None:
            # Known before it exists: a signal between the two must not leave it behind.
            self.path = os.path.join(self._folder, f".{os.urandom(8).hex()}.nsl-tools.tmp")
            _live.add(self)
            os.mkdir(self.path)
            # Another run may have taken it for an abandoned one before it was locked.
            self._lock = _open_locked(self.path)

    def take_over(self, path: str) -> bool:
        """Take over the workspace at `path` unless a run may have it; return whether it did."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            if _try_lock(descriptor) and os.path.isdir(path):
                self.path, self._lock = path, descriptor
                return True
            os.close(descriptor)
        return False

    def keep(self) -> None:
        """Let it stay when the run is killed, and others come.

        Raises:
            OSError: it cannot be renamed.
        """
        kept = self.path.removesuffix(".tmp").removesuffix(".resume") + ".resume"
        os.rename(self.path, kept)
        self.path = kept

    def leave(self) -> None:
        """Unlock it and let it stay."""
        self.path = ""
        self.remove()

    def remove(self) -> None:
        """Remove it with what it holds."""
        if self.path:
            shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
        _live.discard(self)


def remove_all() -> None:
    """Remove what this process has left, but for what is to be kept.

    A signal may come on entering `__exit__`, or while a workspace is removed: then whoever
    had it cannot remove it. A second signal kills at once, so no other is on its way.
    """
    for workspace in [*_live]:
        if _NAME.fullmatch(os.path.basename(workspace.path)):
            workspace.remove()


def workspaces(folder: str) -> list[str]:
    """Return the paths of all workspaces in `folder`, whoever has them."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [
        os.path.join(folder, name)
        for name in names
        if _NAME.fullmatch(name) or _KEPT.fullmatch(name)
    ]


def _open_locked(path: str) -> int | None:
    """Return a descriptor that holds the lock, or None if another run has it or the folder.

    A file system without locks gives no lock; nor does it to another run.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    if _try_lock(descriptor) is False or not os.path.isdir(path):
        os.close(descriptor)
        return None
    return descriptor


def _try_lock(descriptor: int) -> bool | None:
    """Return whether the lock was taken, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _reclaim(folder: str) -> None:
    """Remove the workspaces of runs that were killed, as far as that is possible."""
    with contextlib.suppress(OSError):
        for name in filter(_NAME.fullmatch, os.listdir(folder)):
            _remove_abandoned(os.path.join(folder, name))


def _remove_abandoned(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _try_lock(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
