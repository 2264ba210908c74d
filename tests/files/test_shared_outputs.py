"""Outputs in folders that others can write: where they go, who may read them, what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from users import (
    FILE,
    MANIFEST,
    NEEDS_ROOT,
    OTHER,
    PACK,
    SHARDS,
    as_other_user,
    contents,
    other_user_does,
)

from nsl_tools.files.outputs import Outputs
from nsl_tools.files.paths import resolve_output
from nsl_tools.files.preflight import check_outputs
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from conftest import Run

pytestmark = NEEDS_ROOT


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
@pytest.mark.parametrize("name", ["out", SHARDS[1], MANIFEST, "report"])
def test_links_of_other_users_are_not_followed(
    shared: Path, private: Path, name: str, options: list[str], run: Run
) -> None:
    """Else they would choose which file of ours is replaced; it is said before the work."""
    before = contents(private)
    other_user_does(f"ln -s {private / FILE} aside; ln -s aside {name}", shared)
    there = sorted(os.listdir(shared))
    output = "out" if name == "out" else "out@3"
    options = [] if name == "out" else options
    done = run(*PACK[:-1], output, *options, "--report=report")
    assert done.returncode == 1
    said = f"it is a link of user {OTHER}: remove it, or name another output\n"
    assert done.stderr.decode() == f"pack-nbrs: error: {name}: cannot be written: {said}"
    assert contents(private) == before
    assert sorted({*os.listdir(shared)} - {"report"}) == sorted({*there} - {"report"})


def test_a_link_that_is_planted_after_the_check(shared: Path, private: Path) -> None:
    """It is looked at again when the output is opened, and when the set is complete."""
    before = contents(private)
    with ShardSet("out@3") as shards:
        (first, *_), *_ = shards.parts(3)
        with shards.open_part(first) as part:
            part.write(b"x")
        other_user_does(f"ln -s {private / FILE} {SHARDS[1]}", shared)
        with pytest.raises(OutputError, match="it is a link of user"), shards.open_part(SHARDS[1]):
            pass
        os.unlink(SHARDS[1])
        for name in SHARDS[1:]:
            with shards.open_part(name) as part:
                part.write(b"x")
        other_user_does(f"ln -s {private / FILE} {SHARDS[1]}", shared)
    assert contents(private) == before
    assert all(Path(name).read_bytes() == b"x" for name in SHARDS)
    assert not os.path.islink(SHARDS[1])


def test_links_of_the_folders_owner_are_followed(shared: Path) -> None:
    """Who owns the folder could put there what they like anyway."""
    os.chown(shared, OTHER, OTHER)
    other_user_does("mkdir inner; ln -s inner/file out", shared)
    with Outputs() as outputs, outputs.open("out") as file:
        file.write(b"x")
    assert (shared / "inner" / "file").read_bytes() == b"x"


@pytest.mark.parametrize("plant", ["mkfifo -m 666 out", "mkfifo pipe; ln -s pipe out"])
def test_a_pipe_that_another_user_put_where_the_output_goes(
    shared: Path, plant: str, run: Run
) -> None:
    """It is not waited for, and gets nothing."""
    other_user_does(plant, shared)
    done = run(*PACK[:-1], "out")
    assert done.returncode == 1
    assert b"pack-nbrs: error: out: cannot be written: it is a " in done.stderr
    assert f" of user {OTHER}: remove it, or name another output\n".encode() in done.stderr


def test_a_pipe_that_takes_the_place_of_ours(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check and the opening."""
    os.mkfifo("out")
    other_user_does("mkfifo -m 666 theirs", shared)
    readers = [os.open(name, os.O_RDONLY | os.O_NONBLOCK) for name in ("out", "theirs")]
    real = os.open

    def swapped(path: str, *args: int, **options: int) -> int:
        if path == "out":
            os.rename("theirs", "out")
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", swapped)
    said = "out: cannot be written: it was replaced meanwhile"
    with (
        pytest.raises(OutputError, match=said),
        Outputs() as outputs,
        outputs.open("out") as file,
    ):
        file.write(b"secret")
    assert [os.read(reader, 10) for reader in readers] == [b"", b""]
    for reader in readers:
        os.close(reader)


@pytest.mark.parametrize("output", ["out", "out@3"])
def test_a_file_that_only_its_owner_may_replace(shared: Path, output: str) -> None:
    """In a folder with a sticky bit that is said before the work; others let it be replaced."""
    sticky = shared.stat().st_mode & stat.S_ISVTX
    names = resolve_output(output)
    for name in (*names, MANIFEST):
        Path(name).write_bytes(b"root's")
    with as_other_user():
        if sticky:
            with pytest.raises(OutputError, match=f"^{names[0]}: belongs to user 0, who alone"):
                check_outputs(names, [])
        else:
            check_outputs(names, [])
            write_records(output, [b"a", b"b", b"c"], 3)
            assert all(os.stat(name).st_uid == OTHER for name in names)


def test_a_manifest_that_only_its_owner_may_replace(shared: Path) -> None:
    """It is a file of the set as well."""
    shared.chmod(0o1777)
    Path(MANIFEST).write_bytes(b"root's")
    with as_other_user(), pytest.raises(OutputError, match=rf"{MANIFEST}: belongs to user 0"):
        write_records("out@3", [b"a", b"b", b"c"], 3)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o333, "cannot be listed, which it takes to sync it"),
        (0o555, "is not writable"),
        (0o666, "is not writable"),
        (0o000, "is not writable"),
    ],
)
def test_a_folder_without_a_permission(shared: Path, mode: int, said: str) -> None:
    """It is refused before the work: to list it, too, is needed."""
    inner = shared / "inner"
    inner.mkdir()
    inner.chmod(mode)
    with as_other_user(), pytest.raises(OutputError, match=rf"inner {said}|/inner {said}"):
        check_outputs(["inner/out"], [])
    check_outputs(["inner/out"], [])


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("old", [None, 0o600, 0o640, 0o400, 0o7777])
def test_nobody_reads_what_is_not_complete(old: int | None) -> None:
    """Not even where a umask lets everybody read and write, and the old output did."""
    if old is not None:
        Path("out").write_bytes(b"old")
        os.chmod("out", old)
    umask = os.umask(0)
    try:
        with Outputs() as outputs, outputs.open("out") as file:
            file.write(b"x" * (1 << 21))
            (staging,) = outputs.staging_directories.values()
            (name,) = os.listdir(staging.path)
            found = os.stat(os.path.join(staging.path, name))
            assert stat.S_IMODE(found.st_mode) == (0o600 if old is None else old & 0o600)
            assert stat.S_IMODE(os.stat(staging.path).st_mode) == 0o700
            with as_other_user(), pytest.raises(PermissionError):
                os.listdir(staging.path)
    finally:
        os.umask(umask)
    mode = stat.S_IMODE(os.stat("out").st_mode)
    assert mode == (0o666 if old is None else old & 0o777)


@pytest.mark.parametrize(("old", "new"), [(0o666, 0o644), (0o600, 0o600), (0o640, 0o640)])
@pytest.mark.parametrize("shared", [0o777], indirect=True)
def test_another_users_file_does_not_open_ours(shared: Path, old: int, new: int) -> None:
    """Of permissions there, only those are taken that a new file has too."""
    other_user_does(f"touch out; chmod {old:o} out", shared)
    umask = os.umask(0o022)
    try:
        with Outputs() as outputs, outputs.open("out") as file:
            file.write(b"x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat("out").st_mode) == new
