"""The check: each file is read as the commands read it, and the first fault of each is told.

examples -> checksums, records, ids, each id once | matrices -> rows, finite | graphs -> edges
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.ids import IdColumn
from nsl_tools.errors import DataError
from nsl_tools.files.paths import inputs_of, resolve_inputs
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import Places, ids_of, read_decoded, unrepeated
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.kinds import kind_of
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.opening import is_table
from nsl_tools.formats.tfrecord.reader import check_start
from nsl_tools.options import BuildGraphOptions, memory_of
from nsl_tools.progress import Progress, Work
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nsl_tools.options import CheckOptions


def check(
    paths: Sequence[str],
    options: CheckOptions,
    tell: Callable[[DataError], None],
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> Statistics:
    """Look for faults in some files.

    Args:
        paths: files, globs, folders, sets; what each stands for has each id once.
        options: how to check.
        tell: is called with the first fault of each file, and of what is missing.
        progress: how to report progress.

    Returns:
        Counts: `files`, `faults`, and of what was read `records`, `rows` or `edges`.

    Raises:
        UsageError: a path cannot be the name of a file, or the memory is too little.
    """
    statistics = Statistics()
    with progress.phase("checking", unit="B") as work:
        for path in paths:
            files = _files_of(path, statistics, tell)
            sizes = [_size_of(file) for file in files]
            work.expect(sum(sizes))
            ids = _Ids(path, options)
            for file, size in zip(files, sizes, strict=True):
                statistics.counts["files"] += 1
                before = work.done
                try:
                    _check(file, options, statistics, ids, work)
                except DataError as err:
                    _count(err, statistics, tell)
                work.add(before + size - work.done)  # what was not looked at, too
            try:
                ids.require_distinct()
            except DataError as err:
                _count(err, statistics, tell)
    return statistics


def _size_of(file: str) -> int:
    try:
        return source(file).size() or 0
    except DataError:
        return 0  # the check tells why


def _count(err: DataError, statistics: Statistics, tell: Callable[[DataError], None]) -> None:
    statistics.counts["faults"] += 1
    tell(err)


def _files_of(path: str, statistics: Statistics, tell: Callable[[DataError], None]) -> list[str]:
    """Return the files that are there; tell what is missing, or not as long as a manifest says."""
    try:
        return resolve_inputs([path], statistics.warnings)
    except DataError as err:
        faults = {err.source: err}
    found = []
    for file in inputs_of(path):
        try:
            found += resolve_inputs([file])
        except DataError as err:  # noqa: PERF203 - each file has its fault
            faults.setdefault(err.source, err)
    for fault in faults.values():
        _count(fault, statistics, tell)
    return found


class _Ids:
    """The ids of what one path stands for, each of which occurs once."""

    def __init__(self, path: str, options: CheckOptions) -> None:
        self.skipped = SkippedRecords(Statistics())
        self.column = IdColumn(path, memory_of(options))
        self.places = Places()

    def require_distinct(self) -> None:
        """Raise DataError if an id occurs twice."""
        unrepeated(self.column.array(), self.skipped, self.places)


def _check(path: str, options: CheckOptions, statistics: Statistics, ids: _Ids, work: Work) -> None:
    """Raise DataError for the first fault of a file; count bytes."""
    kind = kind_of([path])
    if options.quick:
        if kind == "examples" and not is_table(path):  # whose footer was read
            _check_start(path)
    elif kind == "a graph":
        edges = GraphFiles([path], options, read=work).edges(Statistics())
        statistics.counts["edges"] += sum(map(len, edges))
    elif kind == "a matrix":
        given = BuildGraphOptions(memory_limit=options.memory_limit, array=options.array)
        rows = embedding_reader([path], given).batches(ids.skipped, _new_rows)
        statistics.counts["rows"] += sum(len(batch.ids) for batch in rows)
    else:
        with opened_examples(path, options, work) as found:
            decoded = read_decoded([found], ids.skipped, lambda b: ids_of(b, options.id_feature))
            for batch, some in decoded:
                ids.column.add(some)
                ids.places.add(batch.records)
                statistics.counts["records"] += len(some)


def _new_rows(shape: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.empty(shape, np.float32)


def _check_start(path: str) -> None:
    with source(path).open() as stream:
        check_start(path, stream.read(1 << 12))
