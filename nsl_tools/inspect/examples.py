"""What examples hold: features, their kinds and lengths, labels; of packed ones, the neighbours."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError
from nsl_tools.feature_names import NEIGHBOR_PREFIX, NUM_NEIGHBORS
from nsl_tools.files.streams import bytes_of
from nsl_tools.formats.example_batch import read_decoded
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_values import kinds_of, values_of
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.inspect.findings import Cell, Column, Fact, Findings, Section, Table
from nsl_tools.progress import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.protobuf.example_values import Values
    from nsl_tools.options import InspectOptions
    from nsl_tools.statistics import Statistics


def inspect_examples(
    paths: Sequence[str],
    options: InspectOptions,
    statistics: Statistics,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> Findings:
    """Describe examples, packed or not, in TFRecord files or tables.

    Raises:
        DataError: a file cannot be read, or has no example.
    """
    found = ExampleSummary(options.label_feature)
    skipped = SkippedRecords(statistics, "first")
    with contextlib.ExitStack() as stack:
        read = Work()
        opened = (opened_examples(path, options, read) for path in paths)
        sources = [stack.enter_context(each) for each in opened]
        with progress.phase("reading", read, "B", bytes_of(sources)):
            for batch, _ in read_decoded(sources, skipped, lambda batch: batch):
                found.add(batch)
        if not found.count and not options.allow_empty:
            raise DataError(sources[0].name, "", "no record, expected some")
    kind = "packed examples" if NUM_NEIGHBORS in found.features else "examples"
    reasons = [f"{reason} ({count:,})" for reason, count in statistics.warnings.items()]
    return Findings(kind, list(paths), found.sections(reasons))


@dataclass
class _Feature:
    """What is known of one feature.

    Attributes:
        kinds: how many examples have it as each kind.
        least: values that an example has at least, of those that have the feature.
        most: as many at most.
        total: values in all examples.
    """

    kinds: dict[int, int] = field(default_factory=dict)
    least: int = 1 << 62
    most: int = 0
    total: int = 0

    def add(self, kind: int, lengths: npt.NDArray[np.int64]) -> None:
        """Add m examples that have it as one kind, and their numbers of values."""
        self.kinds[kind] = self.kinds.get(kind, 0) + len(lengths)
        self.least = min(self.least, int(lengths.min()))
        self.most = max(self.most, int(lengths.max()))
        self.total += int(lengths.sum())

    def row(self, name: str, examples: float) -> tuple[Cell, ...]:
        """Return what the table of features says of it."""
        have = sum(self.kinds.values())
        names = " or ".join(sorted(example.Kind.NAMES[kind] for kind in self.kinds))
        return name, names, have / examples, self.least, self.total / have, self.most


class ExampleSummary:
    """Counts of examples, added batch by batch.

    Attributes:
        count: how many there are.
        features: by name; a feature of the neighbours of all ranks is one.
    """

    each_rank = f"{NEIGHBOR_PREFIX}*_"

    def __init__(self, label: str) -> None:
        """Count the values of the feature `label`, too."""
        self.count = self._bytes = 0
        self.features: dict[str, _Feature] = {}
        self._label = label
        self._labels: dict[str, int] = {}
        self._neighbors = np.zeros(0, np.int64)
        self._first: list[tuple[int, str, str]] = []

    def add(self, batch: ExampleBatch) -> None:
        """Add some examples."""
        self._first += _shown_examples(batch, self.count)
        self.count += len(batch)
        self._bytes += len(batch.records.data)
        parsed = batch.parsed
        for name in parsed.known:
            spans = parsed.column(name)
            present = np.flatnonzero(spans.starts < spans.ends)
            kinds = kinds_of(parsed.data, spans.at(present))
            for kind in np.unique(kinds).tolist():
                these = spans.at(present[kinds == kind])
                self._add(name.decode(), kind, values_of(parsed.data, these, kind))

    def _add(self, name: str, kind: int, values: Values) -> None:
        own = re.sub(f"^{NEIGHBOR_PREFIX}[0-9]+_", self.each_rank, name)
        self.features.setdefault(own, _Feature()).add(kind, values.lengths)
        if name == NUM_NEIGHBORS and kind == example.Kind.INT64:
            self._count_neighbors(values.flat)
        elif name == self._label and kind in (example.Kind.INT64, example.Kind.BYTES):
            self._count_labels(values.flat)

    def _count_neighbors(self, counts: npt.NDArray[np.int64]) -> None:
        # A packed file was made with some --max-nbrs: what is beyond a million is an error there.
        added = np.bincount(np.clip(counts, 0, 1_000_000))
        longer, shorter = sorted((added, self._neighbors), key=len, reverse=True)
        longer[: len(shorter)] += shorter
        self._neighbors = longer

    def _count_labels(self, labels: npt.NDArray[Any]) -> None:
        values, counts = np.unique(labels, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            text = (
                value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
            )
            self._labels[text] = self._labels.get(text, 0) + count

    def sections(self, reasons: Sequence[str] = ()) -> list[Section]:
        """Return what was found; `reasons` are of what is odd or was left out."""
        facts = [
            Fact("examples", "examples", self.count),
            Fact("bytes_an_example", "bytes an example", self._mean(self._bytes), "number"),
            Fact("features", "features", len(self.features)),
        ]
        found = [Section("overview", "Overview", facts, advice=reasons), self._feature_section()]
        if NUM_NEIGHBORS in self.features:
            found.append(self._neighbor_section())
        if self._labels:
            found.append(self._label_section())
        columns = [
            Column("example", "example"),
            Column("feature", "feature", "text"),
            Column("value", "value", "text"),
        ]
        table = Table("values", "The first examples", columns, self._first)
        return [*found, Section("first", "First examples", tables=[table])]

    def _mean(self, total: int) -> float | None:
        return total / self.count if self.count else None

    def _feature_section(self) -> Section:
        columns = [
            Column("feature", "feature", "text"),
            Column("kind", "kind", "text"),
            Column("share", "have it", "share"),
            Column("least", "values: least"),
            Column("mean", "mean", "number"),
            Column("most", "most"),
        ]
        rows = [
            feature.row(name, self.count * self._ranks(name))
            for name, feature in self.features.items()
        ]
        table = Table("features", "Features, and how many values an example has", columns, rows)
        return Section("features", "Features", tables=[table])

    def _ranks(self, name: str) -> float:
        """Return how many neighbours an example has on average, of a feature of these; else 1."""
        if not name.startswith(self.each_rank):
            return 1
        counts = self._neighbors
        return max(1, int((counts * np.arange(len(counts))).sum())) / max(1, self.count)

    def _neighbor_section(self) -> Section:
        counts = self._neighbors
        total = int((counts * np.arange(len(counts))).sum())
        facts = [
            Fact("neighbors", "neighbours", total),
            Fact("neighbors_an_example", "neighbours an example", self._mean(total), "number"),
            Fact("without", "examples without a neighbour", int(counts[:1].sum())),
        ]
        rows = [(number, int(count)) for number, count in enumerate(counts.tolist()) if count]
        columns = [Column("neighbors", "neighbours"), Column("examples", "examples")]
        table = Table(
            "counts", "Examples by number of neighbours", columns, rows[:50],
            "bars", "neighbors", ["examples"],
        )  # fmt: skip
        return Section("neighbors", "Neighbours", facts, [table], _advice(counts))

    def _label_section(self) -> Section:
        most = 20  # labels
        ordered = sorted(self._labels.items(), key=lambda item: -item[1])
        rows = [(text, count, count / self.count) for text, count in ordered[:most]]
        columns = [
            Column("label", "label", "text"),
            Column("examples", "examples"),
            Column("share", "share", "share"),
        ]
        facts = [Fact("labels", "labels", len(self._labels))]
        table = Table("counts", "Examples by label", columns, rows, "bars", "label", ["examples"])
        return Section("labels", "Labels", facts, [table])


def _advice(counts: npt.NDArray[np.int64]) -> list[str]:
    without, examples = int(counts[:1].sum()), int(counts.sum())
    if 2 * without <= examples:
        return []
    found = f"{100 * without / examples:.0f} % of the examples have no neighbour: the graph says"
    return [f"{found} nothing of them. `nsl-tools inspect GRAPH --examples` counts unknown ids."]


def _shown_examples(batch: ExampleBatch, before: int) -> list[tuple[int, str, str]]:
    """Return the features of those that are among the first examples, as texts.

    Args:
        batch: some examples.
        before: how many came before them.
    """
    most, features = 3, 20  # examples, and features of one
    found = []
    for index in range(min(most - before, len(batch))):
        values = sorted(batch.parsed.features(index).items())
        for name, feature in values[:features]:
            found.append((before + index + 1, name.decode(), _shown_value(feature)))
    return found


def _shown_value(feature: bytes) -> str:
    """Return a feature's first values as text."""
    most = 4  # values
    kind = example.kind_name(feature)
    every: Sequence[Any] = []
    if kind == "bytes":
        every = example.decode_bytes(feature)
        texts = [shown(value, 40) for value in every[:most]]
    elif kind == "float":
        every = example.decode_floats(feature).tolist()
        texts = [f"{value:.6g}" for value in every[:most]]
    elif kind == "int64":
        every = example.decode_int64(feature)
        texts = [str(value) for value in every[:most]]
    else:
        return kind
    more = f", ... ({len(every):,} values)" if len(every) > most else ""
    return ", ".join(texts) + more
