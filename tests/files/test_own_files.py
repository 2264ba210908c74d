"""`nsl_tools.files.own_files`: what is there may be anything, and is judged before it is used."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from pathlib import Path

import pytest

from nsl_tools.files import own_files
from nsl_tools.files.own_files import destination, read_json


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_of_json() -> None:
    """It is read as it is, by its name or in a folder."""
    Path("file").write_text('{"a": [1, "é"]}', encoding="utf-8")
    assert read_json("file") == {"a": [1, "é"]}
    descriptor = os.open(".", os.O_RDONLY)
    try:
        assert read_json("file", descriptor) == {"a": [1, "é"]}
    finally:
        os.close(descriptor)


def _pipe(path: str) -> None:
    os.mkfifo(path)


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def _folder(path: str) -> None:
    os.mkdir(path)


def _link(path: str) -> None:
    Path("target").write_text("{}")
    os.symlink("target", path)


def _huge(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(own_files.MOST_BYTES + 1)


@pytest.mark.parametrize("make", [_pipe, _socket, _folder, _link, _huge])
def test_what_is_no_small_file_is_not_read(make: object) -> None:
    """Nothing is waited for, followed, or read without an end."""
    assert callable(make)
    make("file")
    with pytest.raises((OSError, ValueError)):
        read_json("file")
    if make is _link:
        assert read_json("file", follow=True) == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 1_000_000, "it is nested too deeply"),
        (b'{"a":' * 1_000_000, "it is nested too deeply"),
        (b"[" + b"[]," * 6_000_000, "it has more than 4194304 values"),
        (b"1" * 10_000, "it is no JSON"),
        (b"", "it is no JSON"),
        (b"\xff{}", "it is no JSON"),
        (b'{"a": 1', "it is no JSON"),
    ],
)
def test_what_is_no_json(data: bytes, said: str) -> None:
    """However deep it is, and however long its numbers."""
    Path("file").write_bytes(data)
    with pytest.raises(ValueError, match=f"^{said}$"):
        read_json("file")


def test_a_file_that_grows_is_read_as_long_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who appends to it cannot make more be read than was allowed."""
    Path("file").write_text("[1]")
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with open("file", "a", encoding="utf-8") as file:
            file.write("," * 1000)
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    assert read_json("file") == json.loads("[1]")


@pytest.mark.parametrize(
    "path",
    ["file", "new", "./file", "sub/../file", "a", "b", "c", "sub/up", "dangling", "sub/", ".", ""],
)
def test_links_of_this_user_are_followed(folder: Path, path: str) -> None:
    """To the same place as always."""
    Path("file").touch()
    Path("sub").mkdir()
    for name, target in {
        "a": "file",
        "b": "a",
        "c": f"{folder}/sub/up",
        "sub/up": "../b",
        "dangling": "sub/new",
    }.items():
        os.symlink(target, name)
    assert destination(path) == os.path.realpath(path)


def test_links_in_a_circle() -> None:
    """They are an error."""
    os.symlink("a", "b")
    os.symlink("b", "a")
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        destination("a")


def test_a_link_that_is_replaced_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at anew: whose it was before and after says nothing of the one between."""
    os.symlink("file", "link")
    real, replaced = os.readlink, []

    def readlink(path: str) -> str:
        if replaced:
            return real(path)
        replaced.append(path)
        os.rename("link", "aside")
        os.symlink("other", "link")
        target = real(path)
        os.rename("aside", "link")
        return target

    monkeypatch.setattr(os, "readlink", readlink)
    assert destination("link") == os.path.join(os.getcwd(), "file")
    assert replaced
