r"""Graphs as TSV: `source<TAB>target[<TAB>weight]`, one edge a line, UTF-8.

A block of lines is parsed by pyarrow when a few counts show that it is regular. Any other block
is parsed line by line, which is slow and defines the format. Both follow these rules:

- a weight is a finite decimal number that fits float32; without one it is 1.0;
- ids are non-empty, without tab, CR, LF or NUL; nothing is trimmed;
- lines end in LF or CRLF, blank lines are skipped, the last newline may lack.

Source of the format: NSL 1.4, `tools/graph_utils.py`.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv

from nsl_tools.arrays.ids import id_problem, shown
from nsl_tools.errors import DataError
from nsl_tools.files.decompression import decompressed
from nsl_tools.files.streams import INCOMPLETE, ByteStream, Source, without_bom
from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA, TOO_LARGE, weights_of
from nsl_tools.memory import longest_record
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.statistics import Statistics

_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRIMMED = (b"\t ", b" \n")  # spaces that pyarrow would trim


def read_tsv(source: Source, statistics: Statistics) -> Iterator[pa.RecordBatch]:
    """Yield the edges of a graph in file order, as batches of `EDGE_SCHEMA`.

    Raises:
        DataError: the file cannot be read, or a line is not an edge.
    """
    line, offset = 1, 0
    with source.open() as raw:
        for block in _line_blocks(decompressed(raw, source.name), source, statistics):
            yield parse_block(block, source.name, line, statistics, offset)
            line += _count(block, b"\n")
            offset += len(block)
    if line == 1:
        statistics.counts["empty files"] += 1


def _line_blocks(stream: ByteStream, source: Source, statistics: Statistics) -> Iterator[bytes]:
    """Yield whole lines, some MiB at a time; the last line gets a newline if it lacks one."""
    name = source.name
    longest = most = 64 << 20  # bytes of a line
    if source.memory_limit is not None:
        longest = min(longest, longest_record(source.memory_limit))
    stream = without_bom(stream, name)
    parts: list[bytes] = []
    kept = 0
    while data := stream.read(TUNING.graph_bytes):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield b"".join([*parts, memoryview(data)[:cut]])
            parts, kept = [], 0
        parts.append(data[cut:])
        kept += len(data) - cut
        if kept > longest:
            problem = f"a line is longer than {longest} bytes: not a graph"
            more = ", or one for a larger --memory-limit" if longest < most else ""
            raise DataError(name, "", problem + more)
    if last := b"".join(parts):
        statistics.warnings[f"{name}: no newline at the end: is the file complete?"] += 1
        yield last + b"\n"


def parse_block(
    block: bytes, name: str, line: int, statistics: Statistics, offset: int = 0
) -> pa.RecordBatch:
    """Return the edges in whole lines, as a batch of `EDGE_SCHEMA`.

    Args:
        block: the lines, each with its newline.
        name: of the file.
        line: the number of the first of them.
        statistics: counts what is skipped.
        offset: byte where they start.

    Raises:
        DataError: a line is not an edge.
    """
    regular = block
    if b"\r" in block and block.count(b"\r") == block.count(b"\r\n"):
        regular = block.replace(b"\r\n", b"\n")
    lines, tabs = _count(regular, b"\n"), _count(regular, b"\t")
    weighted = tabs != lines
    if not weighted:
        regular = regular.replace(b"\n", b"\t1\n")
    edges = _parse_regular(regular, lines) if tabs in (lines, 2 * lines) else None
    if edges is None:
        return _parse_lines(block, name, line, statistics, offset)
    if not weighted:
        statistics.counts["edges without weight (taken as 1.0)"] += lines
    return edges


def _count(block: bytes, mark: bytes) -> int:
    """Count a byte, several times as fast as `bytes.count`, and without holding Python's lock."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord(mark)))


def _parse_regular(block: bytes, lines: int) -> pa.RecordBatch | None:
    """Parse lines of three columns, or return None if they need a closer look."""
    # Looking for one byte is much faster than for two in a row.
    trimmed = b" " in block and any(mark in block for mark in _TRIMMED)
    if trimmed or block.startswith(codecs.BOM_UTF8) or b"\r" in block or b"\0" in block:
        return None
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(block),
            pa.csv.ReadOptions(
                column_names=EDGE_SCHEMA.names, block_size=len(block) + 1, use_threads=False
            ),
            pa.csv.ParseOptions(
                delimiter="\t", quote_char=False, escape_char=False, ignore_empty_lines=False
            ),
            pa.csv.ConvertOptions(
                column_types={"source": pa.string(), "target": pa.string(), "weight": pa.float64()},
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != lines or len(batches := table.to_batches()) != 1:
        return None
    sources, targets, weights = batches[0].columns
    if not _none_empty(sources) or not _none_empty(targets):
        return None
    # Not-a-number fails this comparison too.
    if not (np.abs(weights_of(batches[0])) < TOO_LARGE).all():
        return None
    # A cast would import pyarrow.compute, which takes as long as parsing a million edges.
    ids = [column.view(pa.binary()) for column in (sources, targets)]
    return pa.record_batch([*ids, weights], schema=EDGE_SCHEMA)


def _none_empty(ids: pa.Array) -> bool:
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    return bool((offsets[1:] > offsets[:-1]).all())


def _parse_lines(
    block: bytes, name: str, first_line: int, statistics: Statistics, offset: int = 0
) -> pa.RecordBatch:
    """Parse any block, line by line: the definition of the format."""
    edges = []
    end = offset
    for number, line in enumerate(block.split(b"\n")[:-1], first_line):
        start, end = end, end + len(line) + 1
        text = line.removesuffix(b"\r")
        if not text:
            statistics.counts["blank lines"] += 1
            continue
        if text == INCOMPLETE.strip():
            raise DataError(
                name, f"line {number}", "the program that wrote this graph failed: it is incomplete"
            )
        try:
            edges.append(_parse_line(text))
        except ValueError as err:
            problem = DataError(name, f"line {number}", str(err), number, start)
            statistics.skip("line not an edge", problem)
            continue
        if edges[-1][2] is None:
            statistics.counts["edges without weight (taken as 1.0)"] += 1
    return pa.record_batch(
        [
            pa.array([source for source, _, _ in edges], pa.binary()),
            pa.array([target for _, target, _ in edges], pa.binary()),
            pa.array([1.0 if weight is None else weight for _, _, weight in edges], pa.float64()),
        ],
        schema=EDGE_SCHEMA,
    )


def _parse_line(text: bytes) -> tuple[bytes, bytes, float | None]:
    columns = text.split(b"\t")
    if len(columns) not in (2, 3):
        raise ValueError(
            f"expected 2 or 3 columns separated by tabs, found {len(columns)}: {shown(text)} "
            "(remove header and comment lines)"
        )
    for column, node in enumerate(columns[:2], 1):
        _check_id(node, column)
    return columns[0], columns[1], _parse_weight(columns[2]) if len(columns) > 2 else None  # noqa: PLR2004 - the third column


def _check_id(node: bytes, column: int) -> None:
    problem = id_problem(node)
    if problem:
        raise ValueError(f"column {column}: {problem}")


def _parse_weight(text: bytes) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(
            f"column 3: expected a decimal number, found {shown(text)} (remove header lines)"
        )
    weight = float(text)
    if abs(weight) >= TOO_LARGE:
        raise ValueError(f"column 3: {shown(text)} does not fit a float32 weight")
    return weight
