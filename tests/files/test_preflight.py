"""Checks before the work: what is refused, and why."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.files.paths import files_of_output
from nsl_tools.files.preflight import check_outputs, check_report, check_space
from nsl_tools.files.publishing import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_outputs_that_cannot_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    """Missing folders and folders are named; a stream is not a file and needs no folder."""
    with pytest.raises(OutputError, match=r"out: there is no folder .*/missing$"):
        check_outputs([f"{tmp_path}/missing/out"], [])
    with pytest.raises(OutputError, match="is a folder, expected a file name"):
        check_outputs([str(tmp_path)], [])
    with pytest.raises(OutputError, match=r"a\\nb/out: there is no folder"):
        check_outputs([f"{tmp_path}/a\nb/out"], [])
    check_outputs(["-", "/dev/null", "/dev/fd/1", "new", f"{tmp_path}/new"], [])


def test_a_closed_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent may start the program with standard output closed."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="<stdout>: cannot be written: it is closed"):
        check_outputs(["-"], [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    """It is named before the work."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="is not writable"):
        check_outputs([f"{tmp_path}/out"], [])


def test_an_output_that_is_an_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same path spelled otherwise, a symbolic link and a hard link are the same file."""
    monkeypatch.chdir(tmp_path)
    Path("in").write_bytes(b"content")
    Path("symlink").symlink_to("in")
    os.link("in", "hardlink")
    Path("folder").symlink_to(".")
    names = ["in", "./in", f"{tmp_path}/in", "symlink", "hardlink", "folder/in"]
    for output in names:
        for given in names:
            with pytest.raises(UsageError, match=f"^{output}: the output is also an input"):
                check_outputs(["other", output], ["elsewhere", given])
    Path("copy").write_bytes(b"content")
    check_outputs(["copy", "new"], names)


def test_outputs_that_are_one_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two shards only one would stay: be the link to an old file or to a new one."""
    monkeypatch.chdir(tmp_path)
    os.symlink("b", "a")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"^b: the output is also another one \(a\)$"):
            check_outputs(["a", "b"], [])
        Path("b").touch()
    check_outputs(["a", "c"], [])


@pytest.mark.parametrize("missing", ["", "x/", "sub/", "./", "sub/.", "..", "/"])
def test_an_output_without_a_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Before the work; no file `x` is written for `x/`."""
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    with pytest.raises((UsageError, OutputError), match=r"expected (the|a file) name"):
        check_outputs([missing], [])


@pytest.mark.parametrize("output", ["out", "out@2"])
def test_a_working_folder_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """It has no path, and takes no file; an absolute one is none of its business."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError, match=r"out.*: the working folder was removed$"):
        check_outputs(files_of_output(output), [])
    check_outputs(files_of_output(f"{tmp_path}/{output}"), [])


def test_a_manifest_that_would_replace_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an output as any."""
    monkeypatch.chdir(tmp_path)
    Path("in").touch()
    os.symlink("in", ".out@2.manifest.json")
    with pytest.raises(UsageError, match=r"manifest\.json: the output is also an input \(in\)"):
        check_outputs(files_of_output("out@2"), ["in"])


def test_a_report_is_refused_where_an_output_is_and_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a file of its own, by whatever name."""
    monkeypatch.chdir(tmp_path)
    Path("in").touch()
    Path("folder").mkdir()
    Path("link").symlink_to("in")
    os.mkfifo("pipe")
    for stream in ("-", "/dev/null", "/dev/stdout", "pipe"):
        with pytest.raises(
            UsageError, match=f"^--report: expected the name of a file, .* {stream}"
        ):
            check_report(stream, [])
    for name in ("in", "link", f"{tmp_path}/in"):
        with pytest.raises(UsageError, match=rf"{name}: the report is also an input or .* \(in\)"):
            check_report(name, ["out", "in"])
    with pytest.raises(UsageError, match=r"r: the report is also an input or output \(\./r\)"):
        check_report("r", ["./r"])
    with pytest.raises(UsageError, match="has the name of a manifest of shards"):
        check_report(".any@3.manifest.json", [])
    for name, problem in (("folder", "is a folder"), ("gone/r", "there is no folder")):
        with pytest.raises(OutputError, match=f"^{name}: {problem}"):
            check_report(name, [])
    check_report("r", ["in", "out", "-", "gone/in"])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the file system says: bytes free, and blocks in all."""

    def say(size: int, blocks: int = 1 << 20) -> None:
        fields = [1, 1, blocks, size, size, *os.statvfs("/")[5:10]]
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))

    return say


def test_outputs_that_do_not_fit_are_refused(tmp_path: Path, free: Callable[..., None]) -> None:
    """With what is needed and what there is, however little is known of them."""
    free(1999)
    problem = rf"^{tmp_path}/out: cannot be .* 2 kB of free space in {tmp_path}, found 2 kB: make"
    with pytest.raises(OutputError, match=problem):
        check_space([f"{tmp_path}/out"], 2000)
    check_space([f"{tmp_path}/out"], 1999)
    free(0)
    with pytest.raises(OutputError, match=r"at least 1 B of free space"):
        check_space([f"{tmp_path}/out"], 0)
    free(0, blocks=0)
    check_space([f"{tmp_path}/out"], 2000)


def test_shards_in_several_folders_share_the_size(
    tmp_path: Path, free: Callable[..., None]
) -> None:
    """By symbolic links: two of three shards are in one folder."""
    (tmp_path / "far").mkdir()
    (tmp_path / "s3").symlink_to("far/s3")
    shards = [str(tmp_path / name) for name in ("s1", "s2", "s3")]
    free(200)
    check_space(shards, 300)
    with pytest.raises(OutputError, match=f"s1: .* at least 201 B of free space in {tmp_path},"):
        check_space(shards, 302)
    check_space(["/dev/null", "-"], 1 << 60)
