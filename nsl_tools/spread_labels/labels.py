"""Labeled examples: an id and a class each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.formats.example_batch import (
    Places,
    because,
    ids_of,
    read_decoded,
    refuse_empty,
    unrepeated,
)
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.example_values import kinds_of, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.files.streams import Source
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.options import SpreadOptions

Classes = npt.NDArray[np.int64]


def read_labels(
    sources: Sequence[Source], skipped: SkippedRecords, options: SpreadOptions
) -> tuple[pa.Array, Classes]:
    """Return the ids of labeled examples, each once, and their classes, shape (m,).

    Raises:
        DataError: a file, a record, an id or a label is not what it should be.
    """

    def decode(batch: ExampleBatch) -> tuple[pa.Array, Classes]:
        return ids_of(batch, options.id_feature), _classes_of(batch, options)

    places, ids, classes = Places(), [pa.array([], pa.binary())], [np.empty(0, np.int64)]
    for batch, (own_ids, own_classes) in read_decoded(sources, skipped, decode):
        places.add(batch.records)
        ids.append(own_ids)
        classes.append(own_classes)
    every, found = pa.concat_arrays(ids), np.concatenate(classes)
    refuse_empty(len(every), sources, options)
    kept = unrepeated(every, skipped, places)
    if isinstance(kept, slice):
        return every, found
    return every.take(pa.array(kept)), found[kept]


def _classes_of(batch: ExampleBatch, options: SpreadOptions) -> Classes:
    """Return the class of each example.

    Raises:
        ExampleError: an example has not one int64 value there, from 0 to the last class.
    """
    name = options.label_feature
    with because("label not usable"):
        spans, data = batch.column(name), batch.parsed.data
        for row in np.flatnonzero(kinds_of(data, spans) != example.Kind.INT64).tolist():
            kind = example.kind_name(batch.feature(row, name, spans))
            if kind != "int64":
                raise ExampleError(row, f"feature {name!r} is {kind}, expected one int64 value")
        values = values_of(data, spans, example.Kind.INT64)
        wrong = np.flatnonzero(values.lengths != 1)
        if len(wrong):
            found = f"has {values.lengths[wrong[0]]} values, expected one"
            raise ExampleError(int(wrong[0]), f"feature {name!r} {found}")
        most = (options.classes or 1 << 16) - 1  # all nodes get a number for each class
        wrong = np.flatnonzero((values.flat < 0) | (values.flat > most))
        if len(wrong):
            found = f"is {values.flat[wrong[0]]}, expected a class from 0 to {most}"
            raise ExampleError(int(wrong[0]), f"feature {name!r} {found}")
    return values.flat.astype(np.int64)
