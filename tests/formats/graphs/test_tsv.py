"""`nsl_tools.formats.graphs.tsv`: one definition of the format, whichever way a block is read."""

from __future__ import annotations

import gzip
import io
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.streams import CHUNK, Source
from nsl_tools.formats.graphs import tsv
from nsl_tools.formats.graphs.tsv import INCOMPLETE, read_tsv
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    import pyarrow as pa

Edge = tuple[bytes, bytes, float]

_GOOD_WEIGHTS = ["1", "0.5", "-0.25", "1.000000", "1e-3", "+.5", "5.", "-0", "3.4028235e38", "1E+2"]
_BAD_WEIGHTS = [
    "nan", "NaN", "NA", "null", "inf", "-Infinity", "1e39", "1e400", "3.4028236e38", "0x1p3",
    "1_0", "\u0660.\u0665", "0,9", "", " 1", "1 ", "weight", "1.0f", "e5", ".", "--1", "1e", "1\v",
    "1\x1c",
]  # fmt: skip
_ids = st.sampled_from(
    ["a", "b", "é", "#x", '"q"', "'", "\\", " s ", "NA", "\u2028", "\x85", "\x0b"]
)
_odd_ids = st.sampled_from(["", "\0", "a\rb"])
_good_lines = st.tuples(_ids, _ids, st.sampled_from(_GOOD_WEIGHTS) | st.floats(-1, 1).map(repr))
_pair_lines = st.tuples(_ids, _ids)
_odd_lines = st.one_of(
    st.just(("",)),
    st.tuples(_ids),
    st.tuples(_odd_ids, _ids, st.just("1")),
    st.tuples(_ids, _odd_ids),
    st.tuples(_ids, _ids, st.sampled_from(_BAD_WEIGHTS)),
    st.tuples(_ids, _ids, st.just("1"), _ids),
)
_endings = st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"])


def _blocks() -> st.SearchStrategy[bytes]:
    """Blocks of lines: regular ones, and ones with a single or any number of odd lines."""
    regular = st.one_of(st.lists(_good_lines), st.lists(_pair_lines), st.lists(_odd_lines))
    mixed = st.lists(_good_lines | _pair_lines | st.just(("",)))
    spoiled = st.tuples(regular, st.lists(_odd_lines, max_size=1), regular).map(
        lambda parts: [*parts[0], *parts[1], *parts[2]]
    )
    same_ending = st.sampled_from(["\n", "\n", "\r\n"]).map(st.just)
    return st.tuples(regular | mixed | spoiled, same_ending | st.just(_endings)).flatmap(
        lambda drawn: st.tuples(*(_line(columns, drawn[1]) for columns in drawn[0])).map(b"".join)
    )


def _line(columns: tuple[str, ...], ending: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return ending.map(lambda end: ("\t".join(columns) + end).encode())


def _edges(batch: pa.RecordBatch) -> list[Edge]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _read(data: bytes) -> tuple[list[Edge], Statistics]:
    statistics = Statistics()
    source = Source("g", io.BytesIO(data))
    return [edge for batch in read_tsv(source, statistics) for edge in _edges(batch)], statistics


def _outcome(parse: str, block: bytes) -> object:
    """Return edges and counts, or the error, of one way of reading a block."""
    statistics = Statistics()
    try:
        batch = getattr(tsv, parse)(block, "g", 1, statistics)
    except DataError as err:
        return str(err)
    return [(*edge[:2], edge[2].hex()) for edge in _edges(batch)], statistics


@given(_blocks())
def test_the_fast_way_is_the_slow_way(block: bytes) -> None:
    """Edges, weights to the bit, counts and errors are those of reading line by line."""
    if not block.endswith(b"\n"):
        block += b"\n"
    assert _outcome("parse_block", block) == _outcome("_parse_lines", block)


@given(st.lists(st.tuples(_ids, _ids).filter(lambda ids: " s " not in ids), min_size=1))
def test_regular_blocks_take_the_fast_way(pairs: list[tuple[str, str]]) -> None:
    """Quotes, backslashes and comment signs in ids need no closer look."""
    block = "".join(f"{source}\t{target}\t0.5\n" for source, target in pairs).encode()
    assert tsv._parse_regular(block, len(pairs)) is not None


@given(st.binary(max_size=60).map(lambda block: block + b"\n"))
def test_any_bytes_are_read_alike(block: bytes) -> None:
    """Noise is refused, or read, alike both ways."""
    assert _outcome("parse_block", block) == _outcome("_parse_lines", block)


@given(st.text("ab\t\n\r10.- \ufeff", max_size=40).map(lambda text: f"{text}\n".encode()))
def test_near_lines_are_read_alike(block: bytes) -> None:
    """So are tabs, line ends, signs and spaces in any order."""
    assert _outcome("parse_block", block) == _outcome("_parse_lines", block)


@given(st.lists(_good_lines | _pair_lines, max_size=9), st.integers(1, 7))
def test_blocks_do_not_show(lines: list[tuple[str, ...]], size: int) -> None:
    """However the bytes arrive, the edges and counts are the same."""

    class Trickle(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            return super().read(size)

    data = "".join("\t".join(columns) + "\n" for columns in lines).encode()
    statistics = Statistics()
    batches = read_tsv(Source("g", Trickle(data)), statistics)
    assert ([edge for batch in batches for edge in _edges(batch)], statistics) == _read(data)


_AB = (b"a", b"b", 0.5)
_CD = (b"c", b"d", 1.0)


@pytest.mark.parametrize(
    ("data", "edges", "counts", "warnings"),
    [
        pytest.param(b"", [], {"empty files": 1}, {}, id="nothing"),
        pytest.param(b"a\tb\t0.5\n\nc\td\t1\n", [_AB, _CD], {"blank lines": 1}, {}, id="blank"),
        pytest.param(b"\n\n", [], {"blank lines": 2}, {}, id="only blank lines"),
        pytest.param(b"a\tb\t0.5\r\nc\td\t1\r\n", [_AB, _CD], {}, {}, id="CRLF"),
        pytest.param(b"a\tb\t0.5\nc\td\t1\r\n", [_AB, _CD], {}, {}, id="some CRLF"),
        pytest.param(
            b"a\tb\t0.5\nc\td\n",
            [_AB, _CD],
            {"edges without weight (taken as 1.0)": 1},
            {},
            id="weight missing",
        ),
        pytest.param(
            b"c\td\nc\td\n",
            [_CD, _CD],
            {"edges without weight (taken as 1.0)": 2},
            {},
            id="no weights, an edge twice",
        ),
        pytest.param(
            b"a\tb\t0.5\nc\td\t1",
            [_AB, _CD],
            {},
            {"g: no newline at the end: is the file complete?": 1},
            id="no newline at the end",
        ),
        pytest.param(gzip.compress(b"a\tb\t0.5\n", mtime=0), [_AB], {}, {}, id="GZIP"),
        pytest.param(b"a\ta\t-0.5\n", [(b"a", b"a", -0.5)], {}, {}, id="self-loop, negative"),
        pytest.param(b"#a\t b\t0.5\n", [(b"#a", b" b", 0.5)], {}, {}, id="odd ids"),
    ],
)
def test_graphs_that_are_fine(
    data: bytes, edges: list[Edge], counts: dict[str, int], warnings: dict[str, int]
) -> None:
    """What is accepted but not plain is counted."""
    found, statistics = _read(data)
    assert found == edges
    assert statistics.counts == counts
    assert statistics.warnings == warnings


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(b"a\tb\rc\td", r"column 2: the id 'b\\rc' holds", id="lone CR"),
        pytest.param(b"a\rc\td", r"column 1: the id 'a\\rc' holds a tab, CR", id="CR in an id"),
        pytest.param(b"source\ttarget\tweight", "column 3: .*remove header lines", id="header"),
        pytest.param(b"# a graph", "found 1: '# a graph'.*comment", id="comment"),
        pytest.param(b"a\tb\t1\tc", "expected 2 or 3 columns .*, found 4", id="four columns"),
        pytest.param(b"a", "found 1", id="one column"),
        pytest.param(b"\tb\t1", "column 1: the id is empty", id="no source"),
        pytest.param(b"a\t\t1", "column 2: the id is empty", id="no target"),
        pytest.param(b"a\tb\t", "column 3: expected .*, found ''", id="empty third column"),
        pytest.param(b"a\xff\tb", "column 1: .*is not UTF-8", id="not UTF-8"),
        pytest.param(b"a\tb\0\t1", "column 2: .* NUL", id="NUL"),
        pytest.param("a\tb\t1".encode("utf-16-le"), "column 1: .*NUL", id="UTF-16 without BOM"),
        pytest.param(b"  ", "found 1", id="spaces only"),
        *(
            pytest.param(f"a\tb\t{weight}".encode(), "column 3: ", id=f"weight {weight!a}")
            for weight in _BAD_WEIGHTS
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", b"x\ty\t1\n" * 2, b"x\ty\n\n"])
@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n", b"\nx\ty\n", b"\nx\ty\t1\n"])
def test_lines_that_are_not_edges(line: bytes, problem: str, before: bytes, after: bytes) -> None:
    """The error names the file, the line and the column, whatever stands around the line."""
    number = before.count(b"\n") + 1
    with pytest.raises(DataError, match=f"^g: line {number}: .*{problem}"):
        _read(before + line + after)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xef\xbb\xbfa\tb\t1\n", "line 1: starts with a byte order mark"),
        ("a\tb\t1\n".encode("utf-16"), "line 1: starts with UTF-16"),
        (b"a\tb\t1\n" + INCOMPLETE, "line 3: the program that wrote this graph failed"),
        (b"a\tb\n" * 3 + INCOMPLETE, "line 5: the program that wrote this graph failed"),
        (b"a\tb" + INCOMPLETE, "line 2: the program that wrote this graph failed"),
        (gzip.compress(b"a\tb\n", mtime=0)[:-1], "compressed byte .*: compressed data ends"),
    ],
    ids=["BOM", "UTF-16", "incomplete", "incomplete pairs", "incomplete line", "GZIP cut"],
)
def test_graphs_that_are_refused(data: bytes, problem: str) -> None:
    """A graph that is not what a reader would take it for is refused as a whole."""
    with pytest.raises(DataError, match=f"^g: {problem}"):
        _read(data)


@pytest.mark.parametrize("rest", [b"", b"\n", b"a\tb\n"], ids=["fast", "blank line", "mixed"])
def test_an_id_may_begin_as_the_mark_of_a_failed_writer(rest: bytes) -> None:
    """Only the whole line is the mark, whichever way the block takes."""
    node = INCOMPLETE.strip() + "é".encode()
    assert _read(node + b"\tb\t1\n" + rest)[0][0] == (node, b"b", 1.0)


def test_a_line_of_64_mib_is_refused() -> None:
    """Binary data is noticed before it fills the memory."""

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return b"x" * size

        def seek(self, *_: int) -> int:
            return 0

    stream = Endless()
    with pytest.raises(DataError, match="a line is longer than"):
        list(read_tsv(Source("g", stream), Statistics()))  # type: ignore[arg-type]
    assert stream.given < 100 * CHUNK


def test_a_long_id_is_fine() -> None:
    """An id of 1 MiB is an id."""
    node = b"n" * CHUNK
    assert _read(node + b"\tb\t0.5\n")[0] == [(node, b"b", 0.5)]


@pytest.mark.own_memory("a million lines: a block each would take minutes")
def test_line_numbers_count_across_blocks() -> None:
    """The line of a problem is counted from the start of the file."""
    lines = 9 * CHUNK // 8
    with pytest.raises(DataError, match=f"^g: line {lines + 1}: column 3"):
        _read(b"aa\tbb\t1\n" * lines + b"a\tb\tx\n")


def test_the_largest_weight() -> None:
    """A weight that float32 rounds to a finite number is taken, the next one is not."""
    limit = 2.0**128 - 2.0**103
    below = math.nextafter(limit, 0)
    with np.errstate(over="ignore"):
        assert np.isfinite(np.float32(below))
        assert np.isinf(np.float32(limit))
    assert _read(f"a\tb\t{below!r}\n".encode())[0] == [(b"a", b"b", below)]
    with pytest.raises(DataError, match="does not fit a float32"):
        _read(f"a\tb\t{limit!r}\n".encode())
