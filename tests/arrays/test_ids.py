"""Ids: which are allowed, how they are shown, ordered and held together."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import is_id

from nsl_tools.arrays import ids as module
from nsl_tools.arrays.ids import (
    IdColumn,
    certainly_valid,
    first_bad_id,
    id_problem,
    id_ranks,
    shown,
    texts_at,
    texts_of_bounds,
)
from nsl_tools.errors import DataError, UsageError
from nsl_tools.memory_budget import SHARES, MemoryBudget
from nsl_tools.tuning import TUNING

_ANY = st.one_of(
    st.binary(max_size=4),
    st.text(max_size=4).map(str.encode),
    st.text("ab \x0b\x0e\x7f\x80", min_size=1, max_size=4).map(str.encode),
    st.sampled_from([b"a\nb", b"\ta", b"a\r", b"\0", "\u2028".encode(), b"\xc3", b"a" * 20]),
)
# Many of them differ only behind the first 8 or 16 bytes.
_STARTS = st.sampled_from(["", "12345678", "1234567890123456"])
_IDS = st.lists(
    st.builds("{}{}".format, _STARTS, st.text(max_size=20)).map(str.encode).filter(is_id),
    unique=True,
)


def array(ids: list[bytes]) -> pa.Array:
    """Return ids as a slice of a binary array."""
    return pa.array([b"\0", *ids, b""], pa.binary()).slice(1, len(ids))


@given(st.lists(_ANY, max_size=6))
def test_ids_are_allowed_one_by_one_and_together(ids: list[bytes]) -> None:
    """The first one that is not is named; where all are surely good, all are."""
    bad = [place for place, node in enumerate(ids) if not is_id(node)]
    assert [place for place, node in enumerate(ids) if id_problem(node)] == bad
    assert first_bad_id(ids) == (bad[0] if bad else None)
    plain = all(node and all(14 <= byte < 128 for byte in node) for node in ids)
    assert certainly_valid(array(ids)) == plain
    assert not (plain and bad)


def test_any_byte_is_allowed_or_not() -> None:
    """Alone, and in a list in which it is the only one that may be wrong."""
    for byte in range(256):
        node = bytes([byte])
        assert first_bad_id([b"a", node]) == (None if is_id(node) else 1)
        assert certainly_valid(array([b"a", node])) == (14 <= byte < 128)


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (b"", "the id is empty"),
        (b"a\tb", r"the id 'a\tb' holds a tab, CR, LF or NUL"),
        (b"\xff\n", r"the id '\\xff\n' holds a tab, CR, LF or NUL"),
        (b"\xffa", r"the id '\\xffa' is not UTF-8"),
    ],
)
def test_what_is_wrong_is_said(node: bytes, problem: str) -> None:
    assert id_problem(node) == problem


def test_ids_are_shown_on_one_line_and_not_too_long() -> None:
    assert shown("é'".encode()) == '"é\'"'
    assert shown(b"x" * 60) == f"'{'x' * 60}'"
    assert shown(b"x" * 61) == f"'{'x' * 60}'..."
    assert shown("é".encode() * 31, 3) == r"'é\\xc3'..."


@pytest.mark.parametrize("few", [0, 10**6])
@given(_IDS, st.sampled_from([0, 16]))
def test_ids_rank_as_bytes_do(few: int, ids: list[bytes], short: int) -> None:
    """Be they few or many, short or long."""
    with (
        mock.patch.object(TUNING, "few_to_sort", few),
        mock.patch("nsl_tools.arrays.ids._SHORT", short),
    ):
        for some in (ids, sorted(ids)):
            ranks = id_ranks(array(some))
            assert [some[row] for row in np.argsort(ranks)] == sorted(ids)


def test_many_short_ids_rank_as_bytes_do() -> None:
    """More than are done at once, and all of 8 bytes or less."""
    ids = [b"%d" % i for i in range(3 * TUNING.hashed_ids)]
    ranks = id_ranks(array(ids))
    assert [ids[row] for row in np.argsort(ranks)] == sorted(ids)


def test_short_ids_that_differ_late_are_not_taken_for_ordered() -> None:
    assert id_ranks(array([b"12345678b", b"12345678a"])).tolist() == [1, 0]
    assert id_ranks(array([b"12345678", b"12345678a", b"12345678b"])).tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=30))
def test_texts_are_copied_from_anywhere(spans: list[tuple[int, int]]) -> None:
    """In any order, of any lengths, overlapping."""
    data = np.arange(50, dtype=np.uint8)
    starts, lengths = np.array(spans, np.int64).reshape(-1, 2).T
    found = texts_at(data, starts, lengths).to_pylist()
    assert found == [data[start : start + length].tobytes() for start, length in spans]
    bounds = np.cumsum([0, *lengths])
    assert texts_of_bounds(bounds, b"".join(found)).to_pylist() == found


def column_of(parts: list[list[bytes]], limit: int) -> IdColumn:
    """Return ids that are added in parts."""
    column = IdColumn("file", MemoryBudget(limit))
    for part in parts:
        column.add(array(part))
    return column


@given(st.lists(_IDS, max_size=4))
def test_a_column_has_all_ids(parts: list[list[bytes]]) -> None:
    column = column_of(parts, 10**6)
    ids = [node for part in parts for node in part]
    assert column.bytes == sum(map(len, ids)) + 24 * len(ids)
    assert column.array().to_pylist() == ids


def test_ids_that_do_not_fit_are_counted_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, with what they need: more than the memory, or than an array holds."""
    parts = [[b"%03d" % i] * 100 for i in range(10)]
    limit = int(27 * 1000 / SHARES["ids"]) + 1
    assert len(column_of(parts, limit).array()) == 1000
    problem = (
        "^--memory-limit: expected at least 30.9 kB for the ids of 1,000 nodes, 3 kB together, "
        "received 30.8 kB$"
    )
    with pytest.raises(UsageError, match=problem):
        column_of(parts, limit - 60).array()
    monkeypatch.setattr(module, "MOST_BYTES", 2999)
    with pytest.raises(
        DataError, match=r"^file: the ids of 1,000 nodes, .* expected 3 kB at most: sh"
    ):
        column_of(parts, limit).array()
