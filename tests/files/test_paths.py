"""`nsl_tools.files.paths`: what paths stand for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.paths import (
    one_member,
    refuse_shared_streams,
    resolve_inputs,
    resolve_output,
    shard_names,
    split_evenly,
    split_member,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).touch()
    return list(names)


def test_plain_files_and_standard_input_keep_their_order(folder: Path) -> None:
    """Paths are read in the order given."""
    _touch(folder, "b", "a")
    assert resolve_inputs(["b", "-", "a"]) == ["b", "-", "a"]


def test_a_glob_is_sorted(folder: Path) -> None:
    """A pattern stands for its matches, sorted; `**` for folders too."""
    _touch(folder, "x-b", "x-a", "y")
    (folder / "sub").mkdir()
    _touch(folder, "sub/x-c")
    assert resolve_inputs(["x-*"]) == ["x-a", "x-b"]
    assert resolve_inputs(["**/x-*"]) == ["sub/x-c", "x-a", "x-b"]


def test_a_shard_set(folder: Path) -> None:
    """`base@N` stands for its N shards."""
    names = _touch(folder, *shard_names("s", 3))
    assert names == ["s-00000-of-00003", "s-00001-of-00003", "s-00002-of-00003"]
    assert resolve_inputs(["s@3"]) == names
    assert resolve_inputs(["s-*-of-00003"]) == names
    assert resolve_output("s@3") == names


def test_a_file_of_the_literal_name_comes_first(folder: Path) -> None:
    """A file called `a@2` or `[x]*` is that file."""
    _touch(folder, "a@2", "[x]*")
    assert resolve_inputs(["a@2", "[x]*"]) == ["a@2", "[x]*"]
    assert resolve_output("a@2") == ["a@2"]


def test_the_last_at_sign_counts() -> None:
    """A base may hold an at sign; a name without a number after it is a plain name."""
    assert resolve_output("me@home@1") == ["me@home-00000-of-00001"]
    assert resolve_output("me@home") == ["me@home"]
    assert resolve_output("@3") == ["@3"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("missing", "^missing: no such file"),
        ("no-*", r"^no-\*: no file matches this pattern"),
        ("gap@3", "^gap-00001-of-00003: shard missing from gap@3"),
        ("gap-*", "^gap-00001-of-00003: shard missing from gap@3"),
        ("two-*", "two shard sets of two are mixed: name one, as base@N"),
        ("new\nline", r"^new\\nline: no such file"),
    ],
)
def test_inputs_that_are_not_there(folder: Path, path: str, problem: str) -> None:
    """A missing file or shard is named, as is the remedy for mixed sets."""
    _touch(folder, "gap-00000-of-00003", "gap-00002-of-00003")
    _touch(folder, "two-00000-of-00001", *shard_names("two", 2))
    with pytest.raises(DataError, match=problem):
        resolve_inputs([path])


@pytest.mark.parametrize(
    ("paths", "warnings"),
    [
        (["s-00000-of-00005", "s-00003-of-00005"], {"s@5": "s-00001-of-00005"}),
        (["s-00000-of-00005"], {}),
        ([*shard_names("s", 5)], {}),
        (["s@5", "t-00001-of-00003", "t-00002-of-00003"], {"t@3": "t-00000-of-00003"}),
    ],
)
def test_shards_that_are_not_named(
    folder: Path, paths: list[str], warnings: dict[str, str]
) -> None:
    """A shell that expands `s-*` names those that are there; one alone is meant."""
    _touch(folder, *shard_names("s", 5), *shard_names("t", 3))
    found: Counter[str] = Counter()
    resolve_inputs(paths, found)
    assert list(found) == [
        f"shards not named, {first} the first: for all of them name {spec}"
        for spec, first in warnings.items()
    ]
    assert sum(found.values()) == sum({"s@5": 3, "t@3": 1}[spec] for spec in warnings)


@pytest.mark.parametrize("count", ["0", "100000", "9" * 30])
def test_an_impossible_number_of_shards(count: str) -> None:
    """It is a usage error, before a name is made."""
    for resolve in (resolve_output, lambda path: resolve_inputs([path])):
        with pytest.raises(UsageError, match="expected 1 to 99999 shards"):
            resolve(f"base@{count}")


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "*"], ["-", "-"]])
def test_an_input_named_twice(folder: Path, paths: list[str]) -> None:
    """Reading a file, or standard input, twice is a mistake."""
    _touch(folder, "a")
    with pytest.raises(UsageError, match=r"named 2 times: [a-]$"):
        resolve_inputs(paths)


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("paths", [["s@2"], ["s-*"], ["s-00000-of-00002", "./s-00001-of-00002"]])
def test_two_names_of_one_input(folder: Path, link: object, paths: list[str]) -> None:
    """One shard in the place of its sibling would count twice."""
    _touch(folder, "s-00001-of-00002")
    assert callable(link)
    link("s-00001-of-00002", "s-00000-of-00002")
    with pytest.raises(UsageError, match="s-00001-of-00002: is the same file as another input"):
        resolve_inputs(paths)
    Path("s-00000-of-00002").unlink()
    _touch(folder, "s-00000-of-00002")
    assert len(resolve_inputs(paths)) == 2


def test_one_stream_by_two_names(folder: Path) -> None:
    """What one reader takes from a pipe, the other does not get; devices and files are shared."""
    os.mkfifo(folder / "pipe")
    os.symlink("pipe", folder / "link")
    _touch(folder, "file")
    for again in ("link", "./pipe"):
        with pytest.raises(UsageError, match=rf"^{again}: is the same stream as another .*pipe"):
            refuse_shared_streams(["-", "pipe", "file", again])
    with pytest.raises(UsageError, match=r"^input named 2 times: -$"):
        refuse_shared_streams(["-", "pipe", "-"])
    refuse_shared_streams(["file", "file", "/dev/null", "/dev/null", "pipe", "-", "gone"])


@given(st.integers(0, 10**12), st.integers(1, 300))
def test_an_even_split(total: int, parts: int) -> None:
    """Parts follow one another, cover everything, and differ by at most one in size."""
    ranges = split_evenly(total, parts)
    assert [r.start for r in ranges] == [0, *(r.stop for r in ranges[:-1])]
    assert ranges[-1].stop == total
    sizes = {len(r) for r in ranges}
    assert max(sizes) - min(sizes) <= 1


def test_a_folder_is_all_files_in_it(folder: Path) -> None:
    """In their order, but for those that are no data: hidden, described, cached."""
    place = folder / "part"
    for name in ("b/x=2/1.parquet", "b/x=10/0.parquet", "a", "c.tfr", "z-00000"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    aside = (".crc", "_SUCCESS", "b/_metadata", "a.json", "README.md", "b/cache-1.arrow", ".x/d")
    for name in aside:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    (place / "folder.tfr").mkdir()
    names = ["a", "b/x=10/0.parquet", "b/x=2/1.parquet", "c.tfr", "z-00000"]
    assert resolve_inputs([str(place)]) == [f"{place}/{name}" for name in names]
    assert resolve_inputs([f"{place}/"]) == [f"{place}/{name}" for name in names]


def test_a_folder_without_data(folder: Path) -> None:
    (folder / "empty" / "more").mkdir(parents=True)
    (folder / "empty" / "state.json").touch()
    with pytest.raises(DataError, match="empty: a folder without data"):
        resolve_inputs([f"{folder}/empty"])


def test_what_is_named_in_a_file(folder: Path) -> None:
    """Unless a file has the whole name; of a glob, in all of its files."""
    for name in ("v.h5", "w.h5", "t:x", "t"):
        (folder / name).touch()
    assert split_member(f"{folder}/v.h5:/g/x") == (f"{folder}/v.h5", "/g/x")
    assert split_member(f"{folder}/*.h5:x") == (f"{folder}/*.h5", "x")
    for path in (f"{folder}/t:x", f"{folder}/gone:x", f"{folder}/v.h5:", "-", f"{folder}/v.h5"):
        assert split_member(path) == (path, "")
    paths = [f"{folder}/v.h5:x", f"{folder}/w.h5"]
    assert one_member("--seeds", paths) == ([f"{folder}/v.h5", f"{folder}/w.h5"], "x")
    assert one_member("--seeds", paths[1:]) == (paths[1:], None)
    with pytest.raises(UsageError, match=r"--seeds: expected the same name in all files, .* x, y"):
        one_member("--seeds", [*paths, f"{folder}/w.h5:y"])
