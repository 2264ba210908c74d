"""Locks that end with the process that holds them, however it ends (`flock`)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat

from nsl_tools.own_files import is_own

_SUFFIX = ".nsl-lock"
_NAME = re.compile(r"\..+@[0-9]+" + re.escape(_SUFFIX), re.DOTALL)
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK
_READABLE = 0o644
_held: set[LockFile] = set()


def try_lock(descriptor: int) -> bool | None:
    """Return whether the lock was taken, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_at(descriptor: int, name: str, folder: int | None = None) -> bool:
    """Tell whether what is open is still what `name`, in `folder`, stands for."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


class LockFile:
    """An empty hidden file, locked by the one run that may write a set of shards.

    It is there while that run lives. Of a run that was killed it stays, unlocked, until
    the next run in that folder.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Name the lock of the set `name`, such as `out@8`, in `folder`."""
        self.name = f".{name}{_SUFFIX}"
        self._path = os.path.join(folder, self.name)
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Return whether no other run has it; then this one has, until `release`.

        Raises:
            OSError: it cannot be made, or something else has its name.
        """
        # Known before it exists: a signal between the two must not leave it behind.
        _held.add(self)
        while True:
            self._descriptor = _open(self._path)
            taken = try_lock(self._descriptor)
            if taken is False:
                self._close()
                _held.discard(self)
                return False
            # The run that had it may have removed it meanwhile.
            if is_at(self._descriptor, self._path):
                if taken is None:
                    self.release()
                return True
            self._close()

    def release(self) -> None:
        """Remove it, and let others have it."""
        if self not in _held:
            return
        with contextlib.suppress(OSError):
            if self._descriptor is None:
                _remove_unlocked(self._path)
            elif is_at(self._descriptor, self._path):
                os.unlink(self._path)
        self._close()
        _held.discard(self)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def release_all() -> None:
    """Release what this process holds."""
    for lock in [*_held]:
        lock.release()


def remove_abandoned(folder: int, name: str) -> None:
    """Remove the file `name` in `folder` if it is what a killed run of this user has locked."""
    if _NAME.fullmatch(name):
        with contextlib.suppress(OSError):
            _remove_unlocked(name, folder)


def _remove_unlocked(path: str, folder: int | None = None) -> None:
    descriptor = os.open(path, os.O_RDWR | _SAFE, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        is_ours = is_own(found) and not found.st_size
        if is_ours and try_lock(descriptor) and is_at(descriptor, path, folder):
            os.unlink(path, dir_fd=folder)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    while True:
        try:
            descriptor = _open_existing(path)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                return _create(path)
            continue
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EEXIST, "it is no regular file: remove it")
        return descriptor


def _open_existing(path: str) -> int:
    # Some network file systems lock only what is open for writing; and that of another user
    # can be opened for reading only.
    try:
        return os.open(path, os.O_RDWR | _SAFE)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _SAFE)


def _create(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, _READABLE)
    # Whatever the umask: another user who writes the same set has to see that it is locked.
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, _READABLE)
    return descriptor
