"""What a run was asked to do: frozen, and valid once made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from nsl_tools.choices import (
    DEFAULT_EMBEDDING_FEATURE,
    DEFAULT_ID_FEATURE,
    DEFAULT_MAX_RECORD_BYTES,
    EdgeIds,
    EngineName,
    OnDuplicate,
    SpreadMethod,
    WeightKind,
)
from nsl_tools.errors import UsageError
from nsl_tools.feature_names import WEIGHT_NAME
from nsl_tools.memory import LEAST_LIMIT, default_limit, shown_size

if TYPE_CHECKING:
    from nsl_tools.memory_budget import MemoryBudget

_MOST = (1 << 63) - 1  # what numpy and Arrow can count to


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options that every command has.

    Attributes:
        id_feature: name of the feature that holds the id.
        allow_empty: accept inputs without any record or edge.
        max_errors: records and lines that may be skipped, in all inputs together.
        on_duplicate: of records of one input with one id: `error` for none, or keep
            the `first` or the `last`.
        max_record_bytes: the longest record to accept.
        memory_limit: bytes to stay within, or None for half of what there is.
        resume: go on from the shards that an equal run finished before it was ended.
        report: file to write what was counted, dropped and skipped to, as JSON.
    """

    id_feature: str = DEFAULT_ID_FEATURE
    allow_empty: bool = False
    max_errors: int = 0
    on_duplicate: OnDuplicate = "error"
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    memory_limit: int | None = None
    resume: bool = False
    report: str | None = None

    def __post_init__(self) -> None:
        _require_within(0, _MOST, "--max-errors", self.max_errors)
        _require_choice(OnDuplicate, "--on-duplicate", self.on_duplicate)
        _require_within(1, _MOST, "--max-record-bytes", self.max_record_bytes)
        _require_memory(self.memory_limit)
        _require_utf8("--id-feature-name", self.id_feature)
        _require_path("--report", self.report)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(RunOptions):
    """The options of commands that run on one machine or on many.

    Attributes:
        engine: what runs the tasks: threads of this process, or Apache Spark.
        spark_master: URL of Spark's master; None for what Spark is configured for.
        work_dir: folder that all machines see, for what tasks leave for each other; None for the
            folder of the output.
    """

    engine: EngineName = "local"
    spark_master: str | None = None
    work_dir: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_choice(EngineName, "--engine", self.engine)
        _require_path("--work-dir", self.work_dir)
        for name, value in (("--spark-master", self.spark_master), ("--work-dir", self.work_dir)):
            local = self.engine == "local"
            _require(not local or value is None, name, "none without --engine spark", value)


@dataclass(frozen=True)
class BuildGraphOptions(EngineOptions):
    """How to build a graph.

    Attributes:
        k: nearest neighbours per node, or None for all above the threshold.
        similarity_threshold: smallest cosine of an edge.
        embedding_feature: name of the feature that holds the embedding.
        lsh_splits: random hyperplanes per round; 0 compares all pairs.
        lsh_rounds: rounds of bucketing, united.
        random_seed: seed of the hyperplanes.
        ids: file of the ids of embeddings without: text, `.npy`, or `table.parquet:column`.
        array: which array of files that hold several: of `.npz`, HDF5, safetensors.
        embedding_columns: patterns of the names of columns that are a dimension each, with
            commas between; None if one column holds lists.
        weights: what an edge has: the `similarity`, or the `distance`, 1 less that.
        edge_ids: how edges give nodes where that can be chosen: `ids`, or numbers of `rows`.
        recall: the share of the exact edges to find at least, as measured; 1 compares all pairs.
        threads: threads for products, or None for all cores.
    """

    k: int | None = 10
    similarity_threshold: float = 0.8
    embedding_feature: str = DEFAULT_EMBEDDING_FEATURE
    lsh_splits: int = 0
    lsh_rounds: int = 2
    random_seed: int = 0
    ids: str | None = None
    array: str | None = None
    embedding_columns: str | None = None
    weights: WeightKind = "similarity"
    edge_ids: EdgeIds = "ids"
    recall: float = 1.0
    threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.k is None or self.k >= 1, "-k", "at least 1, or all", self.k)
        most = (1 << 31) - 1
        _require(self.k is None or self.k <= most, "-k", f"at most {most}, or all", self.k)
        _require_utf8("--embedding-feature-name", self.embedding_feature)
        _require_path("--ids", self.ids)
        for name, value in (
            ("--array", self.array), ("--embedding-columns", self.embedding_columns),
        ):  # fmt: skip
            _require_utf8(name, value)
            _require(value != "", name, "a name", "an empty one")
        threshold = self.similarity_threshold
        _require(
            math.isfinite(threshold) and -1 <= threshold <= 1,
            "--similarity-threshold",
            "a cosine between -1 and 1",
            threshold,
        )
        _require(0 <= self.lsh_splits <= 62, "--lsh-splits", "0 to 62", self.lsh_splits)  # noqa: PLR2004 - bucket numbers are int64
        if self.lsh_splits:
            _require_within(1, _MOST, "--lsh-rounds", self.lsh_rounds)
        _require(
            0 <= self.random_seed < 1 << 32, "--random-seed", "0 to 4294967295", self.random_seed
        )
        _require(0 < self.recall <= 1, "--recall", "more than 0, at most 1", self.recall)
        exact = self.recall == 1 or not self.lsh_splits
        _require(exact, "--recall", "1 with --lsh-splits, which has no such promise", self.recall)
        _require_choice(WeightKind, "--weights", self.weights)
        _require_choice(EdgeIds, "--edge-ids", self.edge_ids)
        _require_within(1, 4096, "--threads", self.threads)


@dataclass(frozen=True)
class PackOptions(EngineOptions):
    """How to pack neighbours.

    Attributes:
        max_neighbors: neighbours per seed at most, or None for all.
        add_undirected_edges: follow each edge backwards too.
        seed_unlabeled: pack unlabeled examples as seeds too, and mark all seeds by
            the feature `NL_label_weight`.
        compression: of the output: `auto` (by suffix), `none`, `gzip`, `zlib`.
        rename_weight: new name for a feature of a neighbour called `weight`, which
            would clash with the edge's weight; None refuses it.
        nbr_features: features of neighbours to pack, with commas between; None for all.
        graph_ids: file of the ids of nodes that a graph gives by their numbers, or None where
            the numbers are the ids.
        soft_labels: file of class probabilities that seeds get, as `spread-labels` writes it.
    """

    max_neighbors: int | None = None
    add_undirected_edges: bool = False
    seed_unlabeled: bool = False
    compression: str = "auto"
    rename_weight: str | None = None
    nbr_features: str | None = None
    graph_ids: str | None = None
    soft_labels: str | None = None

    @property
    def copied_features(self) -> frozenset[bytes] | None:
        """Names of the features of neighbours to pack; None for all."""
        if self.nbr_features is None:
            return None
        return frozenset(name.encode() for name in self.nbr_features.split(",") if name)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.rename_weight not in ("", WEIGHT_NAME),
            "--rename-weight",
            "another name",
            repr(self.rename_weight),
        )
        _require_utf8("--rename-weight", self.rename_weight)
        _require_utf8("--nbr-features", self.nbr_features)
        _require_within(0, _MOST, "--max-nbrs", self.max_neighbors)
        _require_path("--graph-ids", self.graph_ids)
        _require_path("--soft-labels", self.soft_labels)


@dataclass(frozen=True)
class ConvertOptions(RunOptions):
    """How to convert: every example, row or edge, as it is.

    Attributes:
        compression: of the output: `auto` (by suffix), `none`, `gzip`, `zlib`.
        embedding_feature: as of `BuildGraphOptions`, like `ids`, `array`, `embedding_columns`.
        ids_out: file for the ids of the rows of a matrix, a line each.
        graph_ids: file of the ids of all nodes, in the order of the rows of a graph.
        weights: what edges are to have.
    """

    compression: str = "auto"
    embedding_feature: str = DEFAULT_EMBEDDING_FEATURE
    ids: str | None = None
    array: str | None = None
    embedding_columns: str | None = None
    ids_out: str | None = None
    graph_ids: str | None = None
    weights: WeightKind = "similarity"

    def __post_init__(self) -> None:
        super().__post_init__()
        why = ", since convert leaves nothing out"
        _require(not self.max_errors, "--max-errors", f"0{why}", self.max_errors)
        _require(self.on_duplicate == "error", "--on-duplicate", f"none{why}", self.on_duplicate)
        _require_utf8("--embedding-feature-name", self.embedding_feature)
        ids_out = self.ids_out if self.resume else None
        why = "none with --resume, which writes some of the rows"
        _require(ids_out is None, "--ids-out", why, ids_out)
        for name in ("ids", "ids_out", "graph_ids"):
            _require_path(f"--{name.replace('_', '-')}", getattr(self, name))
        _require_choice(WeightKind, "--weights", self.weights)


@dataclass(frozen=True)
class CheckOptions(RunOptions):
    """How to check.

    Attributes:
        quick: look at sizes, manifests and first bytes alone.
        array: as of `BuildGraphOptions`.
    """

    quick: bool = False
    array: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_utf8("--array", self.array)


@dataclass(frozen=True)
class InspectOptions(RunOptions):
    """How to inspect.

    Attributes:
        labels: file of the nodes' labels; None for none.
        label_feature: name of the feature that holds an example's label.
        ids: as of `BuildGraphOptions`; those of labels by row, too.
        array: as of `BuildGraphOptions`.
        embedding_feature: as of `BuildGraphOptions`.
        embedding_columns: as of `BuildGraphOptions`.
        graph_ids: as of `PackOptions`.
        sample: random nodes, of embeddings, whose nearest neighbours are sought; None for as many
            as take some seconds: 4,000 to 20,000.
        random_seed: of the sample.
    """

    labels: str | None = None
    label_feature: str = "label"
    ids: str | None = None
    array: str | None = None
    embedding_feature: str = DEFAULT_EMBEDDING_FEATURE
    embedding_columns: str | None = None
    graph_ids: str | None = None
    sample: int | None = None
    random_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_utf8("--label-feature-name", self.label_feature)
        _require_utf8("--embedding-feature-name", self.embedding_feature)
        for name, path in (("--ids", self.ids), ("--labels", self.labels)):
            _require_path(name, path)
        _require_path("--graph-ids", self.graph_ids)
        _require_utf8("--array", self.array)
        if self.sample is not None:
            _require_within(1, 1 << 20, "--sample", self.sample)


@dataclass(frozen=True)
class SpreadOptions(RunOptions):
    """How to spread labels.

    Attributes:
        label_feature: name of the feature that holds the class.
        classes: how many there are, or None for as many as the labels show.
        method: `consistency` (local and global) or `harmonic`.
        alpha: how much a node takes from its neighbours, with `consistency`.
        tolerance: change at which a class has converged, as a share of its largest value.
        max_iterations: after which a class ends, converged or not.
        balance: scale classes so that their masses are as their labels.
        graph_ids: as of `PackOptions`.
        suspects: file to name the labels to that the graph contradicts.
        folds: parts of the labels, each of which is held out once to find those.
        random_seed: of the folds.
        compression: of the output: `auto` (by suffix), `none`, `gzip`, `zlib`.
    """

    label_feature: str = "label"
    classes: int | None = None
    method: SpreadMethod = "consistency"
    alpha: float = 0.9
    tolerance: float = 1e-6
    max_iterations: int = 1000
    balance: bool = True
    graph_ids: str | None = None
    suspects: str | None = None
    folds: int = 5
    random_seed: int = 0
    compression: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_utf8("--label-feature-name", self.label_feature)
        _require_choice(SpreadMethod, "--method", self.method)
        _require(0 < self.alpha < 1, "--alpha", "more than 0, less than 1", self.alpha)
        _require(0 <= self.tolerance < 1, "--tolerance", "from 0 to below 1", self.tolerance)
        _require_within(1, 1 << 16, "--classes", self.classes)
        _require_within(1, _MOST, "--max-iterations", self.max_iterations)
        _require_within(2, _MOST, "--folds", self.folds)
        _require_path("--graph-ids", self.graph_ids)
        _require_path("--suspects", self.suspects)
        _require(
            self.id_feature != self.label_feature,
            "--label-feature-name",
            "another name than that of the id",
            self.label_feature,
        )


def memory_of(options: RunOptions) -> MemoryBudget:
    """Return the memory that a run with `options` may use."""
    from nsl_tools.memory_budget import MemoryBudget  # here, since `--help` does without

    return MemoryBudget(options.memory_limit or default_limit())


def _require_memory(limit: int | None) -> None:
    enough = limit is None or limit >= LEAST_LIMIT
    received = None if limit is None else shown_size(limit)
    _require(enough, "--memory-limit", f"at least {shown_size(LEAST_LIMIT)}", received)


def _require_within(least: int, most: int, name: str, value: int | None) -> None:
    expected = f"at least {least}" if value is None or value < least else f"at most {most}"
    _require(value is None or least <= value <= most, name, expected, value)


def _require_choice(choices: Any, name: str, value: str) -> None:
    expected = get_args(choices)
    _require(value in expected, name, " or ".join(expected), value)


def _require_utf8(name: str, value: str | None) -> None:
    """Refuse bytes of the command line that are no text: no feature has such a name."""
    whole = value is None or not any("\ud800" <= mark <= "\udfff" for mark in value)
    _require(whole, name, "UTF-8", repr(value))


def _require_path(name: str, value: str | None) -> None:
    valid = value is None or (bool(value) and "\0" not in value)
    _require(valid, name, "the name of a file", repr(value))


def _require(valid: bool, name: str, expected: str, received: object) -> None:
    if not valid:
        text = str(received)
        shown = 40  # characters
        found = text if len(text) <= shown else f"{text[:shown]}..."
        raise UsageError(f"{name}: expected {expected}, received {found}")
