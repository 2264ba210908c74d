"""Staging directories: hidden, beside the destination; outputs grow there until they are complete.

A run holds the lock of its staging directory (`flock`) for as long as it lives. One that
nobody has locked was left by a run that was killed: the next run that writes to the same
folder removes it. One that is to be kept for `--resume` has another name, and stays until a
run of the same output takes it up. Several runs may share a folder.

So may several users, who can rename files there and plant their own. A staging directory, and
the folder that it is in, are therefore held open, and whatever is in them is reached from
there: no name is looked up twice, and no link is followed. Only what belongs to this user and
has a name that this program gives counts as left by a killed run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from nsl_tools.files.locking import is_at, release_all, remove_abandoned, try_lock
from nsl_tools.files.own_files import is_own

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "run.json"
"""Name of the file in a staging directory that tells what it is for."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_live: set[StagingDirectory] = set()


class StagingDirectory:
    """A folder of this run only, in `folder`, or one that an ended run has left there.

    Attributes:
        folder: where it is.
        warnings: what was left alone there, by reason.
        name: its name in `folder`; empty if it is not there.
        may_live: whether the run that has it may not have ended.
    """

    def __init__(self, folder: str, warnings: Counter[str] | None = None) -> None:
        self.folder = folder
        self.warnings: Counter[str] = Counter() if warnings is None else warnings
        self.name = ""
        self._outer: int | None = None
        self._inner: int | None = None
        self.may_live = True
        self._is_made_here = False
        self._is_locked = False

    @property
    def path(self) -> str:
        """Its path; empty if it is not there."""
        return self.name and os.path.join(self.folder, self.name)

    @property
    def outer(self) -> int:
        """Descriptor of the folder that it is in."""
        return _known(self._outer)

    @property
    def inner(self) -> int:
        """Its own descriptor."""
        return _known(self._inner)

    @cached_property
    def default_mode(self) -> int:
        """The permissions that a new file gets here, by the umask and the folder's defaults."""
        name = new_name("mode")
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self.inner)
        try:
            return stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
            os.unlink(name, dir_fd=self.inner)

    def mode_of(self, final: str) -> int:
        """Return the permissions of the file `final` beside it, to be replaced, or of a new one.

        Raises:
            OSError: neither can be found out.
        """
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(final, dir_fd=self.outer, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                # Not whose rights a program gets that runs it: that was said of another content.
                mode = found.st_mode & 0o777
                # Another user's file could open this user's data to all.
                return mode if is_own(found) else mode & self.default_mode
        return self.default_mode

    def is_private(self) -> bool:
        """Tell whether no other user can have changed what is in it."""
        return not os.fstat(self.inner).st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    def create(self) -> None:
        """Create and lock it, and remove those of this user's runs that were killed.

        Raises:
            OSError: the folder cannot be written.
        """
        self._outer = os.open(self.folder, _FOLDER | os.O_NOFOLLOW)
        self._reclaim()
        self._is_made_here = True
        while self._inner is None:
            # Known before it exists: a signal between the two must not leave it behind.
            self.name = f".{os.urandom(8).hex()}.nsl-tools.tmp"
            _live.add(self)
            os.mkdir(self.name, 0o700, dir_fd=self._outer)
            # Another run may have taken it for an abandoned one before it was locked.
            self._inner = _open_locked(self._outer, self.name)
        self._is_locked = True

    def _reclaim(self) -> None:
        """Remove what this user's killed runs have left, as far as that is possible."""
        for name in os.listdir(self.outer):
            remove_abandoned(self.outer, name)
        for left in _opened(self.folder, self.warnings, "tmp"):
            if left.take_over():
                left.remove()

    def open_left(self, name: str) -> str:
        """Open the one of this name that a run has left, or has; it has no name if it is gone.

        Returns:
            Why it is not one of this user's; empty if it is, or is gone.
        """
        try:
            self._outer = os.open(self.folder, _FOLDER | os.O_NOFOLLOW)
            found = os.stat(name, dir_fd=self._outer, follow_symlinks=False)
            if why := _why_refused(found):
                return why
            self._inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._outer)
            if why := _why_refused(os.fstat(self._inner)):
                return why
        except OSError:
            return ""
        self.name = name
        return ""

    def take_over(self) -> bool:
        """Take over what an ended run has left; return whether this can be done.

        It cannot where that run may live, or where there is something in it that no run of
        this user made.
        """
        with contextlib.suppress(OSError):
            if try_lock(self.inner) and is_at(self.inner, self.name, self.outer):
                self.may_live = False
                self._is_locked = self._holds_only_ours()
        return self._is_locked

    def _holds_only_ours(self) -> bool:
        strange = [name for name in os.listdir(self.inner) if not self._is_ours(name)]
        if strange:
            _warn(self.warnings, self.path, "holds what no run of this user made", len(strange))
        return not strange

    def _is_ours(self, name: str) -> bool:
        found = os.stat(name, dir_fd=self.inner, follow_symlinks=False)
        made = rf"{re.escape(RUN)}|.+\.[0-9a-f]{{16}}(\.old|\.shard\.json)?"
        return is_own(found) and re.fullmatch(made, name, re.DOTALL) is not None

    def keep(self) -> None:
        """Let it stay when the run is killed, and others come.

        Raises:
            OSError: it cannot be renamed.
        """
        kept = self.name.removesuffix(".tmp").removesuffix(".resume") + ".resume"
        os.rename(self.name, kept, src_dir_fd=self.outer, dst_dir_fd=self.outer)
        self.name = kept

    def leave(self) -> None:
        """Unlock it and let it stay."""
        self.name = ""
        self.remove()

    def leave_unless_taken_over(self) -> None:
        """Let it stay unless it is this run's by now."""
        if not self._is_locked:
            self.leave()

    def remove(self) -> None:
        """Remove it with what it holds."""
        if self.name:
            self._remove()
            self.name = ""
        outer, inner, self._outer, self._inner = self._outer, self._inner, None, None
        for descriptor in (inner, outer):
            if descriptor is not None:
                os.close(descriptor)
        _live.discard(self)

    def _remove(self) -> None:
        # One that was made here goes with all that is in it: a link to an old output, made in
        # case that the renaming fails, may be another user's file.
        with contextlib.suppress(OSError):
            for name in os.listdir(self.inner):
                with contextlib.suppress(OSError):
                    if self._is_made_here or self._is_ours(name):
                        os.unlink(name, dir_fd=self.inner)
        with contextlib.suppress(OSError):
            os.rmdir(self.name, dir_fd=self.outer)


def remove_all() -> None:
    """Remove what this process has left, but for what is to be kept.

    A signal may come on entering `__exit__`, or while one is removed: then whoever had it
    cannot remove it. A second signal kills at once, so no other is on its way.
    """
    for staging in [*_live]:
        if _is_name(staging.name, "tmp"):
            staging.remove()
    release_all()


def staging_directories(folder: str, warnings: Counter[str]) -> Iterator[StagingDirectory]:
    """Yield this user's staging directories in `folder`, of runs that live too.

    Each is closed when the next one is asked for, unless it was taken over.
    """
    with contextlib.suppress(OSError):
        yield from _opened(folder, warnings, "tmp", "resume")


def new_name(prefix: str) -> str:
    """Return a name, which begins so, for a file in a staging directory."""
    return f"{prefix}.{os.urandom(8).hex()}"


def _is_name(name: str, *suffixes: str) -> bool:
    """Tell whether this program gives such a name, with one of these suffixes."""
    return re.fullmatch(rf"\.[0-9a-f]{{16}}\.nsl-tools\.({'|'.join(suffixes)})", name) is not None


def _opened(folder: str, warnings: Counter[str], *suffixes: str) -> Iterator[StagingDirectory]:
    """Yield this user's folders in `folder` of such names; count those of others by reason."""
    refused: Counter[str] = Counter()
    for name in sorted(os.listdir(folder)):
        if _is_name(name, *suffixes):
            staging = StagingDirectory(folder, warnings)
            try:
                if why := staging.open_left(name):
                    refused[why] += 1
                elif staging.name:
                    yield staging
            finally:
                staging.leave_unless_taken_over()
    for why, count in refused.items():
        _warn(warnings, folder, why, count)


def _why_refused(found: os.stat_result) -> str:
    """Return in words why this is no folder of this user's; empty if it is."""
    what = "what has the name of an ended run's folder"
    if not stat.S_ISDIR(found.st_mode):
        return f"{what} is {'a link' if stat.S_ISLNK(found.st_mode) else 'none'}"
    return "" if found.st_uid == os.geteuid() else f"{what} belongs to user {found.st_uid}"


def _warn(warnings: Counter[str], where: str, why: str, count: int) -> None:
    reason = f"{where}: {why}: left alone"
    # More than one search may meet the same.
    warnings[reason] = max(warnings[reason], count)


def _known(descriptor: int | None) -> int:
    if descriptor is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return descriptor


def _open_locked(folder: int, name: str) -> int | None:
    """Return a descriptor that holds the lock, or None if another run has it or the folder.

    A file system without locks gives no lock; nor does it to another run.
    """
    try:
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) is False or not is_at(descriptor, name, folder):
        os.close(descriptor)
        return None
    return descriptor
