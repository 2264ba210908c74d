"""Labels of nodes, as numbers: from examples, a column of a table, or a list by row."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.paths import resolve_inputs, split_member
from nsl_tools.files.streams import bytes_of, source
from nsl_tools.formats.example_batch import Places, because, ids_of, read_decoded, unrepeated
from nsl_tools.formats.graphs.graph_nodes import GraphNodes
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.ids.row_ids import id_texts
from nsl_tools.formats.ids.seeds import is_text
from nsl_tools.formats.matrices.npy_header import MAGIC
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.example_values import kinds_of, values_of
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.opening import is_table
from nsl_tools.progress import Work

if TYPE_CHECKING:
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.options import InspectOptions
    from nsl_tools.progress import Progress
    from nsl_tools.statistics import Statistics

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class NodeLabels:
    """The labels of m nodes.

    Attributes:
        ids: of the nodes, each once, a binary array.
        codes: the number of each one's label, from 0 on, shape (m,).
        names: the labels, by number.
    """

    ids: pa.Array
    codes: Codes
    names: list[str]


def read_labels(
    options: InspectOptions, statistics: Statistics, progress: Progress
) -> NodeLabels | None:
    """Read the labels that options name: one value each, a text or a whole number; None for none.

    They are those of examples (or `table.parquet:column`) with an id and a label; or of a text
    file with a label a line or an array `.npy`, in the order of the rows that a graph or a matrix
    numbers, or whose ids `--ids` gives.

    Args:
        options: name the file and the features.
        statistics: counts what is odd.
        progress: how to report progress.

    Raises:
        DataError: a file, a record, an id or a label is not what it should be.
    """
    if (path := options.labels) is None:
        return None
    file, column = split_member(path)
    files = resolve_inputs([file], statistics.warnings)
    if _is_list(files[0]):
        ids, labels = _of_rows(path, options, statistics)
    else:
        ids, labels = _of_examples(
            files, column or options.label_feature, options, statistics, progress
        )
    import pyarrow.compute as pc

    known = labels.is_valid()
    ids, encoded = ids.filter(known), pc.dictionary_encode(labels.filter(known))
    if not len(ids):
        raise DataError(path, "", "no label, expected some")
    names = [name.decode(errors="replace") for name in encoded.dictionary.to_pylist()]
    return NodeLabels(ids, encoded.indices.to_numpy(), names)


def _is_list(path: str) -> bool:
    """Tell whether a file has a label for each row, and no ids."""
    if is_table(path):
        return False
    return first_bytes(path, len(MAGIC)) == MAGIC or is_text(source(path))


def _of_rows(path: str, options: InspectOptions, statistics: Statistics) -> tuple[pa.Array, ...]:
    with row_ids(path, statistics) as found:
        labels = pa.concat_arrays(list(iter(lambda: found.take(1 << 16), _none())))
    with row_ids(options.ids, statistics) as found:
        ids = found.take(len(labels))
        left = found.rest() if options.ids else 0
    if left or len(ids) < len(labels):
        problem = f"has {len(labels):,} labels, expected one for each of {len(ids) + left:,} ids"
        raise DataError(path, "", problem)
    return ids, labels


def _none() -> pa.Array:
    return pa.array([], pa.binary())


def _of_examples(
    files: list[str],
    name: str,
    options: InspectOptions,
    statistics: Statistics,
    progress: Progress,
) -> tuple[pa.Array, ...]:
    def decode(batch: ExampleBatch) -> tuple[pa.Array, pa.Array]:
        return ids_of(batch, options.id_feature), _labels_of(batch, name)

    skipped, places = SkippedRecords(statistics, "first"), Places()
    ids, labels = [_none()], [_none()]
    with contextlib.ExitStack() as stack:
        read = Work()
        opened = (opened_examples(path, options, read) for path in files)
        sources = [stack.enter_context(each) for each in opened]
        stack.enter_context(progress.phase("labels", read, "B", bytes_of(sources)))
        for batch, found in read_decoded(sources, skipped, decode):
            places.add(batch.records)
            ids.append(found[0])
            labels.append(found[1])
    every, values = pa.concat_arrays(ids), pa.concat_arrays(labels)
    kept = unrepeated(every, skipped, places)
    if isinstance(kept, slice):
        return every, values
    return every.take(pa.array(kept)), values.take(pa.array(kept))


def _labels_of(batch: ExampleBatch, name: str) -> pa.Array:
    """Return the label of each example as a binary array, null where it has none.

    Raises:
        ExampleError: one is not one text or whole number.
    """
    data, spans = batch.parsed.data, batch.parsed.column(name.encode())
    kinds = kinds_of(data, spans)
    with because("label not usable"):
        wrong = np.flatnonzero(kinds == example.Kind.FLOAT)
        if len(wrong):
            problem = f"feature {name!r} is float, expected one text or whole number"
            raise ExampleError(int(wrong[0]), problem)
        found = np.full(len(batch), None, object)
        for kind in (example.Kind.BYTES, example.Kind.INT64):
            rows = np.flatnonzero(kinds == kind)
            values = values_of(data, spans.at(rows), kind)
            several = np.flatnonzero(values.lengths > 1)
            if len(several):
                problem = f"feature {name!r} has {values.lengths[several[0]]} values, expected one"
                raise ExampleError(int(rows[several[0]]), problem)
            texts = id_texts(pa.array(values.flat.tolist())) if len(values.flat) else _none()
            found[rows[values.lengths == 1]] = texts.to_pylist()
    return pa.array(found.tolist(), pa.binary())


class LabelIndex:
    """Finds the label of a node by its id."""

    def __init__(
        self, labels: NodeLabels | None, memory: MemoryBudget, stack: contextlib.ExitStack
    ) -> None:
        """Hold labels, None for none, in the memory; `stack` closes the scratch file of ids.

        Raises:
            UsageError: they take more memory than there is.
        """
        self._nodes = GraphNodes(memory, stack)
        self._codes = labels.codes if labels else np.empty(0, np.int32)
        if labels:
            self._nodes.rows(labels.ids)

    def codes(self, ids: pa.Array) -> Codes:
        """Return the number of each id's label, -1 for none, shape (n,)."""
        found = np.full(len(ids), -1, np.int32)
        if len(self._codes):
            rows = self._nodes.known(ids)
            has = rows >= 0
            found[has] = self._codes[rows[has]]
        return found
