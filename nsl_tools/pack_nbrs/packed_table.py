"""Packed examples as the rows of a table: which columns they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError
from nsl_tools.feature_names import (
    LABEL_WEIGHT,
    NUM_NEIGHBORS,
    SOFT_LABEL,
    WEIGHT_NAME,
    neighbor_feature,
    neighbor_weight,
)
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.tables.example_table import is_table_output
from nsl_tools.formats.tables.feature_types import FeatureType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.formats.tables.feature_types import FeatureTypes
    from nsl_tools.options import PackOptions


def is_parquet(output: str, options: PackOptions) -> bool:
    """Tell whether an output is a table, by its suffix.

    Raises:
        UsageError: it is, and the options do not say how many neighbours have columns, or ask
            for a compression, which is Parquet's own affair.
    """
    if not is_table_output(output, options.compression):
        return False
    if options.max_neighbors is None:
        problem = f"each neighbour has columns of its own in {output}"
        raise UsageError(f"--max-nbrs: expected a number, since {problem}, received none")
    return True


def packed_types(found: FeatureTypes, options: PackOptions) -> list[FeatureType]:
    """Return the columns of packed examples.

    Those of the seed, what packing adds to it, and those of each neighbour, the nearest first.
    Where a sample has fewer neighbours, their columns are null, and their weights 0.
    """
    own = found.columns()
    added = [FeatureType(NUM_NEIGHBORS, Kind.INT64, default=0)]
    if options.soft_labels:
        added.append(FeatureType(SOFT_LABEL, Kind.FLOAT, is_list=True))
    if options.soft_labels or options.seed_unlabeled:
        added.append(FeatureType(LABEL_WEIGHT, Kind.FLOAT, default=0))
    copied = list(_copied(own, options))
    for rank in range(options.max_neighbors or 0):
        added += [each.named(neighbor_feature(rank, each.name)) for each in copied]
        added.append(FeatureType(neighbor_weight(rank), Kind.FLOAT, default=0))
    return own + added


def _copied(own: Iterable[FeatureType], options: PackOptions) -> Iterator[FeatureType]:
    names = options.copied_features
    for each in own:
        if names is None or each.name.encode() in names:
            renamed = options.rename_weight if each.name == WEIGHT_NAME else None
            yield each.named(renamed or each.name)
