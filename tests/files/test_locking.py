"""Locks of sets of shards: one run has it, and whatever ends that run gives it back."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files import locking
from nsl_tools.files.locking import LockFile, is_at, release_all, remove_abandoned, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NAME = ".out@3.nsl-lock"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[LockFile]:
    found = LockFile(str(tmp_path), "out@3")
    yield found
    found.release()


def can_take(folder: Path) -> bool:
    """Tell whether another run could take the lock, as it would; it gives it back."""
    other = LockFile(str(folder), "out@3")
    taken = other.take()
    other.release()
    return taken


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/dev/fd"))


def test_one_run_has_it_until_it_releases_it(tmp_path: Path, lock: LockFile) -> None:
    """As a hidden file that all may read, and that is gone with it; no file stays open."""
    before, umask = open_files(), os.umask(0o077)
    try:
        for _ in range(2):
            assert lock.take()
            assert os.listdir(tmp_path) == [lock.name] == [_NAME]
            found = (tmp_path / _NAME).stat()
            assert (stat.S_IMODE(found.st_mode), found.st_size) == (0o644, 0)
            assert not can_take(tmp_path)
            assert LockFile(str(tmp_path), "out@4").take()
            lock.release()
            assert can_take(tmp_path)
            release_all()
    finally:
        os.umask(umask)
    assert os.listdir(tmp_path) == []
    assert open_files() == before


def test_all_that_this_process_holds_is_released(tmp_path: Path) -> None:
    for name in ("a@2", "b@2"):
        assert LockFile(str(tmp_path), name).take()
    release_all()
    assert os.listdir(tmp_path) == []


def test_a_run_that_is_killed_does_not_keep_it(tmp_path: Path) -> None:
    """Its file stays, and is in nobody's way."""
    program = (
        "import os, sys\nfrom nsl_tools.files.locking import LockFile\n"
        "print(LockFile(sys.argv[1], 'out@3').take(), flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdout
        assert child.stdout.readline() == b"True\n"
        assert not can_take(tmp_path)
        child.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == [_NAME]
    assert can_take(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_its_holder_removed_meanwhile_is_not_taken(
    tmp_path: Path, lock: LockFile, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    """Another run may have made a new one, which counts; the one that is locked is of no use."""
    inodes: list[int] = []
    before = open_files()

    def late(descriptor: int) -> bool | None:
        if not inodes:
            inodes.append(os.fstat(descriptor).st_ino)
            (tmp_path / _NAME).rename(tmp_path / "removed")
            if new:
                (tmp_path / _NAME).touch()
        return try_lock(descriptor)

    monkeypatch.setattr(locking, "try_lock", late)
    assert lock.take()
    assert (tmp_path / _NAME).stat().st_ino not in inodes
    assert not can_take(tmp_path)
    lock.release()
    assert open_files() == before


def test_a_name_that_stands_for_another_file_is_not_removed(tmp_path: Path, lock: LockFile) -> None:
    """At the end."""
    assert lock.take()
    (tmp_path / _NAME).rename(tmp_path / "moved")
    (tmp_path / _NAME).write_bytes(b"another")
    lock.release()
    assert (tmp_path / _NAME).read_bytes() == b"another"


def test_where_there_are_no_locks_every_run_goes_on(
    tmp_path: Path, lock: LockFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    for _ in range(2):
        assert lock.take()
    assert os.listdir(tmp_path) == []


def bind(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # an absolute one may be too long


_MAKE: list[Callable[[Path], object]] = [
    lambda path: path.symlink_to("elsewhere"), lambda path: path.mkdir(), os.mkfifo, bind,
]  # fmt: skip


@pytest.mark.parametrize("make", _MAKE, ids=["link", "folder", "pipe", "socket"])
def test_what_is_no_file_is_refused(
    tmp_path: Path, lock: LockFile, make: Callable[[Path], object]
) -> None:
    """It is neither followed nor waited for, and stays."""
    make(tmp_path / _NAME)
    with pytest.raises(OSError, match="it is no regular file: remove it"):
        lock.take()
    lock.release()
    assert os.listdir(tmp_path) == [_NAME]


def test_what_stands_for_an_open_file(tmp_path: Path) -> None:
    """Its name does, and another name of it; no symbolic link, and not what it was called."""
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "b")
    folder = os.open(tmp_path, os.O_RDONLY)
    with (tmp_path / "a").open() as file:
        found = [is_at(file.fileno(), name, folder) for name in ("a", "b", "link", "gone")]
        assert found == [True, True, False, False]
        (tmp_path / "a").unlink()
        assert not is_at(file.fileno(), "a", folder)
    os.close(folder)


@pytest.mark.parametrize(
    ("name", "goes"),
    [(_NAME, True), (".a\nb@12.nsl-lock", True), ("out@3.nsl-lock", False),
     (".out.nsl-lock", False), (".@3.nsl-lock", False), (".out@3.nsl-lock.x", False)],
)  # fmt: skip
def test_what_killed_runs_left_is_told_by_its_name(tmp_path: Path, name: str, goes: bool) -> None:
    """Unless it is locked, or holds something."""
    path, folder = tmp_path / name, os.open(tmp_path, os.O_RDONLY)
    path.write_bytes(b"x")
    remove_abandoned(folder, name)
    assert path.exists()
    with path.open("wb") as file:
        assert try_lock(file.fileno())
        remove_abandoned(folder, name)
        assert path.exists()
    remove_abandoned(folder, name)
    assert path.exists() != goes
    remove_abandoned(folder, ".gone@1.nsl-lock")
    os.close(folder)
