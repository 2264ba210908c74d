"""`files.direct_io`: what is written reaches the disk on the way, and failures come up."""

import errno
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from nsl_tools.files.direct_io import DiskWriter, Syncer
from nsl_tools.tuning import TUNING

MANY = 1 << 26


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)


def test_it_syncs_once_much_was_written(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with Syncer(descriptor) as syncer:
        for _ in range(10):
            syncer.note(100)
        assert synced == []
        syncer.note(MANY)
    assert synced == [descriptor]


def fail(_: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_sync_that_fails_is_an_error_at_the_end(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would not tell the last sync of it."""
    monkeypatch.setattr(os, "fdatasync", fail)
    syncer = Syncer(descriptor)
    with pytest.raises(OSError, match="Input/output"), syncer:
        syncer.note(MANY)
        assert True


def test_an_error_before_it_is_not_replaced(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(KeyError, match="first"), Syncer(descriptor) as syncer:
        syncer.note(MANY)
        raise KeyError("first")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are large from 8 KiB on, in blocks of 4 KiB."""
    monkeypatch.setattr(TUNING, "cached_bytes", 1 << 13)
    monkeypatch.setattr(TUNING, "direct_bytes", 1 << 12)


def written(path: Path, pieces: list[bytes]) -> bytes:
    """Return what is in a file that was written in pieces."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with DiskWriter(descriptor) as disk:
            for piece in pieces:
                disk.write(memoryview(piece))
            disk.finish()
    finally:
        os.close(descriptor)
    return path.read_bytes()


def pieces_of(size: int, *, by: int) -> list[bytes]:
    """Return bytes in pieces."""
    data = np.random.default_rng(size).bytes(size)
    return [data[start : start + by] for start in range(0, size, by)]


SIZES = [0, 1, 8191, 8192, 8193, 12287, 12288, 12289, 20480, 20481, 100_000]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by", [1000, 4096, 30_000])
def test_a_file_of_any_size_holds_what_was_written(tmp_path: Path, size: int, by: int) -> None:
    """Whether its end is in the cache's part, in a block, or at a border."""
    pieces = pieces_of(size, by=by)
    assert written(tmp_path / "file", pieces) == b"".join(pieces)


@pytest.mark.usefixtures("small")
def test_a_large_file_goes_past_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole blocks, but for its first part and what is left at its end."""
    calls: list[tuple[int, bool]] = []
    write = os.write

    def noted(descriptor: int, data: memoryview) -> int:
        direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
        calls.append((len(data), direct))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", noted)
    written(tmp_path / "file", pieces_of(20_000, by=5000))
    assert [size for size, direct in calls if not direct] == [5000, 3192, 3616]
    assert [size for size, direct in calls if direct] in ([], [4096, 4096])  # [] if it cannot


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSPC])
def test_what_refuses_to_pass_the_cache_is_written_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """But other errors of such a write are errors."""
    write, fcntl_ = os.write, fcntl.fcntl
    flags = {"direct": 0}

    def control(descriptor: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETFL:
            flags["direct"] = value & os.O_DIRECT
            return 0
        return fcntl_(descriptor, command)

    def refusing(descriptor: int, data: memoryview) -> int:
        if flags["direct"]:
            raise OSError(code, os.strerror(code))
        return write(descriptor, data)

    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "write", refusing)
    pieces = pieces_of(30_000, by=7000)
    if code == errno.EINVAL:
        assert written(tmp_path / "file", pieces) == b"".join(pieces)
    else:
        with pytest.raises(OSError, match="space"):
            written(tmp_path / "file", pieces)


@pytest.mark.usefixtures("small")
def test_a_system_that_cannot_pass_the_cache_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lacks the flag, or does not let it be set."""
    pieces = pieces_of(30_000, by=7000)
    monkeypatch.delattr(os, "O_DIRECT")
    assert written(tmp_path / "file", pieces) == b"".join(pieces)


@pytest.mark.usefixtures("small")
def test_writes_that_come_short_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also past the cache: what is left may not be a block of the disk."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:1000]))
    pieces = pieces_of(30_000, by=7000)
    assert written(tmp_path / "file", pieces) == b"".join(pieces)
