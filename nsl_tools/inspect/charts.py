"""The picture of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.bars import bars
from nsl_tools.inspect.drawing.edges import edges
from nsl_tools.inspect.drawing.lines import lines
from nsl_tools.inspect.drawing.markup import Markup

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Table


def chart(table: Table) -> Markup:
    """Return what a table's `picture` asks for: HTML with SVG in it, and a legend if need be.

    Nothing for a table without a picture, or without a row that can be drawn. Its classes are
    those of `page.css`, without which it has no colours.
    """
    draw = {"lines": lines, "bars": bars, "edges": edges}.get(table.picture or "")
    return draw(table) if draw else Markup()
