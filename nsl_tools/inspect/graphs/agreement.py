"""How often an edge joins nodes of one label (homophily): by rank, by weight, against chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.inspect.findings import Cell, Column, Fact, Section, Table
from nsl_tools.inspect.graphs.degrees import ids_of
from nsl_tools.inspect.graphs.histogram import Histogram

if TYPE_CHECKING:
    from nsl_tools.formats.graphs.graph_nodes import GraphNodes
    from nsl_tools.inspect.labels import Codes

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


class Agreement:
    """Counts of edges between labelled nodes, added batch by batch; self-loops are left out."""

    ranks = 20  # those beyond are counted with the last
    suspects = 10  # edges between labels, of the largest weights, that are shown

    def __init__(self, codes: Codes, names: list[str]) -> None:
        """Compare the labels of nodes: `codes`, by row, -1 for none; their `names`."""
        self._codes, self._names = codes, names
        self._of_sources, self._of_targets, self._agreeing = np.zeros((3, len(names)), np.int64)
        self._by_rank = np.zeros((2, self.ranks), np.int64)
        self._by_weight = Histogram(), Histogram()
        self._nearest = np.empty((0, 2), np.int64), np.empty(0)

    def add(self, sources: Rows, targets: Rows, weights: Weights, ranks: Rows) -> None:
        """Add m edges; `ranks` are their places, from 0, among the edges of their sources."""
        ours, theirs = self._labels(sources), self._labels(targets)
        both = (ours >= 0) & (theirs >= 0) & (sources != targets)
        ours, theirs, weights = ours[both], theirs[both], weights[both]
        same = ours == theirs
        count = len(self._names)
        self._of_sources += np.bincount(ours, minlength=count)
        self._of_targets += np.bincount(theirs, minlength=count)
        self._agreeing += np.bincount(ours[same], minlength=count)
        ranks = np.minimum(ranks[both], self.ranks - 1).astype(np.int64)
        self._by_rank[0] += np.bincount(ranks, minlength=self.ranks)
        self._by_rank[1] += np.bincount(ranks[same], minlength=self.ranks)
        self._by_weight[0].add(weights)
        self._by_weight[1].add(weights[same])
        ends = np.stack([sources[both], targets[both]], axis=1)
        self._add_suspects(ends[~same], weights[~same])

    def _labels(self, rows: Rows) -> Codes:
        known = rows < len(self._codes)
        return np.where(known, self._codes[np.where(known, rows, 0)], np.int32(-1))

    def _add_suspects(self, ends: Rows, weights: Weights) -> None:
        # Both directions of an edge are one pair, of which one may be shown.
        many = 2 * self.suspects
        all_ends = np.concatenate([self._nearest[0], np.sort(ends, axis=1)])
        all_weights = np.concatenate([self._nearest[1], weights])
        if len(all_weights) > many:
            least = np.partition(all_weights, -many)[-many]
            # Equal weights may be many, of which the first are as good as others.
            kept = np.flatnonzero(all_weights > least)
            kept = np.append(kept, np.flatnonzero(all_weights == least)[: many - len(kept)])
            all_ends, all_weights = all_ends[np.sort(kept)], all_weights[np.sort(kept)]
        self._nearest = all_ends, all_weights

    def section(self, nodes: GraphNodes, is_node: npt.NDArray[np.bool_]) -> Section:
        """Return what was found; `is_node` tells which rows are nodes of the graph."""
        edges, same = int(self._of_sources.sum()), int(self._agreeing.sum())
        labelled = (self._codes >= 0) & is_node[: len(self._codes)]
        agreement = same / edges if edges else None
        facts = [
            Fact("labels", "labels", len(self._names)),
            Fact("labelled_nodes", "nodes with a label", int(np.count_nonzero(labelled))),
            Fact("edges", "edges between such nodes", edges),
            Fact("agreement", "of these, edges between nodes of one label", agreement, "share"),
            Fact("chance", "as many by chance", self._chance(), "share"),
            Fact(
                "assortativity", "assortativity (0 is chance, 1 is best)", self._excess(), "number"
            ),
        ]
        tables = [self._rank_table(), self._weight_table(), self._label_table(labelled)]
        return Section("labels", "Labels", facts, [*tables, self._suspect_table(nodes)])

    def _chance(self) -> float | None:
        """Return the share of agreeing edges if targets were dealt to sources by chance."""
        edges = int(self._of_sources.sum())
        shares = self._of_sources.astype(float) * self._of_targets.astype(float)
        return float(shares.sum()) / edges**2 if edges else None

    def _excess(self) -> float | None:
        chance, edges = self._chance(), int(self._of_sources.sum())
        if chance is None or chance >= 1:
            return None
        return (int(self._agreeing.sum()) / edges - chance) / (1 - chance)

    def _rank_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for rank, (edges, same) in enumerate(self._by_rank.T.tolist(), start=1):
            if edges:
                rows.append((rank, edges, same / edges, self._chance()))
        title = f"Agreement by rank of the neighbour ({self.ranks}: and all beyond)"
        return _agreement_table("by_rank", title, Column("rank", "rank"), rows)

    def _weight_table(self) -> Table:
        every, same = self._by_weight
        bounds = every.edges(10)
        counts = zip(bounds.tolist(), every.counts(bounds), same.counts(bounds), strict=False)
        rows: list[tuple[Cell, ...]] = [
            (low, edges, agreeing / edges, self._chance())
            for low, edges, agreeing in counts
            if edges
        ]
        by = Column("from", "from", "number")
        return _agreement_table("by_weight", "Agreement by weight", by, rows)

    def _label_table(self, labelled: npt.NDArray[np.bool_]) -> Table:
        nodes = np.bincount(self._codes[labelled], minlength=len(self._names))
        most = 20  # labels
        rows = []
        for label in np.argsort(-nodes, kind="stable")[:most].tolist():
            edges = int(self._of_sources[label])
            share = int(self._agreeing[label]) / edges if edges else None
            rows.append((self._names[label], int(nodes[label]), edges, share))
        columns = [
            Column("label", "label", "text"),
            Column("nodes", "nodes"),
            Column("edges", "their edges"),
            Column("agreement", "to the same label", "share"),
        ]
        return Table(
            "labels", "Labels by number of nodes", columns, rows, "bars", "label", ["nodes"]
        )

    def _suspect_table(self, nodes: GraphNodes) -> Table:
        ends, weights = self._nearest
        order = np.lexsort((ends[:, 1], ends[:, 0], -weights))
        ends, weights = ends[order], weights[order]
        kept = np.sort(np.unique(ends, axis=0, return_index=True)[1])[: self.suspects]
        kept = kept[np.argsort(-weights[kept], kind="stable")]
        names = [name.decode() for name in ids_of(nodes, ends[kept].reshape(-1))]
        labels = [self._names[code] for code in self._codes[ends[kept].reshape(-1)].tolist()]
        rows = [
            (first, labels[2 * i], second, labels[2 * i + 1], float(weights[kept[i]]))
            for i, (first, second) in enumerate(zip(names[::2], names[1::2], strict=True))
        ]
        columns = [
            Column("node", "node", "text"),
            Column("label", "label", "text"),
            Column("other_node", "node", "text"),
            Column("other_label", "label", "text"),
            Column("weight", "weight", "number"),
        ]
        title = "The nearest nodes of different labels: is a label wrong?"
        return Table("suspects", title, columns, rows)


def _agreement_table(name: str, title: str, by: Column, rows: list[tuple[Cell, ...]]) -> Table:
    columns = [
        by,
        Column("edges", "edges"),
        Column("agreement", "agreement", "share"),
        Column("chance", "chance", "share"),
    ]
    return Table(name, title, columns, rows, "lines", by.name, ["agreement", "chance"])
