"""What a killed run leaves goes with the next run; what a living one has stays."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files.outputs import Outputs, marked_if_incomplete
from nsl_tools.files.publishing import OutputError, publish
from nsl_tools.files.staging import StagingDirectory
from nsl_tools.files.streams import INCOMPLETE

if TYPE_CHECKING:
    from pathlib import Path

_KILLED = """
import os, signal, sys
from nsl_tools.files.outputs import Outputs
with Outputs() as outputs, outputs.open(sys.argv[1]) as file:
    file.write(b"x" * (1 << 21))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _write(path: Path) -> None:
    with Outputs() as outputs, outputs.open(str(path)) as file:
        file.write(b"new")


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    """Whatever file the next run writes there."""
    subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "out")], check=False)
    (left,) = os.listdir(tmp_path)
    assert left.endswith(".nsl-tools.tmp")
    assert len(os.listdir(tmp_path / left)) == 1
    _write(tmp_path / "other")
    assert os.listdir(tmp_path) == ["other"]


def test_what_a_living_run_has_stays(tmp_path: Path) -> None:
    """Its lock says that it lives."""
    with Outputs() as outputs:
        with outputs.open(str(tmp_path / "slow")) as file:
            file.write(b"slow")
        _write(tmp_path / "quick")
        assert (tmp_path / "quick").exists()
    assert (tmp_path / "slow").read_bytes() == b"slow"
    assert sorted(os.listdir(tmp_path)) == ["quick", "slow"]


def test_other_names_are_left_alone(tmp_path: Path) -> None:
    """A file, a folder and a name that only look like a staging directory."""
    names = [
        ".0123456789abcdef.nsl-tools.tmp",
        ".x.nsl-tools.tmp",
        "0123456789abcdef.nsl-tools.tmp",
    ]
    (tmp_path / names[0]).touch()
    for name in names[1:]:
        (tmp_path / name).mkdir()
    _write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "out"])


def test_many_runs_in_one_folder(tmp_path: Path) -> None:
    """None takes another's staging directory for abandoned, however they interleave."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for round_ in range(40):
                _write(tmp_path / f"{number}-{round_}")
        except BaseException as err:  # noqa: BLE001 - shown by the assertion
            failures.append(err)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(os.listdir(tmp_path)) == 240


def test_a_staging_directory_that_is_taken_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is made."""
    real, taken = fcntl.flock, []

    def take_first(descriptor: int, flags: int) -> None:
        if not taken:
            taken.append(os.listdir(tmp_path)[0])
            os.rmdir(tmp_path / taken[0])
        real(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", take_first)
    staging = StagingDirectory(str(tmp_path))
    staging.create()
    assert os.listdir(tmp_path) != taken
    assert os.path.isdir(staging.path)
    staging.remove()
    assert os.listdir(tmp_path) == []


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output works, and nobody's staging directory is removed."""

    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    living = StagingDirectory(str(tmp_path))
    living.create()
    _write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"
    assert os.path.isdir(living.path)


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("failing", ["second rename", "sync"])
def test_files_that_were_renamed_before_a_failure_are_renamed_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None, failing: str
) -> None:
    """All files of a run are replaced, or none."""
    finals = [tmp_path / "a", tmp_path / "b"]
    for final in finals:
        if old is not None:
            final.write_bytes(old)
    real = os.replace

    def replace(source: str, target: str, **folders: int) -> None:
        if failing == "second rename" and target == "b" and not source.endswith(".old"):
            raise OSError(5, "Input/output error")
        real(source, target, **folders)

    def fsync(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", replace)
    outputs = Outputs()
    for final in finals:
        with outputs.open(str(final)) as file:
            file.write(b"new")
    if failing == "sync":
        monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="b: cannot be written: Input/output error"):
        publish(outputs.written)
    outputs.clean_up()
    assert sorted(os.listdir(tmp_path)) == ([] if old is None else ["a", "b"])
    for final in finals:
        assert (final.read_bytes() if final.exists() else None) == old


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_pipe_whose_writer_fails_ends_with_a_mark(when: str) -> None:
    """Whether it wrote something already or not."""
    reader, writer = os.pipe()

    def fail() -> None:
        path = f"/dev/fd/{writer}"
        with marked_if_incomplete([path]), Outputs() as outputs:
            if when == "while":
                with outputs.open(path) as file:
                    file.write(b"begun")
                    raise KeyError
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        written = pipe.read()
    assert written.startswith({"before": INCOMPLETE, "while": b"begun" + INCOMPLETE}[when])
    assert written.endswith(INCOMPLETE)


def test_a_named_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    """A run that fails before it writes just fails."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(KeyError), marked_if_incomplete([str(tmp_path / "fifo")]):
        raise KeyError


def test_a_full_pipe_that_does_not_block(tmp_path: Path) -> None:
    """It is waited for: a shell's other programs may have made it non-blocking."""
    data = os.urandom(1 << 20)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received: list[bytes] = []

    def receive() -> None:
        with os.fdopen(reader, "rb") as pipe:
            received.append(pipe.read())

    thread = threading.Thread(target=receive)
    with Outputs() as outputs, outputs.open(f"/dev/fd/{writer}") as file:
        threading.Timer(0.1, thread.start).start()
        file.write(data)
    os.close(writer)
    thread.join()
    assert received == [data]
    assert os.listdir(tmp_path) == []
