"""Fingerprints: equal for equal ids, different for different ones, and looked up by table."""

import contextlib
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools import fingerprints as module
from nsl_tools.fingerprints import Words, _mixed, fingerprints, rows_among, surely_distinct
from nsl_tools.ids import id_ranks
from nsl_tools.node_table import Entries
from nsl_tools.nodes import Omissions, Places, unrepeated
from nsl_tools.statistics import Statistics

_ids = st.lists(
    st.binary(min_size=1, max_size=70).map(lambda node: node.replace(b"\0", b"x")), unique=True
)


@given(_ids, st.integers(0, 3))
def test_ids_have_their_own_fingerprints(ids: list[bytes], cut: int) -> None:
    """Whatever array they are in, and wherever."""
    high, low = fingerprints(pa.array(ids, pa.binary()))
    assert len(set(zip(high.tolist(), low.tolist(), strict=True))) == len(ids)
    upper, lower = fingerprints(pa.array([b"other", *ids], pa.binary())[1 + cut :])
    assert upper.tolist() == high[cut:].tolist()
    assert lower.tolist() == low[cut:].tolist()


def _id_of(high: Words, low: Words) -> bytes:
    """Return the id of 16 bytes with this fingerprint: the steps of mixing, undone."""
    high = high - _mixed(low)
    low = low - _mixed(high)
    high = high - _mixed(low)
    return low.tobytes() + high.tobytes()


def test_ids_that_share_half_a_fingerprint_are_not_repeated() -> None:
    """They may be made so: then the texts tell."""
    high, low = np.full(9, 7, np.uint64), np.arange(9, dtype=np.uint64)
    made = [_id_of(high[i : i + 1], low[i : i + 1]) for i in range(9)]
    ids = pa.array([node for node in made if b"\0" not in node], pa.binary())
    assert set(fingerprints(ids)[0].tolist()) == {7}
    assert len(ids) > 1
    assert not surely_distinct(ids)
    assert unrepeated(ids, Omissions(Statistics(0)), Places()) == slice(None)
    assert rows_among(ids, ids[1:2]).tolist() == [1]


@given(_ids, st.data())
def test_a_repeated_id_is_never_surely_distinct(ids: list[bytes], data: st.DataObject) -> None:
    """Other ids are."""
    assert surely_distinct(pa.array(ids, pa.binary()))
    if ids:
        again = data.draw(st.sampled_from(ids))
        assert not surely_distinct(pa.array([again, *ids], pa.binary()))


@given(_ids, _ids, st.data(), st.sampled_from([0, 10_000]))
def test_rows_are_among_ids(
    ids: list[bytes], others: list[bytes], data: st.DataObject, few: int
) -> None:
    """Those whose id is, in order, whether these are few or many."""
    some = data.draw(st.permutations([*{*others, *ids[::2]}]))
    expected = [row for row, node in enumerate(ids) if node in some]
    arrays = (pa.array(ids, pa.binary()), pa.array(some, pa.binary()))
    with mock.patch.object(module, "_FEW", few):
        assert rows_among(*arrays).tolist() == expected


@given(_ids, _ids, st.lists(st.integers(0, 10**6), max_size=5))
def test_the_table_finds_the_first_row_of_an_id(
    ids: list[bytes], others: list[bytes], again: list[int]
) -> None:
    """Repeated ids are told, with the row that the table has; unknown ones are -1."""
    nodes = [*ids, *[ids[i % len(ids)] for i in again if ids]]
    with contextlib.ExitStack() as stack:
        entries = Entries(10**9, stack)
        for start in range(0, len(nodes), 3):
            entries.add(*fingerprints(pa.array(nodes[start : start + 3], pa.binary())))
        table, shared, firsts = entries.table()
    found = table.rows(*fingerprints(pa.array([*nodes, *others], pa.binary())))
    expected = [ids.index(n) if n in ids else -1 for n in [*nodes, *others]]
    assert found.tolist() == expected
    repeated = [row for row, node in enumerate(nodes) if nodes.count(node) > 1]
    assert shared.tolist() == repeated
    assert firsts.tolist() == [nodes.index(nodes[row]) for row in repeated]
    assert found.dtype == np.int64


@pytest.mark.parametrize("few", [0, 10**6])
@given(_ids, st.sampled_from([0, 16]))
def test_ids_rank_as_bytes_do(few: int, ids: list[bytes], short: int) -> None:
    """Be they few or many, short or long."""
    with mock.patch("nsl_tools.ids._FEW", few), mock.patch("nsl_tools.ids._SHORT", short):
        for some in (ids, sorted(ids)):
            ranks = id_ranks(pa.array(some, pa.binary()))
            assert [some[row] for row in np.argsort(ranks)] == sorted(ids)


def test_many_short_ids_rank_as_bytes_do() -> None:
    """More than are done at once, and all of 8 bytes or less."""
    ids = [b"%d" % i for i in range(3 * module._ROWS)]
    ranks = id_ranks(pa.array(ids, pa.binary()))
    assert [ids[row] for row in np.argsort(ranks)] == sorted(ids)
