"""Neighbourhoods: which nodes and edges of a table make one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.series import column_of, drawable
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.inspect.findings import Cell, Table

Links = dict[str, dict[str, str]]
"""For each source, the weight of the edge to each of its targets, as it is shown."""


@dataclass(frozen=True)
class Star:
    """A node and its neighbours.

    Attributes:
        centre: the node.
        around: those of its neighbours that are drawn.
        left_out: how many are not.
        links: the edges between all that are.
    """

    centre: str
    around: list[str]
    left_out: int
    links: Links

    def pairs(self) -> dict[tuple[str, str], list[str | None]]:
        """Return for each two nodes the weights there and back; None where there is no edge."""
        found: dict[tuple[str, str], list[str | None]] = {}
        for source, targets in self.links.items():
            for target, weight in targets.items():
                if (target, source) in found:
                    found[target, source][1] = weight
                else:
                    found[source, target] = [weight, None]
        return found


def stars_of(table: Table) -> Iterator[Star]:
    """Yield a star for each source in `x`, with its targets and, if there are, weights in `y`.

    Edges between the neighbours of a node are part of its star. A source all of whose edges are
    in stars before it has none of its own. Edges from a node to itself are left out.
    """
    links = _links(table)
    in_stars: set[tuple[str, str]] = set()
    most = 12  # whose names do not touch
    for centre, targets in links.items():
        if not in_stars.issuperset((centre, target) for target in targets):
            around = list(targets)[:most]
            own = _between({centre, *around}, links)
            in_stars |= {(source, target) for source in own for target in own[source]}
            yield Star(centre, around, len(targets) - len(around), own)


def _links(table: Table) -> Links:
    found: Links = {}
    columns = [column_of(table, name) for name in (table.x, *table.y)]
    for source, target, *weight in zip(*(table.column(each.name) for each in columns), strict=True):
        if source is not None and target is not None and source != target:
            ends = shown(source, columns[0].form), shown(target, columns[1].form)
            found.setdefault(ends[0], {})[ends[1]] = _weight(*weight[:1])
    return found


def _weight(value: Cell = None) -> str:
    """Return a weight in three digits, which fit beside a link; the table has all."""
    number = drawable(value)
    return f"{number:.3g}" if number is not None else str(value or "")


def _between(nodes: set[str], links: Links) -> Links:
    """Return the edges that have both ends among some nodes, in the order of all edges."""
    return {
        source: {target: weight for target, weight in targets.items() if target in nodes}
        for source, targets in links.items()
        if source in nodes
    }
