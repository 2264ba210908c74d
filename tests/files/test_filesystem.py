"""What is at a path, and how it is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files.filesystem import (
    exists,
    first_bytes,
    is_folder,
    matching,
    open_to_read,
    state_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_state_changes_with_the_file(tmp_path: Path) -> None:
    """With its content, its names, and what has its name."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    states = [state_of(str(path))]
    with open(path, "rb") as file:
        assert state_of(file.fileno()) == states[0]
    os.utime(path, ns=(0, 0))
    states.append(state_of(str(path)))
    path.write_bytes(b"four")
    states.append(state_of(str(path)))
    os.link(path, tmp_path / "b")
    states.append(state_of(str(path)))
    path.unlink()
    path.write_bytes(b"four")
    states.append(state_of(str(path)))
    assert len(set(states)) == len(states)
    assert [state.size for state in states] == [3, 3, 4, 4, 4]
    assert states[3].links == 2
    assert len({state.identity for state in states}) == 2
    assert all(state.is_regular and not state.is_pipe for state in states)


def test_pipes_and_folders_are_no_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe, folder = state_of(str(tmp_path / "pipe")), state_of(str(tmp_path))
    assert (pipe.is_pipe, pipe.is_regular) == (True, False)
    assert (folder.is_pipe, folder.is_regular) == (False, False)
    assert is_folder(str(tmp_path))
    assert not is_folder(str(tmp_path / "pipe"))
    with pytest.raises(FileNotFoundError):
        state_of(str(tmp_path / "nothing"))


def test_a_link_that_leads_nowhere_exists(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    assert exists(str(tmp_path / "link"))
    assert not exists(str(tmp_path / "nothing"))


def test_patterns_are_told_from_names(tmp_path: Path) -> None:
    for name in ("b-2", "b-1", "c"):
        (tmp_path / name).touch()
    assert matching(f"{tmp_path}/b-*") == [f"{tmp_path}/b-1", f"{tmp_path}/b-2"]
    assert matching(f"{tmp_path}/x*") == []
    assert matching(f"{tmp_path}/c") is None


def test_the_first_bytes_are_those_of_files_only(tmp_path: Path) -> None:
    """Nothing waits for the writer of a pipe."""
    (tmp_path / "a").write_bytes(b"abcdef")
    os.mkfifo(tmp_path / "pipe")
    assert first_bytes(f"{tmp_path}/a", 4) == b"abcd"
    for name in ("pipe", "nothing", ""):
        assert first_bytes(f"{tmp_path}/{name}", 4) == b""
    with open_to_read(f"{tmp_path}/pipe", wait=False) as pipe:
        assert pipe.readable()
