"""The convert pipeline: examples in any format in, TFRecord or Parquet out, in the same order.

TFRecord, Parquet, Arrow, CSV, JSON Lines -> records -> TFRecord, Parquet
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.files.outputs import marked_if_incomplete
from nsl_tools.files.paths import files_of_output, resolve_inputs, resolve_output
from nsl_tools.files.preflight import check_outputs, check_space
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.formats.example_batch import read_examples, refuse_empty
from nsl_tools.formats.tables.example_table import ExampleTable, is_table_output
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.feature_types import FeatureTypes, said_types
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.formats.tfrecord.writer import RecordFile, refuse_zstd, write_framed
from nsl_tools.progress import Progress
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.tfrecord.writer import RecordSink
    from nsl_tools.options import ConvertOptions


def convert(
    inputs: Sequence[str],
    output: str,
    options: ConvertOptions,
    progress: Progress = Progress(),  # noqa: B008 - frozen
    report: Report | None = None,
) -> Statistics:
    """Write the examples of some inputs, one after the other, in the format of the output.

    Args:
        inputs: paths of files that hold examples; TFRecord and tables may be mixed.
        output: a file, `base@N` or `-`; its suffix says Parquet, or else TFRecord.
        options: how to read and compress.
        progress: how to report progress.
        report: what to write beside the output.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    refuse_zstd(output)
    outputs = resolve_output(output)
    statistics = report.statistics if report else Statistics(options.max_errors)
    with contextlib.ExitStack() as stack:
        stack.enter_context(marked_if_incomplete(outputs))
        paths = resolve_inputs(inputs, statistics.warnings)
        table = is_table_output(output, options.compression)
        check_outputs(files_of_output(output), paths)
        check_space(outputs, least=1)
        run = provenance_of("convert", options, {"examples": paths})
        shards = stack.enter_context(
            run_output(output, run, options, statistics, report, options.compression)
        )
        if shards.all_kept(statistics, progress):
            return statistics
        sources = [stack.enter_context(opened_examples(path, options)) for path in paths]
        types = said_types(paths, options.id_feature) if table else None
        total = _counted(sources, types)
        refuse_empty(total, sources, options)
        begin: Callable[[ByteSink], RecordSink] = RecordFile
        if types:
            begin = partial(ExampleTable, types=types.columns())
        records = _after_kept(_records(sources), shards.kept(total))
        write_framed(shards, progress.track(records, "examples", len, total), total, begin)
        statistics.counts["examples"] = total
    return statistics


def _counted(sources: Sequence[Source], types: FeatureTypes | None) -> int:
    """Return how many examples there are; let `types` see each, if there are columns to make."""
    if types is None:
        return sum(len(batch) for source in sources for batch in read_batches(source))
    total = 0
    for batch in read_examples(sources):
        types.observe(batch)
        total += len(batch)
    return total


def _records(sources: Sequence[Source]) -> Iterator[Framed]:
    """Yield the records of all files as they stand there, checksums verified."""
    for source in sources:
        for batch in read_batches(source):
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
