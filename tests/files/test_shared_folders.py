"""Folders that others can write: what they plant is not followed, adopted, deleted or waited for.

The run that is attacked is root's, who could follow, take and delete anything.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from users import (
    FILE,
    LEFT,
    MANIFEST,
    NEEDS_ROOT,
    OTHER,
    PACK,
    SHARDS,
    as_other_user,
    contents,
    fill,
    other_user_does,
    our_provenance,
)

from nsl_tools.errors import DataError
from nsl_tools.files import staging as module
from nsl_tools.files.locking import LockFile
from nsl_tools.files.outputs import Outputs
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.files.staging import StagingDirectory
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run

pytestmark = [NEEDS_ROOT, pytest.mark.slow]


def _warnings(run: Run, *options: str) -> str:
    """Pack, and return what was said of the folder; the set is right, and root's."""
    done = run(*PACK, *options)
    assert done.returncode == 0, done.stderr
    for name in (*SHARDS, MANIFEST):
        found = os.lstat(name)
        assert stat.S_ISREG(found.st_mode)
        assert found.st_uid == 0
    lines = done.stderr.decode().splitlines()
    graph = "examples without neighbours"  # Most of these have none.
    return "\n".join(line for line in lines if "warning: " in line and graph not in line)


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
@pytest.mark.parametrize("kind", ["tmp", "resume"])
def test_a_planted_link_is_not_followed(
    shared: Path, private: Path, kind: str, options: list[str], run: Run
) -> None:
    """What it points to stays, though root may remove it, and it has files as we write them."""
    before = contents(private)
    other_user_does(f"ln -s {private} {LEFT}.{kind}", shared)
    said = _warnings(run, *options)
    assert contents(private) == before
    assert os.path.islink(f"{LEFT}.{kind}")
    if kind == "tmp" or options:
        assert "what has the name of an ended run's folder is a link: left alone (1)" in said


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
@pytest.mark.parametrize("kind", ["tmp", "resume"])
def test_another_users_staging_directory_is_left_alone(
    shared: Path, kind: str, options: list[str], run: Run
) -> None:
    """Though it says to be of the same set: nothing of it is used or removed."""
    name = f"{LEFT}.{kind}"
    text = json.dumps({"set": "out@3", "run": our_provenance()})
    other_user_does(f"mkdir -m 777 {name}; cat > {name}/run.json <<'E'\n{text}\nE\n", shared)
    other_user_does(f"echo evil > {name}/{FILE}; ln -s /etc/passwd {name}/link", shared)
    before = sorted(os.listdir(name))
    said = _warnings(run, *options)
    assert sorted(os.listdir(name)) == before
    why = f"what has the name of an ended run's folder belongs to user {OTHER}"
    assert f"warning: {shared.resolve()}: {why}: left alone (1)" in said


def _plant_link(folder: Path) -> None:
    (folder / "x.0123456789abcdef").symlink_to("/etc/passwd")


def _plant_other(folder: Path) -> None:
    other_user_does("echo theirs > x.0123456789abcdef", folder)


def _plant_hard_link(folder: Path) -> None:
    other_user_does("echo theirs > ../theirs; chmod 600 ../theirs", folder)
    os.link(folder.parent / "theirs", folder / "x.0123456789abcdef")


def _plant_pipe(folder: Path) -> None:
    os.mkfifo(folder / "x.0123456789abcdef")


def _plant_folder(folder: Path) -> None:
    (folder / "x.0123456789abcdef").mkdir()


def _plant_name(folder: Path) -> None:
    (folder / "thesis.tex").write_text("not ours")


_PLANTS = [_plant_link, _plant_other, _plant_hard_link, _plant_pipe, _plant_folder, _plant_name]


@pytest.mark.parametrize("plant", _PLANTS)
@pytest.mark.parametrize("kind", ["tmp", "resume"])
@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
def test_a_staging_directory_with_what_is_not_ours_is_left_alone(
    shared: Path, plant: Callable[[Path], None], kind: str, options: list[str], run: Run
) -> None:
    """All of it, and it is said where it is."""
    folder = shared / f"{LEFT}.{kind}"
    folder.mkdir()
    folder.chmod(0o777)
    fill(folder)
    plant(folder)
    before = sorted(os.listdir(folder))
    said = _warnings(run, *options)
    assert sorted(os.listdir(folder)) == before
    assert f"{folder.resolve()}: holds what no run of this user made: left alone (1)" in said


def test_a_staging_directory_of_our_own_goes(shared: Path, run: Run) -> None:
    """The same without anything planted: so the tests above can tell."""
    for kind in ("tmp", "resume"):
        (shared / f"{LEFT}.{kind}").mkdir()
        fill(shared / f"{LEFT}.{kind}")
    assert _warnings(run) == ""
    assert not [name for name in os.listdir(shared) if name.startswith(LEFT)]


@pytest.mark.parametrize("when", ["locked", "listed"])
def test_a_name_that_is_retargeted_in_time(
    shared: Path, private: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Between any two steps: what was opened is what is emptied, whatever its name is now."""
    before = contents(private)
    left = shared / f"{LEFT}.tmp"
    left.mkdir()
    fill(left)
    retargeted: list[str] = []

    def retarget() -> None:
        if not retargeted:
            retargeted.append(when)
            left.rename(shared / "aside")
            left.symlink_to(private)

    lock, listed = module.try_lock, os.listdir

    def try_lock(descriptor: int) -> bool | None:
        taken = lock(descriptor)
        if when == "locked":
            retarget()
        return taken

    def listdir(path: str | int) -> list[str]:
        if when == "listed" and isinstance(path, int) and "run.json" in listed(path):
            retarget()
        return listed(path)

    monkeypatch.setattr(module, "try_lock", try_lock)
    monkeypatch.setattr(os, "listdir", listdir)
    staging = StagingDirectory(str(shared))
    staging.create()
    staging.remove()
    assert retargeted
    assert contents(private) == before
    assert bool(listed(shared / "aside")) == (when == "locked")


def test_our_own_staging_directory_is_reached_when_its_name_is_retargeted(
    shared: Path, private: Path
) -> None:
    """What is written goes to the folder that was made, and from there to its place."""
    before = contents(private)
    with Outputs() as outputs:
        with outputs.open("first") as file:
            file.write(b"first")
        (own,) = outputs.staging_directories.values()
        os.rename(own.path, shared / "aside")
        os.symlink(private, own.path)
        with outputs.open("second") as file:
            file.write(b"second")
    assert (Path("first").read_bytes(), Path("second").read_bytes()) == (b"first", b"second")
    assert contents(private) == before
    assert os.listdir(shared / "aside") == []


def _copy_of_another_user(name: str, folder: Path) -> None:
    other_user_does(f"cp {name} copy; mv -f copy {name}", folder)


def _link_of_our_own(name: str, folder: Path) -> None:
    (folder / name).rename(folder / "copy")
    (folder / name).symlink_to("copy")


@pytest.mark.parametrize("shared", [0o777], indirect=True)
@pytest.mark.parametrize("forge", [_copy_of_another_user, _link_of_our_own])
@pytest.mark.parametrize("name", [SHARDS[1], MANIFEST])
def test_what_others_put_in_place_is_not_resumed(
    shared: Path, forge: Callable[[str, Path], None], name: str, run: Run
) -> None:
    """Though every byte is right; of a set by another's manifest nothing is."""
    assert run(*PACK).returncode == 0
    right = {name: Path(name).read_bytes() for name in SHARDS}
    forge(name, shared)
    done = run(*PACK, "--resume")
    assert done.returncode == 0
    assert b"warning: out@3: links and other users' files are not resumed (1)" in done.stderr
    assert (b"2 shards kept" in done.stderr) == (name != MANIFEST)
    assert (b"shards kept" in done.stderr) == (name != MANIFEST)
    assert {name: Path(name).read_bytes() for name in SHARDS} == right
    assert os.stat(name).st_uid == 0


def _pipe(path: str) -> None:
    os.mkfifo(path)


def _folder(path: str) -> None:
    os.mkdir(path)


def _device(path: str) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


@pytest.mark.parametrize("make", [_pipe, _folder, _device])
def test_a_manifest_that_is_no_file(shared: Path, make: Callable[[str], None], run: Run) -> None:
    """A pipe is not waited for, endless zeros are not read: readers say what it is."""
    assert run(*PACK).returncode == 0
    os.unlink(shared / MANIFEST)
    make(MANIFEST)
    with pytest.raises(DataError, match=r"\.out@3\.manifest\.json: is not a manifest .*: it is no"):
        resolve_inputs(["out@3"])
    done = run(*PACK, "--resume")
    assert done.returncode == (1 if make is _folder else 0)
    assert done.stderr.count(b"error: ") == (make is _folder)


@pytest.mark.parametrize("name", ["run.json", f"{FILE}.shard.json", FILE])
def test_a_pipe_in_a_staging_directory_is_not_waited_for(shared: Path, name: str, run: Run) -> None:
    """Whatever it stands for."""
    left = shared / f"{LEFT}.resume"
    left.mkdir()
    fill(left)
    (left / f"{FILE}.shard.json").write_text(
        json.dumps({"name": SHARDS[0], "bytes": 0, "records": 3, "crc32c": "00000000"})
    )
    (left / name).unlink()
    os.mkfifo(left / name)
    _warnings(run, "--resume")
    assert left.is_dir()


def test_a_lock_that_another_user_holds(shared: Path, run: Run) -> None:
    """Is respected as long as it is held, and no longer."""
    lock = LockFile(str(shared), "out@3")
    with as_other_user():
        assert lock.take()
    done = run(*PACK)
    assert done.returncode == 1
    said = "pack-nbrs: error: out@3: another run is writing this set: wait for its end\n"
    assert done.stderr.decode() == said
    lock.release()
    other_user_does("touch .out@3.nsl-lock", shared)
    _warnings(run)


def test_a_lock_that_another_user_left_where_it_cannot_be_removed(shared: Path) -> None:
    """It is not in the way, and stays."""
    shared.chmod(0o1777)
    lock = shared / ".out@3.nsl-lock"
    lock.touch(mode=0o644)
    with as_other_user():
        write_records("out@3", [b"a", b"b"], 2)
    assert all(os.stat(name).st_uid == OTHER for name in SHARDS)
    assert lock.exists()


@pytest.mark.parametrize("plant", ["ln -s {0}", "ln -s gone", "mkfifo", "mkdir"])
def test_what_only_has_the_name_of_a_lock(
    shared: Path, private: Path, plant: str, run: Run
) -> None:
    """It is said before the work, and not followed, waited for or removed."""
    before = contents(private)
    other_user_does(f"{plant.format(private / FILE)} .out@3.nsl-lock", shared)
    done = run(*PACK)
    assert done.returncode == 1
    line = "pack-nbrs: error: out@3 (its lock .out@3.nsl-lock): cannot be written: "
    assert done.stderr.decode() == line + "it is no regular file: remove it\n"
    assert os.path.lexists(".out@3.nsl-lock")
    assert contents(private) == before


def test_a_run_of_no_rights_in_a_folder_of_all(shared: Path) -> None:
    """It leaves alone what root's killed runs left, and says so."""
    for kind in ("tmp", "resume"):
        (shared / f"{LEFT}.{kind}").mkdir(mode=0o700)
        fill(shared / f"{LEFT}.{kind}")
    warnings: Counter[str] = Counter()
    with as_other_user(), ShardSet("out@3", run=our_provenance(), warnings=warnings) as shards:
        for name, _ in shards.parts(3):
            with shards.open_part(name) as part:
                part.write(b"x")
    why = "what has the name of an ended run's folder belongs to user 0: left alone"
    assert warnings == {f"{shared.resolve()}: {why}": 2}
    assert len(os.listdir(f"{LEFT}.tmp")) == len(os.listdir(f"{LEFT}.resume")) == 3


def test_a_staging_directory_that_others_could_write_is_not_resumed(shared: Path, run: Run) -> None:
    """What is in it may have been changed since it was noted, or after it is checked."""
    left = shared / f"{LEFT}.resume"
    for mode, kept in ((0o700, True), (0o720, False), (0o777, False)):
        left.mkdir()
        left.chmod(mode)
        (left / "run.json").write_text(json.dumps({"set": "out@3", "run": our_provenance()}))
        (left / FILE).write_bytes(b"")
        note = {"name": SHARDS[0], "bytes": 0, "records": 3, "crc32c": "00000000"}
        (left / f"{FILE}.shard.json").write_text(json.dumps(note))
        done = run(*PACK, "--resume")
        assert done.returncode == 0, done.stderr
        assert (b"1 shards kept" in done.stderr) == kept
        assert (Path(SHARDS[0]).stat().st_size == 0) == kept
        assert not left.exists()
        for name in (*SHARDS, MANIFEST):
            os.unlink(name)
