"""Neighbourhoods: nodes around another, links with heads and weights."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
from inspections import pictures, places_of, table, texts_of

from nsl_tools.inspect.drawing.edges import edges
from nsl_tools.inspect.drawing.texts import width

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from nsl_tools.inspect.findings import Table


def edges_of(rows: list[tuple]) -> Table:
    return table(rows, "text", picture="edges")


def nodes_of(picture: Element) -> dict[str, tuple[float, float]]:
    """Return the places of nodes by their names."""
    return {
        each[0].text or "": (float(each.get("cx", 0)), float(each.get("cy", 0)))
        for each in picture.iter("circle")
    }


@pytest.mark.parametrize("count", range(1, 13))
def test_nodes_are_around_the_first_and_nothing_written_touches(count: int) -> None:
    rows = [("node_000", f"node_{at:03}", 0.9 - at / 20) for at in range(1, count + 1)]
    (picture,) = pictures(edges(edges_of(rows)))
    places = nodes_of(picture)
    centre = places.pop("node_000")
    assert [math.dist(centre, place) for place in places.values()] == pytest.approx(
        [94] * count, abs=0.2
    )
    written = [each for each in picture.iter("text") if "name" not in (each.get("class") or "")]
    boxes = [_box(each) for each in written]
    for (left, right, y), (other_left, other_right, other_y) in itertools.combinations(boxes, 2):
        assert right <= other_left or other_right <= left or abs(y - other_y) >= 11


def _box(text: Element) -> tuple[float, float, float]:
    kind = text.get("class") or ""
    # Weights are of 11 pixels, and a usual font is narrower than the widest.
    long = width(text.text or "") * (0.8 if "weight" in kind else 0.9)
    left = float(text.get("x", 0)) - (
        long if "end" in kind else long / 2 if "middle" in kind else 0
    )
    return left, left + long, float(text.get("y", 0))


def test_links_go_from_node_to_node_with_a_head_for_each_edge() -> None:
    rows = [("a", "b", 0.5), ("b", "a", 0.25), ("a", "c", 0.5), ("c", "a", 0.5), ("b", "c", 1)]
    (picture,) = pictures(edges(edges_of(rows)))
    places = nodes_of(picture)
    links = [places_of(each) for each in picture.iter("path") if each.get("class") == "link"]
    assert [(line[0], line[-1]) for line in links] == [
        (places[one], places[other]) for one, other in ("ab", "ac", "bc")
    ]
    heads = [each.attrib["d"] for each in picture.iter("path") if each.get("class") == "head"]
    assert [path.count("M") for path in heads] == [2, 2, 1]
    # The head of the one edge between neighbours is at its target.
    tip = places_of(next(each for each in picture.iter("path") if each.get("d") == heads[2]))[0]
    assert math.dist(tip, places["c"]) == pytest.approx(7, abs=0.2)
    assert sorted(texts_of(picture)) == ["0.5", "0.5 / 0.25", "1", "a", "b", "c"]


def test_a_link_between_opposite_neighbours_keeps_off_the_middle() -> None:
    (picture,) = pictures(edges(edges_of([("a", "b", 1), ("a", "c", 1), ("b", "c", 1)])))
    link = [places_of(each) for each in picture.iter("path") if each.get("class") == "link"][-1]
    assert math.dist(link[1], nodes_of(picture)["a"]) > 20


def test_few_neighbourhoods_are_drawn_and_that_is_said() -> None:
    rows = [(f"s{at}", f"t{at}", 1) for at in range(7)]
    found = edges(edges_of(rows))
    assert len(pictures(found)) == 6
    assert found.endswith('<p class="note">The nodes that follow in the table are not drawn.</p>')
    assert "note" not in edges(edges_of(rows[:6]))


def test_what_is_left_out_is_told() -> None:
    rows = [("a", f"n{at}", 1) for at in range(2000)]
    (picture,) = pictures(edges(edges_of(rows)))
    assert texts_of(picture)[-1] == "and 1,988 more"


def test_a_screen_reader_is_told_who_is_there() -> None:
    (picture,) = pictures(edges(edges_of([("a", "b", 1), ("a", "c", 1)])))
    assert picture[0].text == "a and its neighbours: b, c"


def test_nothing_to_draw_is_no_picture() -> None:
    assert edges(edges_of([])) == edges(edges_of([("a", "a", 1), (None, "b", 1)])) == ""
