"""What a run was asked to do: frozen, and valid once made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nsl_tools.errors import UsageError
from nsl_tools.memory import LEAST_LIMIT, default_limit, shown_size

DEFAULT_ID_FEATURE = "id"
DEFAULT_EMBEDDING_FEATURE = "embedding"


@dataclass(frozen=True)
class BuildGraphOptions:
    """How to build a graph.

    Attributes:
        k: nearest neighbours per node, or None for all above the threshold.
        similarity_threshold: smallest cosine of an edge.
        id_feature: name of the feature that holds the id.
        embedding_feature: name of the feature that holds the embedding.
        lsh_splits: random hyperplanes per round; 0 compares all pairs.
        lsh_rounds: rounds of bucketing, united.
        random_seed: seed of the hyperplanes.
        threads: threads for products, or None for all cores.
        memory_limit: bytes to stay within, or None for half of what there is.
        allow_empty: accept inputs without any record.
    """

    k: int | None = 10
    similarity_threshold: float = 0.8
    id_feature: str = DEFAULT_ID_FEATURE
    embedding_feature: str = DEFAULT_EMBEDDING_FEATURE
    lsh_splits: int = 0
    lsh_rounds: int = 2
    random_seed: int = 0
    threads: int | None = None
    memory_limit: int | None = None
    allow_empty: bool = False

    def __post_init__(self) -> None:
        _require(self.k is None or self.k >= 1, "-k", "at least 1, or all", self.k)
        threshold = self.similarity_threshold
        _require(
            math.isfinite(threshold) and -1 <= threshold <= 1,
            "--similarity-threshold",
            "a cosine between -1 and 1",
            threshold,
        )
        _require(0 <= self.lsh_splits <= 62, "--lsh-splits", "0 to 62", self.lsh_splits)  # noqa: PLR2004 - bucket numbers are int64
        _require(
            self.lsh_rounds >= 1 or not self.lsh_splits,
            "--lsh-rounds",
            "at least 1",
            self.lsh_rounds,
        )
        _require(
            0 <= self.random_seed < 1 << 32, "--random-seed", "0 to 4294967295", self.random_seed
        )
        _require(self.threads is None or self.threads >= 1, "--threads", "at least 1", self.threads)
        _require_memory(self.memory_limit)


@dataclass(frozen=True)
class PackOptions:
    """How to pack neighbours.

    Attributes:
        max_neighbors: neighbours per seed at most, or None for all.
        add_undirected_edges: follow each edge backwards too.
        seed_unlabeled: pack unlabeled examples as seeds too, and mark all seeds by
            the feature `NL_label_weight`.
        id_feature: name of the feature that holds the id.
        compression: of the output: `auto` (by suffix), `none`, `gzip`, `zlib`.
        memory_limit: bytes to stay within, or None for half of what there is.
        allow_empty: accept inputs without any record or edge.
    """

    max_neighbors: int | None = None
    add_undirected_edges: bool = False
    seed_unlabeled: bool = False
    id_feature: str = DEFAULT_ID_FEATURE
    compression: str = "auto"
    memory_limit: int | None = None
    allow_empty: bool = False

    def __post_init__(self) -> None:
        _require(
            self.max_neighbors is None or self.max_neighbors >= 0,
            "--max-nbrs",
            "at least 0",
            self.max_neighbors,
        )
        _require_memory(self.memory_limit)


def memory_of(options: BuildGraphOptions | PackOptions) -> int:
    """Return the bytes that a run with `options` may use."""
    return default_limit() if options.memory_limit is None else options.memory_limit


def _require_memory(limit: int | None) -> None:
    enough = limit is None or limit >= LEAST_LIMIT
    received = None if limit is None else shown_size(limit)
    _require(enough, "--memory-limit", f"at least {shown_size(LEAST_LIMIT)}", received)


def _require(valid: bool, name: str, expected: str, received: object) -> None:
    if not valid:
        raise UsageError(f"{name}: expected {expected}, received {received}")
