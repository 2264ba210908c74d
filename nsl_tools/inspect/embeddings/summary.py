"""What a graph of embeddings would be like, from the exact neighbours of some random nodes.

Two readings: one draws the sample, one compares it with all nodes.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.inspect.embeddings.choosing import similarity_section, threshold_section
from nsl_tools.inspect.embeddings.nearest import NearestOfSample
from nsl_tools.inspect.findings import Fact, Findings, Section
from nsl_tools.inspect.labels import LabelIndex, read_labels
from nsl_tools.memory import shown_size
from nsl_tools.options import BuildGraphOptions, memory_of
from nsl_tools.progress import Progress
from nsl_tools.statistics import Statistics
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.formats.embedding_batch import EmbeddingBatch
    from nsl_tools.options import InspectOptions
    from nsl_tools.progress import Work

_LEAST = 4000  # nodes: shares of them are known within two points
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def inspect_embeddings(
    paths: Sequence[str],
    options: InspectOptions,
    statistics: Statistics,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> Findings:
    """Describe embeddings, and the graphs that thresholds and k would make of them.

    Args:
        paths: files of embeddings, of one format.
        options: how to inspect.
        statistics: counts what is odd.
        progress: how to report progress.

    Raises:
        DataError: a file cannot be read, or has no vector.
        UsageError: an input cannot be read twice, or the memory is too little.
    """
    if STANDARD_STREAM in paths:
        raise UsageError("inspect reads embeddings twice: expected files, received -")
    # Threads of its own wait for each other at each step of the eigenvalues: where other programs
    # work as well, that took 15 times as long as one.
    with threadpool_limits(1):
        return _inspected(paths, options, statistics, progress)


def _inspected(
    paths: Sequence[str], options: InspectOptions, statistics: Statistics, progress: Progress
) -> Findings:
    labels = read_labels(options, statistics, progress)
    with progress.phase("sampling", unit="B") as work:
        sample = _drawn(paths, options, statistics, work)
    if not sample.nodes:
        raise DataError(paths[0], "", "no vector, expected some")
    most = 20  # neighbours of a node that are shown: more are seldom trained on
    found = NearestOfSample(sample.units, sample.rows, most)
    own = np.full(len(sample.rows), -1, np.int32)
    first = 0
    with contextlib.ExitStack() as stack:
        pools = stack.enter_context(workers(os.cpu_count() or 1))
        index = LabelIndex(labels, memory_of(options), stack)
        work = stack.enter_context(progress.phase("comparing", unit="B"))
        for batch in _batches(paths, options, Statistics(statistics.max_errors), work):
            codes = index.codes(batch.ids)
            _take_own(own, codes, sample.rows, first)
            found.add(_units(batch.vectors, batch.norms), first, codes, pools)
            first += len(batch.ids)
    sections = [
        _overview(sample, statistics),
        similarity_section(found),
        threshold_section(found, own if labels else None, sample.nodes),
    ]
    return Findings("embeddings", list(paths), sections)


def _batches(
    paths: Sequence[str], options: InspectOptions, statistics: Statistics, work: Work
) -> Iterator[EmbeddingBatch]:
    """Yield all embeddings; count the bytes of those that were taken."""
    given = BuildGraphOptions(
        id_feature=options.id_feature,
        max_record_bytes=options.max_record_bytes,
        memory_limit=options.memory_limit,
        ids=options.ids,
        array=options.array,
        embedding_feature=options.embedding_feature,
        embedding_columns=options.embedding_columns,
    )
    reader = embedding_reader(paths, given)
    work.expect(reader.expected_bytes())
    read = 0
    with contextlib.closing(
        reader.batches(SkippedRecords(statistics, "first"), _new_rows)
    ) as batches:
        for batch in batches:
            yield batch
            before, read = read, reader.read.done
            work.add(read - before)


def _new_rows(shape: tuple[int, int]) -> Floats:
    return np.empty(shape, np.float32)


@dataclass(frozen=True)
class _Sample:
    """Random nodes, n of them.

    Attributes:
        rows: their row numbers, ascending.
        units: their unit vectors, shape (n, d).
        nodes: how many nodes there are in all.
        zeros: how many of them have no direction.
    """

    rows: Rows
    units: Floats
    nodes: int
    zeros: int


class _Draw:
    """Draws nodes without replacement: those of all with the smallest of random keys.

    Args:
        seed: of the keys.

    Attributes:
        nodes: how many there were so far.
        zeros: how many of them have no direction.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._below = np.inf  # keys from here on are not among the smallest
        self._keys = [np.empty(0)]
        self._rows = [np.empty(0, np.int64)]
        self._units: list[Floats] = []
        self.nodes = self.zeros = 0

    def add(self, batch: EmbeddingBatch, most: int) -> None:
        """Add those of a batch that may be among the `most` with the smallest keys."""
        keys = self._random.random(len(batch.ids))
        chosen = np.flatnonzero(keys < self._below)
        self._keys.append(keys[chosen])
        self._rows.append(self.nodes + chosen)
        self._units.append(_units(batch.vectors[chosen], batch.norms[chosen]))
        self.nodes += len(batch.ids)
        self.zeros += int(np.count_nonzero(batch.norms == 0))
        # Some at a time: each time all that are kept are copied.
        if sum(map(len, self._keys)) > most + most // 2:
            self._keep(most)

    def _keep(self, most: int) -> None:
        keys = np.concatenate(self._keys)
        if len(keys) > most:
            self._below = np.partition(keys, most)[most]
        self._rows = [np.concatenate(self._rows)[keys < self._below]]
        for place, own in enumerate(self._keys[1:]):
            self._units[place] = self._units[place][own < self._below]
        self._units = [np.concatenate(self._units)]
        self._keys = [np.empty(0), keys[keys < self._below]]

    def sample(self, most: int) -> _Sample:
        """Return so many, or all if there are fewer."""
        if not self.nodes:
            return _Sample(self._rows[0], np.empty((0, 0), np.float32), 0, 0)
        self._keep(most)
        return _Sample(self._rows[0], self._units[0], self.nodes, self.zeros)


def _drawn(
    paths: Sequence[str], options: InspectOptions, statistics: Statistics, work: Work
) -> _Sample:
    """Return nodes, each as likely as the others."""
    draw, most, width = _Draw(options.random_seed), _LEAST, 1
    for batch in _batches(paths, options, statistics, work):
        width = max(1, batch.vectors.shape[1])
        most = _most_sampled(width, options)
        draw.add(batch, most)
    if options.sample is None:
        affordable = 300_000_000_000  # multiply-adds of the search: some seconds
        most = min(most, max(_LEAST, affordable // (max(1, draw.nodes) * width)))
    return draw.sample(most)


def _most_sampled(dimension: int, options: InspectOptions) -> int:
    """Return how many nodes may be drawn: as many as asked for, or as tell shares within a point.

    Raises:
        UsageError: the memory is too little for these.
    """
    limit = memory_of(options).limit
    # The sample, its copy while it changes, and the products of a block.
    a_node, products = 4 * 3 * dimension, 4 * 3 * NearestOfSample.products
    least = options.sample or _LEAST
    if (needed := least * a_node + products) > limit:
        raise UsageError(
            f"--memory-limit: expected at least {shown_size(needed)} for --sample "
            f"{least:,} of dimension {dimension:,}, received {shown_size(limit)}"
        )
    enough = 20_000
    return options.sample or min(enough, (limit - products) // max(1, a_node))


def _units(vectors: Floats, norms: npt.NDArray[np.float64]) -> Floats:
    """Return unit vectors; zero stays zero."""
    scales = 1 / np.where(norms > 0, norms, 1.0)[:, np.newaxis]
    found = np.empty(vectors.shape, np.float32)
    return np.multiply(vectors, scales, out=found, casting="same_kind", dtype=np.float64)


def _take_own(
    own: npt.NDArray[np.int32], codes: npt.NDArray[np.int32], rows: Rows, first: int
) -> None:
    """Fill in the labels of the sample's nodes that are among those from row `first` on."""
    here = np.flatnonzero((rows >= first) & (rows < first + len(codes)))
    own[here] = codes[rows[here] - first]


def _overview(sample: _Sample, statistics: Statistics) -> Section:
    ratio, most = _effective_dimension(sample.units)
    unusable = sum(n for reason, n in statistics.warnings.items() if reason in statistics.dropped)
    facts = [
        Fact("nodes", "nodes", sample.nodes),
        Fact("dimension", "dimension", sample.units.shape[1]),
        Fact("effective_dimension", "effective dimension (participation ratio)", ratio, "number"),
        Fact("dimensions_of_90", "directions with 90 % of the variance", most),
        Fact("zero_vectors", "vectors of zeros, which have no neighbour", sample.zeros),
        Fact("unusable", "records that cannot be used", unusable),
        Fact("sample", "random nodes whose neighbours were sought", len(sample.rows)),
    ]
    reasons = [f"{reason} ({count:,})" for reason, count in statistics.warnings.items()]
    return Section("overview", "Overview", facts, advice=reasons)


def _effective_dimension(units: Floats) -> tuple[float | None, int | None]:
    """Return the participation ratio of the variances, and how many directions have 90 %.

    The ratio is (sum of l)^2 / (sum of l^2) of the eigenvalues l of the covariance: d if all
    directions vary alike, 1 if one does. It is that of some of the vectors, since finding these
    takes time that grows with the third power of the vectors or of d, whichever is less.
    """
    units = units[:: -(-len(units) // _LEAST)]
    centered = units.astype(np.float64) - units.mean(axis=0, dtype=np.float64)
    wide = centered.shape[1] > len(centered)
    values = np.linalg.eigvalsh(centered @ centered.T if wide else centered.T @ centered)
    values = np.maximum(values, 0)[::-1]
    total = values.sum()
    if not total > 0:
        return None, None
    ratio = float(total**2 / (values**2).sum())
    return ratio, int(np.searchsorted(np.cumsum(values), 0.9 * total)) + 1
