"""Streams without end and folders in the place of inputs: refused at once, nothing is copied."""

from __future__ import annotations

import gzip
import os
import re
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from nsl_tools.formats.tfrecord.frames import frame

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

_PACK = ["pack-nbrs", "labeled", "unlabeled", "graph", "out"]
_BUILD = ["build-graph", "--seeds=labeled", "embeddings", "out"]
_TABLE = ["build-graph", "e.parquet", "out"]
_NOT_RECORDS = "record 0 at byte 0: not a TFRecord file (plain, GZIP or ZLIB): it starts with "


def _given(args: list[str], place: str, other: str) -> list[str]:
    """Return the words, another file in one place."""
    return [re.sub(f"^(--seeds=)?{place}$", rf"\1{other}", word) for word in args]


def _refused(run: Run, args: list[str]) -> str:
    """Return what is said, by a run that has no scratch space and makes nothing."""
    before = sorted(os.listdir())
    done = run(*args, env=os.environ | {"TMPDIR": "/dev/null"})
    assert done.returncode == 1
    assert sorted(os.listdir()) == before
    line = done.stderr.decode()
    assert line.count("\n") == 1
    return line.removeprefix(f"{args[0]}: error: ").rstrip("\n")


@pytest.mark.own_memory("has no scratch space")
@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("args", "place", "says"),
    [
        (_PACK, "labeled", f"{_NOT_RECORDS}other data, "),
        (_PACK, "unlabeled", f"{_NOT_RECORDS}other data, "),
        (_PACK, "graph", "a line is longer than "),
        (_BUILD, "embeddings", f"{_NOT_RECORDS}other data, "),
        (_BUILD, "labeled", f"{_NOT_RECORDS}other data, "),
    ],
    ids=["labeled", "unlabeled", "graph", "embeddings", "seeds"],
)
def test_a_device_without_end_is_refused(run: Run, args: list[str], place: str, says: str) -> None:
    """By its first bytes, or by the longest line that there may be."""
    assert _refused(run, _given(args, place, "/dev/zero")).startswith(f"/dev/zero: {says}")


_TEXT = b"".join(b"a%d\tb\t0.5\n" % i for i in range(9999))


@pytest.mark.parametrize("place", ["labeled", "unlabeled"])
@pytest.mark.parametrize(
    ("head", "says"),
    [
        (_TEXT, f"{_NOT_RECORDS}text, b'a0"),
        (gzip.compress(_TEXT), "record 0 at byte 0: the length does not match its checksum"),
        (zlib.compress(_TEXT), "record 0 at byte 0: the length does not match its checksum"),
    ],
    ids=["text", "gzip", "zlib"],
)
def test_a_pipe_of_something_else_is_refused_before_its_end(
    job: Path, run: Run, place: str, head: bytes, says: str
) -> None:
    """Its writer goes on for ever; compressed, it is what it was compressed from that counts."""
    os.mkfifo("pipe")
    written = threading.Event()

    def write() -> None:
        with open("pipe", "wb", buffering=0) as pipe:
            try:
                pipe.write(head)
                written.wait(60)
                pipe.write(head)
            except BrokenPipeError:
                pass

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        assert _refused(run, _given(_PACK, place, f"{job}/pipe")).startswith(f"{job}/pipe: {says}")
    finally:
        written.set()
        writer.join(60)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("args", "place"),
    [*((_PACK, place) for place in _PACK[1:-1]), (_BUILD, "embeddings"), (_BUILD, "labeled"),
     (_TABLE, "e.parquet")],
)  # fmt: skip
def test_a_folder_is_refused_before_anything_is_read(run: Run, args: list[str], place: str) -> None:
    """Even if what is read before it would be refused as well."""
    os.mkdir("d.parquet")
    for name in {"labeled", "unlabeled", "graph", "embeddings"} - {place}:
        with open(name, "wb") as file:
            file.write(b"no such thing" if name != "graph" else b"\n")
    said = _refused(run, _given(args, place, "d.parquet"))
    assert said == "d.parquet: a folder without data"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("size", [0, 300, 4096, 5000])
def test_a_good_pipe_is_copied_whatever_its_size(run: Run, size: int) -> None:
    """Shorter than what is looked at first, as long, and longer; an empty one has no record."""
    with open("labeled", "rb") as file:
        data = file.read()
    # One more record, of any content, makes up for the rest.
    data = size and data + frame(bytes(size - len(data) - 16))
    args = ["--max-errors=1", "--allow-empty", *_given(_PACK, "labeled", "-")[1:]]
    done = run("pack-nbrs", *args, input=data or b"")
    assert done.returncode == 0, done.stderr
    assert not size or b"examples packed" in done.stderr
