"""Which columns examples make: found while they are read, or said by the table they come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.errors import UsageError
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.protobuf.example_values import kinds_of, values_of
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.table import storage_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.protobuf.lockstep import Spans


@dataclass(frozen=True)
class FeatureType:
    """What a column of examples holds.

    Attributes:
        name: of the feature.
        kind: of `example.Kind`; 0 if no example has a value.
        is_list: whether some example has not one value.
        is_text: whether bytes are texts.
        default: what stands for a missing number; None for a null.
    """

    name: str
    kind: int
    is_list: bool = False
    is_text: bool = False
    default: float | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The type of the column."""
        kinds = {Kind.FLOAT: pa.float32(), Kind.INT64: pa.int64(), 0: pa.null()}
        one = kinds.get(self.kind, pa.string() if self.is_text else pa.binary())
        return pa.list_(one) if self.is_list else one

    def named(self, name: str) -> FeatureType:
        """Return the same type by another name."""
        return replace(self, name=name)


@dataclass
class FeatureTypes:
    """The types of all features, in the order in which they come.

    Attributes:
        found: by name.
    """

    found: dict[str, FeatureType] = field(default_factory=dict)
    _said: dict[str, FeatureType] = field(default_factory=dict)

    def take_schema(self, schema: pa.Schema, id_column: str) -> None:
        """Take what a table says of its columns: which are lists, and which are texts."""
        for column in schema:
            kind = storage_type(column.type)
            is_list = hasattr(kind, "value_type") and not isinstance(kind, pa.DictionaryType)
            value = kind.value_type if is_list else kind
            value = value.value_type if isinstance(value, pa.DictionaryType) else value
            is_text = "string" in str(value) or (
                column.name == id_column and not str(value).endswith("binary")
            )
            own = FeatureType(column.name, 0, is_list=is_list, is_text=is_text)
            before = self._said.get(column.name, own)
            # What is text in one table and bytes in another is bytes.
            self._said[column.name] = replace(
                own, is_list=before.is_list or is_list, is_text=before.is_text and is_text
            )

    def columns(self) -> list[FeatureType]:
        """Return the types of all features that are known well enough to have a column."""
        return [each for each in self.found.values() if each.kind or each.is_list]

    def observe(self, batch: ExampleBatch) -> None:
        """Take the features of some examples.

        Raises:
            UsageError: a feature is of two kinds, which no column is.
        """
        parsed = batch.parsed
        for name in parsed.known:
            spans = parsed.column(name)
            kinds = kinds_of(parsed.data, spans)
            have = np.flatnonzero(kinds)
            if len(have):
                self._take(name.decode(), kinds[have], spans.at(have), batch)

    def _take(self, name: str, kinds: np.ndarray, spans: Spans, batch: ExampleBatch) -> None:
        said = self._said.get(name, FeatureType(name, 0))
        known = self.found.get(name, replace(said, kind=int(kinds[0])))
        other = kinds[kinds != known.kind]
        if len(other):
            names = " and ".join(sorted({Kind.NAMES[known.kind], Kind.NAMES[int(other[0])]}))
            problem = f"feature {name!r} is {names} in {batch.records.source} or before"
            raise UsageError(f"{problem}: a column of Parquet has one type, write TFRecord")
        if batch.records.noun == "record":  # whose bytes may be anything
            known = replace(known, is_text=False)
        if not known.is_list:
            lengths = values_of(batch.parsed.data, spans, known.kind).lengths
            known = replace(known, is_list=bool((lengths != 1).any()))
        self.found[name] = known


def said_types(paths: Iterable[str], id_feature: str) -> FeatureTypes:
    """Return what those of the inputs that are tables say of their columns."""
    found = FeatureTypes()
    for path in filter(is_table, paths):
        with opened_table(path, [id_feature]) as table:
            found.take_schema(table.schema, id_feature)
    return found
