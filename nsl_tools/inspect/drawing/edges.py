"""Edges as neighbourhoods: a node in the middle, its neighbours around it.

Places are complex numbers, pixels from the left and, as imaginary part, from the top: a direction
is a difference, and a right angle to it is that times `1j`.
"""

from __future__ import annotations

import cmath
import math
from itertools import islice
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.frame import picture, words
from nsl_tools.inspect.drawing.markup import Markup, element, joined
from nsl_tools.inspect.drawing.stars import stars_of
from nsl_tools.inspect.drawing.texts import shorten, width

if TYPE_CHECKING:
    from nsl_tools.inspect.drawing.stars import Star
    from nsl_tools.inspect.findings import Table


def edges(table: Table) -> Markup:
    """Return pictures of the first neighbourhoods of a table; nothing where it has no edges."""
    stars = stars_of(table)
    most = 6  # two rows on a wide screen
    drawn = [_picture(star) for star in islice(stars, most)]
    if not drawn:
        return Markup()
    more = "The nodes that follow in the table are not drawn." if next(stars, None) else ""
    told = element("p", more, class_="note") if more else Markup()
    return joined(element("div", *drawn, class_="stars"), told)


def _picture(star: Star) -> Markup:
    across = 380.0
    ring = _ring(len(star.around))
    # No higher than what is drawn, with a line for each name.
    up, down = (24 + 112 * max(0.3, *(side * each.imag for each in ring)) for side in (-1, 1))
    middle = complex(across / 2, up)
    places = {star.centre: middle}
    places |= {node: middle + 94 * each for node, each in zip(star.around, ring, strict=True)}
    height = up + down + (14 if star.left_out else 0)
    left_out = f"and {star.left_out:,} more"
    centre, *around = (shorten(node, 300) for node in places)
    return picture(
        f"{centre} and its neighbours: {', '.join(around)}",
        height,
        _links(star, places),
        *(_node(node, place, is_centre=node == star.centre) for node, place in places.items()),
        words(star.centre, middle.real, middle.imag - 13, 180, "centre middle"),
        *(_name(node, middle, each) for node, each in zip(star.around, ring, strict=True)),
        words(left_out, 2, height - 4, 180, "title") if star.left_out else "",
        across=across,
    )


def _ring(count: int) -> list[complex]:
    """Return places on a circle of 1 around 0, side by side for one or two, as names are best."""
    start = 0.5 if count > 1 else 0.25
    return [cmath.rect(1, 2 * math.pi * ((at + start) / count - 0.25)) for at in range(count)]


def _name(node: str, middle: complex, direction: complex) -> Markup:
    """Return the name of a node, which goes away from the middle."""
    place = middle + complex(104 * direction.real, 112 * direction.imag)
    side = round(direction.real, 1)
    kind = "middle" if not side else "" if side > 0 else "end"
    room = middle.real - abs(place.real - middle.real) - 2
    return words(node, place.real, place.imag + 4, room, kind)


def _node(node: str, place: complex, *, is_centre: bool) -> Markup:
    shape = {"cx": place.real, "cy": place.imag, "r": 6.0 if is_centre else 5.0}
    kind = "node centre" if is_centre else "node"
    return element("circle", element("title", node), class_=kind, **shape)


def _links(star: Star, places: dict[str, complex]) -> Markup:
    """Return a line for each two nodes, with a head where an edge ends, and the weights on it."""
    middle = places[star.centre]
    lines: list[Markup] = []
    weights: list[Markup] = []
    for (source, target), (there, back) in star.pairs().items():
        start, end = places[source], places[target]
        over = _bend(start, end, middle)
        lines.append(element("path", d=f"M{_at(start)}Q{_at(over)} {_at(end)}", class_="link"))
        heads = _head(over, end) + ("" if back is None else _head(over, start))
        lines.append(element("path", d=heads, class_="head"))
        place = (start + 2 * over + end) / 4
        if star.centre in (source, target):
            node = target if source == star.centre else source
            # Of many, every second is nearer to the middle, so that none touches the next.
            many = 8
            near = len(star.around) > many and star.around.index(node) % 2
            place = middle + (0.56 if near else 0.68) * (places[node] - middle)
        weights.append(_weight(" / ".join(dict.fromkeys(filter(None, (there, back)))), place))
    return joined(*lines, *weights)


def _bend(start: complex, end: complex, middle: complex) -> complex:
    """Return what a line between two nodes bends towards: away from the node in the middle."""
    half_way = (start + end) / 2
    if middle in (start, end):
        return half_way
    away = half_way - middle
    if abs(away) < 1:  # opposite each other: beneath the middle, whose name is above
        away = 1j * (end - start)
        away = away if away.imag >= 0 else -away
    return half_way + 0.3 * abs(end - start) * away / abs(away)


def _weight(text: str, place: complex) -> Markup:
    """Return a weight, and what hides the link beneath it."""
    if not text:
        return Markup()
    room = min(width(text), 90)
    shape = {"x": place.real - room / 2, "y": place.imag - 7, "width": room}
    under = element("rect", class_="under", height=14, **shape)
    return joined(under, words(text, place.real, place.imag + 4, room, "weight middle"))


def _head(start: complex, end: complex) -> str:
    """Return the path of an arrow's head that touches the node at the end."""
    along = (end - start) / abs(end - start)
    # In pixels: from the middle of the node, and to both sides.
    tip, back, half = end - 7 * along, end - 13 * along, 3.2j * along
    return f"M{_at(tip)}L{_at(back + half)} {_at(back - half)}z"


def _at(place: complex) -> str:
    return f"{place.real:.1f} {place.imag:.1f}"
