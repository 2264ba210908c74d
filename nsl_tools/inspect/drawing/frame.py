"""What plots have in common: the picture, the grid, and what is written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.markup import Markup, element, joined
from nsl_tools.inspect.drawing.texts import shorten, width

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.inspect.drawing.axes import Axis


@dataclass(frozen=True)
class Frame:
    """Where a plot lies in its picture, in pixels from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, share: float) -> float:
        """Return the place of a share of the way along."""
        return self.left + share * (self.right - self.left)

    def y(self, share: float) -> float:
        """Return the place of a share of the way up."""
        return self.bottom - share * (self.bottom - self.top)


def frame_for(y: Axis) -> Frame:
    """Return the place for a plot of 400 x 250 pixels, with room for all that is around it.

    On a page it is a little larger on a screen, and a little smaller on a phone.
    """
    beside = max(width(y.label(tick)) for tick in y.ticks)
    return Frame(left=beside + 10, top=28, right=382, bottom=204)


def picture(title: str, height: float, *parts: str, across: float = 400) -> Markup:
    """Return a picture with a name, which is what a screen reader reads."""
    box = f"0 0 {across:g} {height:g}"
    return element("svg", element("title", title), *parts, viewBox=box, role="img", class_="plot")


def words(text: str, x: float, y: float, room: float, kind: str) -> Markup:
    """Return a text at a place, shortened to `room`, with all of it where a mouse rests."""
    short = shorten(text, room)
    full = [element("title", text)] if short != text else []
    return element("text", short, *full, x=x, y=y, class_=kind)


def grid(frame: Frame, axis: Axis, title: str) -> Markup:
    """Return the lines of the vertical axis, their values, and its title above."""
    parts = [above(title, axis)]
    for tick in axis.ticks:
        y = frame.y(axis.share(tick))
        parts.append(element("path", d=f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}"))
        parts.append(words(axis.label(tick), frame.left - 6, y + 4, frame.left, "tick end"))
    return element("g", *parts, class_="grid")


def above(title: str, axis: Axis) -> Markup:
    """Return the title of an axis of values, over the plot."""
    text = titled(title, axis)
    return words(text, 2, 14, 396, "title") if text else Markup()


def titled(title: str, axis: Axis) -> str:
    """Return the title of an axis, which says where steps are factors."""
    return ", ".join(filter(None, [title, "log scale" if axis.is_log else ""]))


def beneath(frame: Frame, labels: Iterable[tuple[float, str]], title: str) -> Markup:
    """Return what is written under a plot: labels by their places, and the title of the axis."""
    ticks = []
    for place, text in labels:
        half = min(width(text), 120) / 2
        x = min(max(place, half), 400 - half)  # inside the picture
        ticks.append(words(text, x, frame.bottom + 17, 120, "tick middle"))
    middle = (frame.left + frame.right) / 2
    return joined(
        *ticks, words(title, middle, frame.bottom + 38, 2 * (400 - middle), "title middle")
    )
