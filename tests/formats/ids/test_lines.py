"""Files of ids: a line each, whatever the pieces in which they are read."""

import gzip
import os
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.ids import lines as module
from nsl_tools.formats.ids.lines import id_lines
from nsl_tools.statistics import Statistics

_WORD = st.binary(max_size=6).map(lambda word: word.replace(b"\n", b"").removesuffix(b"\r"))


def read(path: Path, counts: list[int], statistics: Statistics | None = None) -> list[bytes]:
    found = []
    with id_lines(str(path), statistics or Statistics()) as lines:
        for count in counts:
            found += lines.take(count).to_pylist()
        assert lines.taken == len(found)
        assert lines.rest() == 0
    return found


@given(
    words=st.lists(_WORD.filter(lambda word: word[:2] not in (b"\xff\xfe", b"\xfe\xff"))),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=1),
    chunk=st.integers(3, 20),
    step=st.integers(1, 7),
)
def test_lines_are_taken_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    words: list[bytes],
    ends: list[bytes],
    chunk: int,
    step: int,
) -> None:
    """Those that are blank too; they end in LF or CRLF."""
    path = tmp_path_factory.mktemp("ids") / "ids"
    lines = [word + ends[place % len(ends)] for place, word in enumerate(words)]
    path.write_bytes(b"".join(lines))
    if path.read_bytes()[:3] == b"\xef\xbb\xbf" or path.read_bytes()[:2] == b"\x1f\x8b":
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        assert read(path, [step] * (len(words) // step + 1)) == words


def test_the_last_newline_may_lack(tmp_path: Path) -> None:
    """With a warning, since the last id may be cut."""
    (tmp_path / "ids").write_bytes(b"a\nb")
    statistics = Statistics()
    assert read(tmp_path / "ids", [5], statistics) == [b"a", b"b"]
    assert ["no newline at the end" in text for text in statistics.warnings] == [True]


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(gzip.compress(b"a\nb\n"))
    assert read(tmp_path / "ids", [2]) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("text", "what"),
    [("\ufeffa\n".encode(), "a byte order mark"), ("a\n".encode("utf-16"), "UTF-16")],
)
def test_a_byte_order_mark_is_refused(tmp_path: Path, text: bytes, what: str) -> None:
    """It would be part of the first id."""
    (tmp_path / "ids").write_bytes(text)
    problem = f"ids: line 1: starts with {what}: expected plain UTF-8, convert it"
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "ids", [1])


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    """Before it takes the memory."""
    (tmp_path / "ids").write_bytes(b"a\n" + bytes(3 << 20))
    with pytest.raises(DataError, match="line 2: longer than 1048576 bytes"):
        read(tmp_path / "ids", [9])


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    os.mkfifo(path)
    writer = Thread(target=path.write_bytes, args=[b"a\nb\n"])
    writer.start()
    assert read(path, [2]) == [b"a", b"b"]
    writer.join()


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_bytes(b"a\nb\n")

    def change() -> None:
        with id_lines(str(path), Statistics()) as lines:
            lines.take(1)
            path.write_bytes(b"c\nd\n")

    with pytest.raises(DataError, match="ids: changed while it was read"):
        change()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        read(tmp_path / "gone", [])
