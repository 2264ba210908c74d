"""Folders that others can write: what they plant is not followed, adopted, deleted or waited for.

The run that is attacked is root's, who could follow, take and delete anything.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import write_examples
from users import NEEDS_ROOT, OTHER, as_other_user, other_user_does

from nsl_tools import workspace as module
from nsl_tools.errors import DataError
from nsl_tools.locking import LockFile
from nsl_tools.options import PackOptions
from nsl_tools.output import OutputError, Outputs
from nsl_tools.output_checks import check_outputs
from nsl_tools.recipe import recipe
from nsl_tools.shard_set import ShardSet
from nsl_tools.shards import resolve_inputs, resolve_output
from nsl_tools.tfrecord_writer import write_records
from nsl_tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run

pytestmark = NEEDS_ROOT

_SHARDS = [f"out-0000{i}-of-00003" for i in range(3)]
_MANIFEST = ".out@3.manifest.json"
_PACK = ["pack-nbrs", "--max-nbrs", "2", "labeled", "", "graph", "out@3"]
_LEFT = ".0123456789abcdef.nsl-tools"
_FILE = "out-00000-of-00003.0123456789abcdef"


@pytest.fixture(params=[0o777, 0o1777], ids=["open", "sticky"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which all may write: `labeled` and `graph`, for 3 shards."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.chdir(folder)
    write_examples("labeled", [{"id": [b"%d" % i]} for i in range(9)])
    Path("graph").write_text("0\t1\t0.5\n1\t2\t0.5\n8\t4\t0.5\n")
    folder.chmod(request.param)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder of root's own, with files as in a workspace of the set."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    _fill(folder)
    return folder


def _fill(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps({"set": "out@3", "run": _recipe()}))
    (folder / _FILE).write_bytes(b"precious")
    (folder / "other.0123456789abcdef").write_bytes(b"precious")


def _recipe() -> dict[str, object]:
    inputs = {"labeled": ["labeled"], "unlabeled": [], "graph": ["graph"]}
    return recipe("pack-nbrs", PackOptions(max_neighbors=2), inputs)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _warnings(run: Run, *options: str) -> str:
    """Pack, and return what was said of the folder; the set is right, and root's."""
    done = run(*_PACK, *options)
    assert done.returncode == 0, done.stderr
    for name in (*_SHARDS, _MANIFEST):
        found = os.lstat(name)
        assert stat.S_ISREG(found.st_mode)
        assert found.st_uid == 0
    lines = done.stderr.decode().splitlines()
    return "\n".join(line for line in lines if "warning: " in line)


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
@pytest.mark.parametrize("kind", ["tmp", "resume"])
def test_a_planted_link_is_not_followed(
    shared: Path, private: Path, kind: str, options: list[str], run: Run
) -> None:
    """What it points to stays, though root may remove it, and has the files of a workspace."""
    before = _contents(private)
    other_user_does(f"ln -s {private} {_LEFT}.{kind}", shared)
    said = _warnings(run, *options)
    assert _contents(private) == before
    assert os.path.islink(f"{_LEFT}.{kind}")
    if kind == "tmp" or options:
        assert "what has the name of an ended run's folder is a link: left alone (1)" in said


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
@pytest.mark.parametrize("kind", ["tmp", "resume"])
def test_another_users_workspace_is_left_alone(
    shared: Path, kind: str, options: list[str], run: Run
) -> None:
    """Though it says to be of the same set: nothing of it is used or removed."""
    name = f"{_LEFT}.{kind}"
    text = json.dumps({"set": "out@3", "run": _recipe()})
    other_user_does(f"mkdir -m 777 {name}; cat > {name}/run.json <<'E'\n{text}\nE\n", shared)
    other_user_does(f"echo evil > {name}/{_FILE}; ln -s /etc/passwd {name}/link", shared)
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
def test_a_workspace_with_what_is_not_ours_is_left_alone(
    shared: Path, plant: Callable[[Path], None], kind: str, options: list[str], run: Run
) -> None:
    """All of it, and it is said where it is."""
    folder = shared / f"{_LEFT}.{kind}"
    folder.mkdir()
    folder.chmod(0o777)
    _fill(folder)
    plant(folder)
    before = sorted(os.listdir(folder))
    said = _warnings(run, *options)
    assert sorted(os.listdir(folder)) == before
    assert f"{folder.resolve()}: holds what no run of this user made: left alone (1)" in said


def test_a_workspace_of_our_own_goes(shared: Path, run: Run) -> None:
    """The same without anything planted: so the tests above can tell."""
    for kind in ("tmp", "resume"):
        (shared / f"{_LEFT}.{kind}").mkdir()
        _fill(shared / f"{_LEFT}.{kind}")
    assert _warnings(run) == ""
    assert not [name for name in os.listdir(shared) if name.startswith(_LEFT)]


@pytest.mark.parametrize("when", ["locked", "listed"])
def test_a_name_that_is_retargeted_in_time(
    shared: Path, private: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Between any two steps: what was opened is what is emptied, whatever its name is now."""
    before = _contents(private)
    left = shared / f"{_LEFT}.tmp"
    left.mkdir()
    _fill(left)
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
    workspace = Workspace(str(shared))
    workspace.create()
    workspace.remove()
    assert retargeted
    assert _contents(private) == before
    assert bool(listed(shared / "aside")) == (when == "locked")


def test_our_own_workspace_is_reached_when_its_name_is_retargeted(
    shared: Path, private: Path
) -> None:
    """What is written goes to the folder that was made, and from there to its place."""
    before = _contents(private)
    with Outputs() as outputs:
        with outputs.open("first") as file:
            file.write(b"first")
        (own,) = outputs.workspaces.values()
        os.rename(own.path, shared / "aside")
        os.symlink(private, own.path)
        with outputs.open("second") as file:
            file.write(b"second")
    assert (Path("first").read_bytes(), Path("second").read_bytes()) == (b"first", b"second")
    assert _contents(private) == before
    assert os.listdir(shared / "aside") == []


_FORGERIES = {
    "another user's": "cp {0} copy; mv -f copy {0}",
    "a link": "cp {0} copy; rm -f {0}; ln -s copy {0}",
}


@pytest.mark.parametrize("shared", [0o777], indirect=True)
@pytest.mark.parametrize("forgery", _FORGERIES)
@pytest.mark.parametrize("name", [_SHARDS[1], _MANIFEST])
def test_what_others_put_in_place_is_not_resumed(
    shared: Path, forgery: str, name: str, run: Run
) -> None:
    """Though every byte is right; of a set by another's manifest nothing is."""
    assert run(*_PACK).returncode == 0
    right = {name: Path(name).read_bytes() for name in _SHARDS}
    other_user_does(_FORGERIES[forgery].format(name), shared)
    done = run(*_PACK, "--resume")
    assert done.returncode == 0
    assert b"warning: out@3: links and other users' files are not resumed (1)" in done.stderr
    assert (b"2 shards kept" in done.stderr) == (name != _MANIFEST)
    assert (b"shards kept" in done.stderr) == (name != _MANIFEST)
    assert {name: Path(name).read_bytes() for name in _SHARDS} == right
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
    assert run(*_PACK).returncode == 0
    os.unlink(shared / _MANIFEST)
    make(_MANIFEST)
    with pytest.raises(DataError, match=r"\.out@3\.manifest\.json: is not a manifest .*: it is no"):
        resolve_inputs(["out@3"])
    done = run(*_PACK, "--resume")
    assert done.returncode == (1 if make is _folder else 0)
    assert done.stderr.count(b"error: ") == (make is _folder)


@pytest.mark.parametrize("name", ["run.json", f"{_FILE}.shard.json", _FILE])
def test_a_pipe_in_a_workspace_is_not_waited_for(shared: Path, name: str, run: Run) -> None:
    """Whatever it stands for."""
    left = shared / f"{_LEFT}.resume"
    left.mkdir()
    _fill(left)
    (left / f"{_FILE}.shard.json").write_text(
        json.dumps({"name": _SHARDS[0], "bytes": 0, "records": 3, "crc32c": "00000000"})
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
    done = run(*_PACK)
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
    assert all(os.stat(name).st_uid == OTHER for name in _SHARDS)
    assert lock.exists()


@pytest.mark.parametrize(
    ("plant", "said"),
    [("ln -s {0}", "Too many levels of symbolic links"), ("mkfifo", "it is no regular file: ")],
)
def test_what_only_has_the_name_of_a_lock(
    shared: Path, private: Path, plant: str, said: str, run: Run
) -> None:
    """It is said before the work, and not followed, waited for or removed."""
    before = _contents(private)
    other_user_does(f"{plant.format(private / _FILE)} .out@3.nsl-lock", shared)
    done = run(*_PACK)
    assert done.returncode == 1
    line = "pack-nbrs: error: out@3 (its lock .out@3.nsl-lock): cannot be written: "
    assert done.stderr.decode().startswith(line + said)
    assert os.path.lexists(".out@3.nsl-lock")
    assert _contents(private) == before


@pytest.mark.parametrize("output", ["out", "out@3"])
def test_a_file_that_only_its_owner_may_replace(shared: Path, output: str) -> None:
    """In a folder with a sticky bit that is said before the work; others let it be replaced."""
    sticky = shared.stat().st_mode & stat.S_ISVTX
    names = resolve_output(output)
    for name in (*names, _MANIFEST):
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
    Path(_MANIFEST).write_bytes(b"root's")
    with as_other_user(), pytest.raises(OutputError, match=rf"{_MANIFEST}: belongs to user 0"):
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


def test_a_run_of_no_rights_in_a_folder_of_all(shared: Path) -> None:
    """It leaves alone what root's killed runs left, and says so."""
    for kind in ("tmp", "resume"):
        (shared / f"{_LEFT}.{kind}").mkdir(mode=0o700)
        _fill(shared / f"{_LEFT}.{kind}")
    warnings: Counter[str] = Counter()
    with as_other_user(), ShardSet("out@3", run=_recipe(), warnings=warnings) as shards:
        for name, _ in shards.parts(3):
            with shards.open_part(name) as part:
                part.write(b"x")
    why = "what has the name of an ended run's folder belongs to user 0: left alone"
    assert warnings == {f"{shared.resolve()}: {why}": 2}
    assert len(os.listdir(f"{_LEFT}.tmp")) == len(os.listdir(f"{_LEFT}.resume")) == 3


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
            (workspace,) = outputs.workspaces.values()
            (name,) = os.listdir(workspace.path)
            found = os.stat(os.path.join(workspace.path, name))
            assert stat.S_IMODE(found.st_mode) == (0o600 if old is None else old & 0o600)
            assert stat.S_IMODE(os.stat(workspace.path).st_mode) == 0o700
            with as_other_user(), pytest.raises(PermissionError):
                os.listdir(workspace.path)
    finally:
        os.umask(umask)
    mode = stat.S_IMODE(os.stat("out").st_mode)
    assert mode == (0o666 if old is None else old & 0o777)
