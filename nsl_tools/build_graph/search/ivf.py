"""Approximate candidates by inverted lists (IVF): each row probes the cells nearest to it.

The list of a cell holds the rows that are assigned to it, its *members*. One dense product of
the members and of the rows that probe the cell, the *queries*, gives candidates to both. A
search by a larger margin probes more cells, and so compares more pairs. A row keeps its best
candidates so far: recall can only grow.

What is kept does not depend on threads, nor on when a row learns what was found: a pair is
compared once, and candidates are totally ordered, by similarity, then row. The similarities
are float32 products, so that another BLAS may choose other pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.buffers import Buffers
from nsl_tools.arrays.top_k import product_top_k
from nsl_tools.build_graph.search.candidate_keys import (
    NO_KEY,
    PairKeys,
    best_of_each,
    merge_top_k,
)
from nsl_tools.build_graph.search.candidates import SPARE, Candidates
from nsl_tools.build_graph.search.coarse_quantizer import CoarseQuantizer
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.build_graph.embeddings import UnitRows
    from nsl_tools.build_graph.search.assignment import Numbers
    from nsl_tools.build_graph.search.candidate_keys import Keys
    from nsl_tools.build_graph.search.candidates import WeighedCandidates
    from nsl_tools.build_graph.weigher import EdgeWeigher
    from nsl_tools.spill.matrix import Floats, Rows
    from nsl_tools.threads import Workers


@dataclass(frozen=True)
class SearchFacts:
    """What the search of any list knows of n rows, numbered from 0.

    Attributes:
        listed: the cells nearest to each row, shape (n, columns).
        assigned: the cell that each is in, shape (n,).
        thresholds: the least similarity that each wants, float32; it may rise meanwhile.
        before: how many of its listed cells each has probed before.
        probes: how many it has probed after this search.
        depth: how many candidates a row keeps.
        table_rows: rows whose candidates are kept together.
    """

    listed: Numbers
    assigned: Numbers
    thresholds: Floats
    before: Numbers
    probes: Numbers
    depth: int
    table_rows: int


class ListSearcher:
    """Searches one list at a time; threads may share it."""

    def __init__(self, unit: UnitRows, facts: SearchFacts, work: Work | None = None) -> None:
        """Search among `unit`, of which so much is known; count products in `work`."""
        self._unit, self._facts, self._work = unit, facts, work or Work()
        self._keys = PairKeys(len(unit))
        self._depth = facts.depth
        self._most = int(facts.probes.max())
        self._buffers = Buffers()

    @property
    def unit(self) -> UnitRows:
        """The rows that it searches among."""
        return self._unit

    @property
    def facts(self) -> SearchFacts:
        """What it knows of rows."""
        return self._facts

    def search(self, members_and_queries: tuple[Rows, Rows]) -> Keys:
        """Return candidates among the members of a cell and its queries, table by table."""
        members, queries = members_and_queries
        base = self._units("members", members)
        found = [np.empty(0, np.uint64)]
        step = TUNING.probing_rows
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            products = self._buffers.array("products", np.float32, len(block), len(members))
            own = queries is members
            units = base[start : start + step] if own else self._units("queries", block)
            np.matmul(units, base.T, out=products)
            if own:
                np.fill_diagonal(products[:, start:], -np.inf)
                found.append(self._passing(products, 0, (block, members), strangers=False))
            else:
                found += [self._passing(products, axis, (block, members)) for axis in (0, 1)]
            self._work.add(products.size)
        keys = np.concatenate(found)
        return self.by_table(keys)

    def by_table(self, keys: Keys) -> Keys:
        """Return keys in the order of the tables that keep them."""
        tables = (self._keys.owners(keys) // self._facts.table_rows).astype(np.uint16)
        return np.asarray(keys.take(np.argsort(tables, kind="stable")))

    def _units(self, name: str, rows: Rows) -> Floats:
        shape = len(rows), self._unit.shape[1]
        return self._unit.take(rows, self._buffers.array(name, np.float32, *shape))

    def _passing(
        self, products: Floats, axis: int, sides: tuple[Rows, Rows], *, strangers: bool = True
    ) -> Keys:
        """Return candidates of the rows along `axis` of `products`, shape (queries, members)."""
        own, depth = sides[axis], self._depth
        mask = self._buffers.array("passing", np.bool_, *products.shape)
        places = product_top_k(products, axis, self._facts.thresholds.take(own), depth, mask)
        found = products.ravel().take(places)
        pair = np.divmod(places, products.shape[1])
        both = sides[0].take(pair[0]), sides[1].take(pair[1])
        keys, owners = self._keys.pack(both[axis], both[1 - axis], found), pair[axis]
        if strangers:
            compared = self._compared_already(*both)
            keys, owners = np.delete(keys, compared), np.delete(owners, compared)
        if len(keys) <= TUNING.crowd * depth * len(own):
            return keys
        best = best_of_each(keys, owners, len(own), depth)
        return np.asarray(best[best != NO_KEY])

    def _compared_already(self, queries: Rows, members: Rows) -> Rows:
        """Return the places of pairs compared before, or in a cell of a smaller number too."""
        assigned = self._facts.assigned.take(queries)
        back = self._facts.listed.take(members, axis=0)[:, : self._most] == assigned[:, np.newaxis]
        pair, place = np.divmod(np.flatnonzero(back), self._most)
        members = members[pair]
        # The members of one cell were compared at first.
        compared = place < self._facts.before[members]
        compared |= (place < self._facts.probes[members]) & (
            assigned[pair] < self._facts.assigned[members]
        )
        return pair[compared]


class ListRunner(Protocol):
    """What searches lists, and weighs what was found: threads, or the tasks of an engine."""

    def found(
        self, searcher: ListSearcher, searches: Iterator[tuple[Rows, Rows]], at_once: int
    ) -> Iterator[list[Keys]]:
        """Yield what each search of some members and queries finds, table by table.

        Args:
            searcher: of one list.
            searches: the lists.
            at_once: how many to search before what they found is kept.
        """

    def weighed(
        self, candidates: Candidates, rows: Rows, weigher: EdgeWeigher
    ) -> WeighedCandidates:
        """Return candidates, those of `rows` weighed as far as they may be among the best."""


class InvertedLists:
    """A search by probing lists: it goes on as its margin grows, and keeps what it found.

    Inside, a row is its place among `unit.rows`.

    Args:
        unit: the rows to find neighbours for, and among; at least one.
        best: how many neighbours a row wants.
        threshold: smallest similarity.
        slack: by how much two similarities differ if their order is certain.
        workers: the threads.
        runner: searches the lists.
        seed: of the cells.
        work: counts the products that it takes to place and to list the cells.

    Attributes:
        found: the best candidates of each row so far.
    """

    def __init__(
        self,
        unit: UnitRows,
        best: int,
        threshold: float,
        slack: float,
        workers: Workers,
        runner: ListRunner,
        seed: int,
        work: Work | None = None,
    ) -> None:
        self._unit, self._pool, self._runner = unit, workers.products, runner
        self._keys = PairKeys(len(unit))
        self._best = np.full((len(unit), best + SPARE), NO_KEY)
        self._thresholds = np.full(len(unit), threshold, np.float32)
        # Where rows keep more than 16 candidates each, fewer rows and lists are taken together.
        share = min(1.0, 16 / self._best.shape[1])
        tables, lists = TUNING.kept_rows, TUNING.probed_lists
        self._table_rows = max(min(1 << 11, tables), int(share * tables))
        self._at_once = max(min(8, lists), int(share * lists))
        self._quantizer = CoarseQuantizer(unit, workers, seed, work=work)
        self._assigned = self._quantizer.listed[:, 0].copy()
        self.found = Candidates(unit.rows, self._keys, self._best, slack, self._assigned)
        self._members = self._by_cell(np.arange(len(unit)), self._assigned)
        self._before = self._probes = np.zeros(len(unit), np.uint16)

    def __len__(self) -> int:
        return len(self._unit)

    def margins_of_pairs(self, rows: Rows, others: Rows) -> npt.NDArray[np.int64]:
        """Return the least margin by which each of some pairs is compared, shape (m,), or NEVER."""
        known = self._unit.rows
        return self._quantizer.margins_of_pairs(
            *(np.searchsorted(known, r) for r in (rows, others))
        )

    def list_enough(self, margin: int) -> bool:
        """List more cells if rows would probe most of those listed; return whether it did."""
        return self._quantizer.list_enough(margin)

    def cost(self, margin: int) -> int:
        """Return how many products a search takes: of k-means, of the lists, and of the probes."""
        return self._quantizer.cost + self._quantizer.comparisons(margin)

    def described(self, margin: int) -> str:
        """Return in words how many lists there are, and how many a search probes."""
        probes = self._quantizer.mean_probes(margin)
        return f"{len(self._quantizer):,} lists, of which a node probes {probes:.1f} on average"

    @property
    def listing_cost(self) -> int:
        """How many products it took to place and to list the cells."""
        return self._quantizer.cost

    def search(self, margin: int, work: Work | None = None) -> None:
        """Let rows probe the cells within a margin that they did not probe yet.

        Args:
            margin: no smaller than before.
            work: counts products.
        """
        # What rows find in their own cell spares much of what follows.
        for share in (0.0, 1.0):
            self._probe(self._quantizer.probes(int(share * margin)), work)

    def order(self) -> Rows:
        """Return the places of all rows, those of a cell together."""
        return np.concatenate(self._members)

    def read_from(self, unit: UnitRows) -> None:
        """Take the same rows from elsewhere."""
        self._unit = unit

    def _probe(self, probes: Numbers, work: Work | None) -> None:
        self._before = self._probes
        self._probes = np.maximum(self._before, probes)
        facts = SearchFacts(
            self._quantizer.listed,
            self._assigned,
            self._thresholds,
            self._before,
            self._probes,
            self._best.shape[1],
            self._table_rows,
        )
        searcher = ListSearcher(self._unit, facts, work)
        found: list[Keys] = []
        for some in self._runner.found(searcher, self._searches(), self._at_once):
            found += some
            if sum(map(len, found)) > self._best.size // 2:
                self._keep(found)
                found = []
        self._keep(found)

    def _searches(self) -> Iterator[tuple[Rows, Rows]]:
        """Yield the members of each cell and its queries; at first, the members themselves."""
        listed = self._quantizer.listed
        column = np.arange(listed.shape[1], dtype=np.uint16)
        now = column < self._probes[:, np.newaxis]
        now &= column >= np.maximum(self._before, 1)[:, np.newaxis]
        places = np.flatnonzero(now)
        queries = self._by_cell(places // len(column), listed.ravel().take(places))
        searches = zip(self._members, queries, strict=True)
        own = () if self._before.any() else zip(self._members, self._members, strict=True)
        return ((members, queries) for members, queries in chain(own, searches) if len(queries))

    def _by_cell(self, rows: Rows, cells: Numbers) -> list[Rows]:
        """Return for each cell the `rows` whose cell it is, shapes (m,), (m,)."""
        order = rows.take(np.argsort(cells, kind="stable"))
        return np.split(order, np.cumsum(np.bincount(cells, minlength=len(self._quantizer)))[:-1])

    def _keep(self, found: list[Keys]) -> None:
        """Keep the best of what was kept and of `found`, which go table by table each."""
        starts = np.arange(0, len(self._best), self._table_rows)
        borders = self._keys.first_of(starts[1:])
        cuts = [[0, *np.searchsorted(keys, borders).tolist(), len(keys)] for keys in found]
        parts = (
            [keys[cut[i] : cut[i + 1]] for keys, cut in zip(found, cuts, strict=True)]
            for i in range(len(starts))
        )
        for _ in self._pool.map(self._keep_rows, starts.tolist(), parts):
            pass

    def _keep_rows(self, start: int, found: list[Keys]) -> None:
        table = self._best[start : start + self._table_rows]
        keys = np.concatenate([np.empty(0, np.uint64), *found])
        merge_top_k(table, keys, self._keys.owners(keys) - start)
        full = np.flatnonzero(table[:, -1] != NO_KEY)
        reached = self._keys.thresholds(table[full, -1])
        thresholds = self._thresholds[start : start + self._table_rows]
        thresholds[full] = np.maximum(thresholds[full], reached)
