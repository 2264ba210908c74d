"""Kinds of files."""

from __future__ import annotations

import stat

import pytest

from nsl_tools.files.stores.file_state import FileState


@pytest.mark.parametrize(
    ("kind", "regular", "pipe", "folder"),
    [
        (stat.S_IFREG, True, False, False),
        (stat.S_IFIFO, False, True, False),
        (stat.S_IFSOCK, False, True, False),
        (stat.S_IFDIR, False, False, True),
        (stat.S_IFCHR, False, False, False),
    ],
)
def test_a_kind(kind: int, regular: bool, pipe: bool, folder: bool) -> None:
    state = FileState(kind | 0o644, (1, 2), 3, (4, 5), 1)
    assert (state.is_regular, state.is_pipe, state.is_folder) == (regular, pipe, folder)
