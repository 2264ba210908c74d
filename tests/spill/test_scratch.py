"""Scratch files: nameless, checked before the start, one clear error."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from nsl_tools.progress import Progress
from nsl_tools.spill.scratch import ScratchError, ScratchFile, claim_space


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_what_was_written_is_read_at_any_place(folder: Path) -> None:
    numbers = np.arange(1000, dtype="<i4")
    with ScratchFile() as file:
        file.write(b"head")
        file.write(numbers)
        assert file.size == 4004
        found = np.empty(10, "<i4")
        file.read_into(found, 4 + 4 * 500)
        assert found.tolist() == list(range(500, 510))
        assert not list(folder.iterdir())


def test_a_read_past_the_end_is_an_error(folder: Path) -> None:
    with ScratchFile() as file, pytest.raises(ScratchError, match=f"{folder}: shorter than it"):
        file.read_into(bytearray(1), 0)


@pytest.mark.own_memory("under --spill nothing is announced")
def test_space_is_announced_and_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim_space(123_456, "vectors", Progress("pack-nbrs", quiet=False))
    assert (
        capsys.readouterr().err
        == f"pack-nbrs: scratch files of up to 123 kB in {folder}, for vectors\n"
    )
    with pytest.raises(ScratchError, match=r"expected 1 EB of free space, found .*: name an"):
        claim_space(10**18, "vectors", Progress())


def test_a_full_disk_is_one_clear_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", full)
    problem = f"scratch files in {folder}: No space left on device: name another folder by TMPDIR"
    with ScratchFile() as file, pytest.raises(ScratchError, match=problem):
        file.write(b"x")


def test_writes_that_the_system_cuts_short_are_continued(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: preadv(fd, [buffers[0][:2]], at))
    with ScratchFile() as file:
        file.write(b"0123456789")
        found = bytearray(7)
        file.read_into(found, 2)
    assert found == b"2345678"
    assert not list(folder.iterdir())


def test_without_a_usable_folder_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/x']")

    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(ScratchError, match="scratch files: No usable temporary directory"):
        claim_space(1, "vectors", Progress())
    with pytest.raises(ScratchError, match="scratch files: No usable temporary directory"):
        ScratchFile()
