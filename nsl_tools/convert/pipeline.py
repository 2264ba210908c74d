"""The convert pipeline: what files hold, in another format, in the same order.

examples: TFRecord, Parquet, Arrow, CSV, JSON Lines, matrices -> records -> TFRecord, Parquet
matrices: any embeddings -> .npy, .fbin
graphs:   any graph -> TSV, Parquet, .npz, HDF5
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.convert.graphs import GraphConversion
from nsl_tools.convert.matrices import EmbeddingFiles
from nsl_tools.errors import UsageError
from nsl_tools.files.outputs import marked_if_incomplete
from nsl_tools.files.paths import files_of_output, resolve_inputs, resolve_output, shard_set_of
from nsl_tools.files.preflight import check_outputs, check_space
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.files.streams import bytes_of, source
from nsl_tools.formats.example_batch import read_examples, refuse_empty
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.kinds import kind_of, output_kind
from nsl_tools.formats.tables.example_table import ExampleTable, is_table_output
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.feature_types import FeatureTypes, said_types
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.formats.tfrecord.writer import RecordFile, refuse_zstd, write_framed
from nsl_tools.options import memory_of
from nsl_tools.progress import Progress, Work
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.shard_set import ShardSet
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.kinds import Kind
    from nsl_tools.formats.tfrecord.writer import RecordSink
    from nsl_tools.options import ConvertOptions


def convert(
    inputs: Sequence[str],
    output: str,
    options: ConvertOptions,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    report: Report | None = None,
) -> Statistics:
    """Write what some inputs hold, one after the other, in the format of the output.

    Args:
        inputs: paths of files that hold examples (TFRecord and tables may be mixed), rows of
            matrices, or graphs.
        output: a file, `base@N` or `-`; its suffix says the format.
        options: how to read and compress.
        progress: how to report progress.
        report: what to write beside the output.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    outputs = resolve_output(output)
    statistics = report.statistics if report else Statistics(options.max_errors)
    with contextlib.ExitStack() as stack:
        stack.enter_context(marked_if_incomplete(outputs))
        paths = resolve_inputs(inputs, statistics.warnings)
        beside = [options.ids_out] if options.ids_out else []
        check_outputs([*files_of_output(output), *beside], paths)
        check_space(outputs, least=1)
        kind = kind_of(paths)
        wanted = output_kind(kind, output)
        _refuse_unused(kind, wanted, options)
        if kind != "a graph":
            refuse_zstd(output)
        table = is_table_output(output, options.compression)
        run = provenance_of("convert", options, {"inputs": paths})
        shards = stack.enter_context(
            run_output(output, run, options, statistics, report, options.compression)
        )
        if shards.all_kept(statistics, progress):
            return statistics
        if wanted == "examples":
            examples = _Examples(paths, options, progress, stack, from_matrix=kind == "a matrix")
            examples.write(shards, statistics, is_table=table)
        elif wanted == "a matrix":
            EmbeddingFiles(paths, options, progress).write_matrix(shards, output, statistics)
        else:
            names = node_names(options.graph_ids, memory_of(options), statistics)
            graphs = GraphFiles(paths, options, names)
            job = GraphConversion(graphs, options, statistics, progress, stack)
            job.write(shards, wanted, is_set=shard_set_of(output) is not None)
    return statistics


def _refuse_unused(kind: Kind, wanted: object, options: ConvertOptions) -> None:
    """Refuse options that such inputs and outputs have no use for.

    Raises:
        UsageError: one is given.
    """
    used = {"a graph": {"graph_ids", "weights"}, "examples": set(), "a matrix": set()}[kind]
    if wanted == "a matrix" or kind == "a matrix":
        used |= {"embedding_feature", "ids", "array", "embedding_columns"}
    used |= {"ids_out"} if wanted == "a matrix" else set()
    every = {"embedding_feature", "ids", "array", "embedding_columns"}
    every |= {"ids_out", "graph_ids", "weights"}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in every - used and value != field.default:
            name = field.name.replace("_", "-") + "-name" * (field.name == "embedding_feature")
            raise UsageError(f"--{name}: expected none for {kind}, received {value!r}")


@dataclass(frozen=True)
class _Examples:
    """Examples of some inputs, one after the other."""

    paths: Sequence[str]
    options: ConvertOptions
    progress: Progress
    stack: contextlib.ExitStack
    from_matrix: bool

    def write(self, shards: ShardSet, statistics: Statistics, *, is_table: bool) -> None:
        if self.from_matrix:
            rows = EmbeddingFiles(self.paths, self.options, self.progress).as_examples()
            sources = [self.stack.enter_context(rows)]
        else:
            sources = self._opened()
        said = [] if self.from_matrix else self.paths
        types = said_types(said, self.options.id_feature) if is_table else None
        with self.progress.phase("counting", sources[0].read, "B", bytes_of(sources)):
            total = _counted(sources, types)
        refuse_empty(total, sources, self.options)
        begin: Callable[[ByteSink], RecordSink] = RecordFile
        if types:
            begin = partial(ExampleTable, types=types.columns())
        records = _after_kept(_records(sources), shards.kept(total))
        with self.progress.phase("writing", Work(total), "examples") as work:
            write_framed(shards, work.counted(records), total, begin)
        statistics.counts["examples"] = total

    def _opened(self) -> list[Source]:
        """Open the files, whose bytes are counted together; tables are copied first."""
        size = bytes_of([source(path) for path in self.paths])
        with self.progress.phase("reading", Work(size), "B") as read:
            every = (opened_examples(path, self.options, read) for path in self.paths)
            return [self.stack.enter_context(each) for each in every]


def _counted(sources: Sequence[Source], types: FeatureTypes | None) -> int:
    """Return how many examples there are; let `types` see each, if there are columns to make."""
    if types is None:
        return sum(len(batch) for each in sources for batch in read_batches(each))
    total = 0
    for batch in read_examples(sources):
        types.observe(batch)
        total += len(batch)
    return total


def _records(sources: Sequence[Source]) -> Iterator[Framed]:
    """Yield the records of all files as they stand there, checksums verified."""
    for each in sources:
        for batch in read_batches(each):
            ends = np.append(batch.starts[:1] - HEADER_BYTES, batch.ends + FOOTER_BYTES)
            yield Framed(np.frombuffer(batch.data, np.uint8), ends)


def _after_kept(records: Iterator[Framed], kept: Sequence[range]) -> Iterator[Framed]:
    """Leave out the records of shards that are there already."""
    first = 0
    for batch in records:
        wanted = np.ones(len(batch), np.bool_)
        for part in kept:
            wanted[max(0, part.start - first) : max(0, part.stop - first)] = False
        bounds = np.flatnonzero(np.diff(wanted.astype(np.int8), prepend=0, append=0))
        for start, end in bounds.reshape(-1, 2).tolist():
            yield Framed(batch.data, batch.ends[start : end + 1])
        first += len(batch)
