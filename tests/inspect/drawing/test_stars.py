"""Stars: every edge is in one, and none is in it that the table does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from inspections import table

from nsl_tools.inspect.drawing.stars import Star, stars_of

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Table

ids = st.sampled_from("abcdefgh")
edges = st.lists(st.tuples(ids, ids, st.integers(1, 9)), max_size=30)


def edges_of(rows: list[tuple]) -> Table:
    return table(rows, "text", picture="edges")


@given(edges)
def test_all_edges_are_in_stars(rows: list[tuple[str, str, int]]) -> None:
    expected = {(a, b): str(weight) for a, b, weight in rows if a != b}
    found = {}
    for star in stars_of(edges_of(rows)):
        nodes = {star.centre, *star.around}
        own = {(a, b): weight for a in star.links for b, weight in star.links[a].items()}
        assert own == {pair: weight for pair, weight in expected.items() if nodes.issuperset(pair)}
        assert all((star.centre, node) in own for node in star.around)
        assert star.left_out == 0
        found |= own
    assert found == expected


@given(edges)
def test_no_star_shows_what_others_have_shown(rows: list[tuple[str, str, int]]) -> None:
    seen: set[tuple[str, str]] = set()
    for star in stars_of(edges_of(rows)):
        assert {(star.centre, node) for node in star.around} - seen
        seen |= {(a, b) for a in star.links for b in star.links[a]}


@given(edges)
def test_pairs_have_weights_there_and_back(rows: list[tuple[str, str, int]]) -> None:
    for star in stars_of(edges_of(rows)):
        pairs = star.pairs()
        assert not {(b, a) for a, b in pairs} & set(pairs)
        for (a, b), (there, back) in pairs.items():
            assert there == star.links[a][b]
            assert back == star.links.get(b, {}).get(a)


def test_weights_are_short_and_may_be_missing() -> None:
    rows = [("a", "b", 0.98765), ("a", "c", None), ("a", "d", "x"), (None, "a", 1), ("a", None, 1)]
    weights = {"b": "0.988", "c": "", "d": "x"}
    assert list(stars_of(edges_of(rows))) == [Star("a", ["b", "c", "d"], 0, {"a": weights})]
    (star,) = stars_of(edges_of([("a", "b")]))
    assert star.links == {"a": {"b": ""}}


def test_of_many_neighbours_the_first_are_drawn() -> None:
    rows = [("a", f"n{at}", at) for at in range(50)]
    (star,) = stars_of(edges_of(rows))
    assert star.around == [f"n{at}" for at in range(12)]
    assert star.left_out == 38
