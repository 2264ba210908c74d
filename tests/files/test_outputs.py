"""`nsl_tools.files.outputs`: a final name appears only with its complete content."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files.outputs import Outputs, is_stream
from nsl_tools.files.publishing import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OLD, _NEW = b"old content", b"new content"


class _FailureError(Exception):
    """Something else goes wrong."""


def _write(path: str | Path, data: bytes = _NEW, compression: str = "auto") -> None:
    with Outputs(compression) as outputs, outputs.open(str(path)) as file:
        file.write(data)


@pytest.fixture(params=["absent", "old"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An output that is there already, or is not."""
    path = tmp_path / "out"
    if request.param == "old":
        path.write_bytes(_OLD)
    return path


def _is_untouched(target: Path) -> bool:
    """Tell whether the folder holds just what it held before."""
    return not os.listdir(target.parent) or (
        os.listdir(target.parent) == [target.name] and target.read_bytes() == _OLD
    )


def test_a_file_appears_complete(target: Path) -> None:
    """Until the end, the name is absent or the old content is there; then the new one."""
    with Outputs() as outputs:
        with outputs.open(str(target)) as file:
            file.write(_NEW)
            assert not target.exists() or target.read_bytes() == _OLD
        assert not target.exists() or target.read_bytes() == _OLD
    assert target.read_bytes() == _NEW
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("failure", [_FailureError(), KeyboardInterrupt(), OSError()])
@pytest.mark.parametrize("when", ["while writing", "after writing"])
def test_a_failure_leaves_nothing(target: Path, failure: BaseException, when: str) -> None:
    """Whatever fails, in this file or after it, the old file or none is there, and no other."""

    def write() -> None:
        with Outputs() as outputs:
            with outputs.open(str(target)) as file:
                file.write(_NEW)
                if when == "while writing":
                    raise failure
            raise failure

    with pytest.raises((type(failure), OutputError)):
        write()
    assert _is_untouched(target)


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.fchmod"])
def test_a_failing_system_call_leaves_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """An error of the file system is an OutputError that names the final name."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    if call == "os.fchmod":
        target.write_bytes(_OLD)
    monkeypatch.setattr(call, fail)
    with pytest.raises(OutputError, match=f"^{target}: cannot be written: Input/output error$"):
        _write(target)
    monkeypatch.undo()
    assert _is_untouched(target)


def test_content_is_synced_before_it_is_renamed(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is: content to disk, rename, folder to disk."""
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = os.fstat(descriptor).st_size
        calls.append("sync folder" if is_folder else f"sync {size} bytes")
        real_fsync(descriptor)

    def replace(old: str, new: str, **folders: int) -> None:
        calls.append("rename")
        real_replace(old, new, **folders)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    _write(target)
    assert calls == [f"sync {len(_NEW)} bytes", "rename", "sync folder"]


def test_all_shards_appear_or_none(tmp_path: Path) -> None:
    """The first shard is not published before the last one is complete."""
    names = [str(tmp_path / f"shard-{i}") for i in range(3)]

    def write(count: int) -> None:
        with Outputs() as outputs:
            for name in names[:count]:
                with outputs.open(name) as file:
                    file.write(_NEW)
            assert not any(map(os.path.exists, names))
            if count < len(names):
                raise _FailureError

    with pytest.raises(_FailureError):
        write(2)
    assert os.listdir(tmp_path) == []
    write(3)
    assert sorted(os.listdir(tmp_path)) == ["shard-0", "shard-1", "shard-2"]


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    """The link stays, the file that it points to is replaced in its own folder."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_bytes(_OLD)
    link = tmp_path / "link"
    link.symlink_to("there/file")
    _write(link)
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == _NEW
    assert os.listdir(tmp_path / "there") == ["file"]


def test_a_fifo_is_written_in_place(tmp_path: Path) -> None:
    """A reader gets the bytes; the pipe is still a pipe after."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    _write(fifo)
    reader.join()
    assert received == [_NEW]
    assert fifo.is_fifo()


def test_a_device_is_written_in_place() -> None:
    """`/dev/null` takes everything and stays; `/dev/full` is full."""
    _write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        _write("/dev/full")


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_an_open_file_is_written_where_it_stands(tmp_path: Path, path: str) -> None:
    """What a shell redirected with `>>` is appended to, by whatever name it is called."""
    target = tmp_path / "log"
    target.write_bytes(_OLD)
    program = (
        "from nsl_tools.files.outputs import Outputs\n"
        f"with Outputs() as outputs, outputs.open({path!r}) as file: file.write({_NEW!r})"
    )
    with target.open("ab") as log:
        subprocess.run([sys.executable, "-c", program], stdout=log, check=True)
    assert target.read_bytes() == _OLD + _NEW
    assert os.listdir(tmp_path) == ["log"]


def test_what_is_a_stream(tmp_path: Path) -> None:
    """Standard output, open descriptors, pipes and devices are; files and new names are not."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    streams = ["-", "/dev/null", "/dev/stdout", "/dev/stderr", "/dev/fd/63", f"{tmp_path}/fifo"]
    assert all(map(is_stream, streams))
    assert not any(map(is_stream, [f"{tmp_path}/file", f"{tmp_path}/new", "fd/1", "1", "stdout"]))


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_permissions_of_a_new_file_follow_the_umask(tmp_path: Path) -> None:
    """As if it had been opened under its final name."""
    _write(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


@pytest.mark.usefixtures("umask")
def test_permissions_of_an_old_file_stay(tmp_path: Path) -> None:
    """As if it had been overwritten."""
    path = tmp_path / "out"
    path.touch()
    path.chmod(0o604)
    _write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.parametrize(
    ("name", "compression", "wbits"),
    [
        ("out.gz", "auto", 31),
        ("out", "auto", None),
        ("out.gz", "none", None),
        ("out", "gzip", 31),
        ("out.gz", "zlib", zlib.MAX_WBITS),
    ],
)
def test_compression(tmp_path: Path, name: str, compression: str, wbits: int | None) -> None:
    """The option decides, else the suffix does."""
    _write(tmp_path / name, _NEW * 1000, compression)
    data = (tmp_path / name).read_bytes()
    assert (data if wbits is None else zlib.decompress(data, wbits)) == _NEW * 1000


def test_a_long_name(tmp_path: Path) -> None:
    """The longest name that a folder takes leaves room for a temporary one."""
    for letter in "aé":
        name = letter * (255 // len(letter.encode()))
        _write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == _NEW


def test_a_link_to_standard_output(tmp_path: Path) -> None:
    """It leads through /proc to a pipe that has no name."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    program = f"""
from nsl_tools.files.outputs import Outputs
with Outputs() as outputs, outputs.open({str(tmp_path / "link")!r}) as file:
    file.write(b"through")
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"through"
    assert os.listdir(tmp_path) == ["link"]
