"""Whether a file stays the same: what the system says of it, and what is read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.readings import Readings, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Batch = tuple[int, int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of ten bytes, whose time of change is not now."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    os.utime(path, (1, 1))
    return path


def grow(path: Path) -> None:
    """Append a byte."""
    with path.open("ab") as file:
        file.write(b"x")


def rewrite(path: Path) -> None:
    """Write other bytes, as many."""
    with path.open("r+b") as file:
        file.write(b"9876543210")


def rewrite_at_the_old_time(path: Path) -> None:
    """Write other bytes, as many, and set the time of change of content back."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a tick of the clock
        rewrite(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Put an equal file in its place."""
    (path.parent / "other").write_bytes(path.read_bytes())
    os.utime(path.parent / "other", (1, 1))
    os.replace(path.parent / "other", path)


def remove(path: Path) -> None:
    """Remove its name."""
    path.unlink()


_CHANGES = [
    (grow, "it is 11 bytes long, and was 10"),
    (rewrite, "it was written to or renamed (its times of change differ)"),
    (rewrite_at_the_old_time, "it was written to or renamed (its times of change differ)"),
    (replace, "it was removed or replaced"),
    (remove, "it was removed or replaced"),
]
_SAID = "^{}: changed while it was read: {}: run again when nothing writes to it$"


def said(path: Path, what: str) -> str:
    """Return a pattern of the error."""
    return _SAID.format(re.escape(str(path)), re.escape(what))


def read(path: Path, readings: Readings, failure: Exception | None = None) -> None:
    """Read the file, or begin to."""
    with path.open("rb") as file, readings.unchanged(file):
        if failure:
            raise failure
        assert file.read()


@pytest.mark.parametrize(("change", "what"), _CHANGES)
@pytest.mark.parametrize("failing", [False, True])
def test_a_change_in_a_reading_is_an_error(
    path: Path, change: Callable[[Path], None], what: str, failing: bool
) -> None:
    """Be it read to its end, or does what is read look damaged."""
    readings = Readings(str(path))
    assert not readings.begun

    def read_changed() -> None:
        with path.open("rb") as file, readings.unchanged(file):
            change(path)
            if failing:
                raise DataError(str(path), "record 1", "is cut")

    with pytest.raises(DataError, match=said(path, what)):
        read_changed()
    assert readings.begun


@pytest.mark.parametrize(("change", "what"), _CHANGES[:-1])
def test_a_change_between_readings_is_an_error(
    path: Path, change: Callable[[Path], None], what: str
) -> None:
    """Before anything of it is read again; a file that is the same may be read again."""
    readings = Readings(str(path))
    for _ in range(2):
        read(path, readings)
    change(path)
    what = "another file has its name" if change is replace else what
    with pytest.raises(DataError, match=said(path, what)):
        read(path, readings)


@pytest.mark.parametrize("failure", [DataError("file", "record 1", "is cut"), OSError(5, "bad")])
def test_other_errors_stay_if_the_file_does(path: Path, failure: Exception) -> None:
    with pytest.raises(type(failure)) as raised:
        read(path, Readings(str(path)), failure)
    assert raised.value is failure


def test_a_pipe_changes_as_it_is_read(path: Path) -> None:
    """That is no error; but a file in its place is."""
    readings = Readings("pipe")
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        for time in (1, 2):
            with readings.unchanged(file):
                os.utime(reader, (time, time))
    with pytest.raises(DataError, match="another file has its name"):
        read(path, readings)
    os.close(writer)


_SUMS = st.sampled_from([0, 1, (1 << 32) - 1])
_BATCHES = st.lists(st.tuples(st.integers(0, 2), _SUMS), max_size=4)


def met(readings: Readings, batches: list[Batch], *, ended: bool = True) -> tuple[int, str]:
    """Return how many batches of a reading were as before, and what was said of the next."""
    content, count = readings.content(), 0
    try:
        for batch in batches:
            content.add(*batch)
            count += 1
        if ended:
            content.end()
    except DataError as err:
        return count, str(err)
    return count, ""


@given(first=_BATCHES, again=_BATCHES, ended=st.booleans())
def test_records_are_compared_batch_by_batch(
    first: list[Batch], again: list[Batch], ended: bool
) -> None:
    """With all of an earlier reading, be that complete or not."""
    readings = Readings("file")
    assert met(readings, first, ended=ended) == (len(first), "")
    count, problem = met(readings, again)
    same = [a == b for a, b in zip(first, again, strict=False)]
    assert count == ([*same, False].index(False) if problem or ended else len(again))
    records = sum(number for number, _ in again[:count])
    if not all(same):
        last = records + again[count][0] - 1
        assert f"records {records} to {last} are not those that were read before" in problem
    elif len(again) < len(first):
        assert f"it ends after {records} records, and had more before" in problem
    elif ended and len(again) > len(first):
        assert f"it has more than the {records} records that were read before" in problem
    else:
        assert not problem


def test_a_file_that_is_opened_once(path: Path) -> None:
    """From any place; what changes meanwhile is noticed at the end."""
    with opened(str(path)) as file:
        file.seek(5)
        assert file.read() == b"56789"
    with pytest.raises(DataError, match=said(path, _CHANGES[0][1])), opened(str(path)):
        grow(path)


def test_what_cannot_be_opened_is_a_data_error(tmp_path: Path) -> None:
    """Nor is the writer of a pipe waited for."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe"):
        with pytest.raises(DataError, match="expected a regular file, found a folder, pipe"):
            opened(str(tmp_path / name)).__enter__()
    with pytest.raises(DataError, match=r"gone: cannot be read: No such file or directory$"):
        opened(str(tmp_path / "gone")).__enter__()
