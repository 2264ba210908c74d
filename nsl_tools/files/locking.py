"""Locks that end with the process that holds them, however it ends (`flock`)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat

from nsl_tools.files.own_files import is_own

_SUFFIX = ".nsl-lock"
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK  # of what others may have put there
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


def is_at(descriptor: int, name: str, folder: int) -> bool:
    """Tell whether `name` in `folder` still stands for the file that is open."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


class LockFile:
    """An empty hidden file, locked by the one run that may write a set of shards.

    It exists while that run lives. If the run is killed, the file stays, unlocked, until the
    next run in that folder.
    """

    def __init__(self, folder: str, name: str) -> None:
        """Name the lock of the set `name`, such as `out@8`, in `folder`."""
        self.name = f".{name}{_SUFFIX}"
        self._path = folder
        self._folder: int | None = None
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Return whether no other run has it; then this one has, until `release`.

        Raises:
            OSError: it cannot be made, or something else has its name.
        """
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._folder = folder
        # Noted before it exists: so a signal in between leaves nothing behind.
        _held.add(self)
        while True:
            self._descriptor = _open(self.name, folder)
            taken = try_lock(self._descriptor)
            if taken is False:
                self._close()
                return False
            # The run that had it may have removed it meanwhile.
            if is_at(self._descriptor, self.name, folder):
                if taken is None:
                    self.release()
                return True
            os.close(self._descriptor)
            self._descriptor = None

    def release(self) -> None:
        """Remove it, and let others have it."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                if self._descriptor is None:
                    _remove_unlocked(self.name, self._folder)
                elif is_at(self._descriptor, self.name, self._folder):
                    os.unlink(self.name, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        descriptor, folder = self._descriptor, self._folder
        self._descriptor = self._folder = None
        for opened in (descriptor, folder):
            if opened is not None:
                os.close(opened)
        _held.discard(self)


def release_all() -> None:
    """Release what this process holds."""
    for lock in [*_held]:
        lock.release()


def remove_abandoned(folder: int, name: str) -> None:
    """Remove the file `name` in `folder` if it is what a killed run of this user has locked."""
    if re.fullmatch(rf"\..+@[0-9]+{re.escape(_SUFFIX)}", name, re.DOTALL):
        with contextlib.suppress(OSError):
            _remove_unlocked(name, folder)


def _remove_unlocked(name: str, folder: int) -> None:
    descriptor = os.open(name, os.O_RDWR | _SAFE, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        is_ours = is_own(found) and not found.st_size
        if is_ours and try_lock(descriptor) and is_at(descriptor, name, folder):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def _open(name: str, folder: int) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            return _require_file(_open_existing(name, folder))
        with contextlib.suppress(FileExistsError):
            return _create(name, folder)


def _require_file(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _strange(errno.EEXIST)
    return descriptor


def _strange(number: int) -> OSError:
    return OSError(number, "it is no regular file: remove it")


def _open_existing(name: str, folder: int) -> int:
    # Some network file systems lock only what is open for writing; but another user's lock
    # can be opened only for reading.
    try:
        return os.open(name, os.O_RDWR | _SAFE, dir_fd=folder)
    except PermissionError:
        return os.open(name, os.O_RDONLY | _SAFE, dir_fd=folder)
    except OSError as err:
        # A link, a folder, or a socket.
        if err.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _strange(err.errno) from err
        raise


def _create(name: str, folder: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE
    readable = 0o644  # by all
    descriptor = os.open(name, flags, readable, dir_fd=folder)
    # Whatever the umask: another user who writes the same set has to see that it is locked.
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, readable)
    return descriptor
