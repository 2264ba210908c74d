"""Fuzz targets: each reads any bytes by one of our readers, and judges what it made of them.

The first bytes of an input are its plan: how the rest is stored and handed to the
reader (checksums repaired, compressed, in small pieces), so that a mutation gets
past the checksums. A target returns nothing; it raises if the reader does anything
but what the oracle says, or ends by another error than a DataError.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import tempfile
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from oracles import (
    Edge,
    checked,
    inflated,
    is_as_numpy_writes,
    is_id,
    lines_of,
    right_features,
    right_file_of_records,
    right_graph,
    right_matrix,
    right_rows,
)

from nsl_tools.arrays.ids import IdColumn
from nsl_tools.build_graph.read import read_embeddings
from nsl_tools.errors import DataError
from nsl_tools.files import streams
from nsl_tools.formats.example_batch import ExampleBatch, ids_of
from nsl_tools.formats.graphs import tsv as graph_tsv
from nsl_tools.formats.matrices.npy import NpyEmbeddings
from nsl_tools.formats.matrices.npy_header import read_header
from nsl_tools.formats.numbers import as_float32
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.embeddings import TableEmbeddings
from nsl_tools.formats.tfrecord import reader as tfrecord
from nsl_tools.formats.tfrecord.reader import RecordBatch
from nsl_tools.memory import LEAST_LIMIT
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nsl_tools.formats.matrices.matrix import NumberMatrix

LONGEST = 300
"""Of a record: what the reader is told to accept."""

_SMALL = 64
_WHOLE = 1 << 20
_WBITS = (0, 31, 15, 31)  # plain, GZIP, ZLIB, GZIP of two members
_MEMBERS = 3


class _Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time, and counts them."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= _WHOLE, f"asked for {size} bytes at once"
        return super().read(min(size, self._most))


@dataclass(frozen=True, kw_only=True)
class _Memory(streams.Source):
    """A file in memory, of which the size is known or not."""

    stream: io.BytesIO
    known_size: int | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[io.BytesIO]:
        yield self.stream

    def size(self) -> int | None:
        return self.known_size


@contextlib.contextmanager
def _pieces_of(size: int) -> Iterator[None]:
    """Let the readers take `size` bytes where they take a MiB or two."""
    before = tfrecord.CHUNK, streams.CHUNK, TUNING.graph_bytes
    tfrecord.CHUNK = streams.CHUNK = TUNING.graph_bytes = size
    try:
        yield
    finally:
        tfrecord.CHUNK, streams.CHUNK, TUNING.graph_bytes = before


def _stored(content: bytes, plan: int, ending: int) -> bytes:
    """Return the content as a file: plain, GZIP (of two members, too) or ZLIB, perhaps cut."""
    kind = plan % 4
    if wbits := _WBITS[kind]:
        parts = [content[:9], content[9:]] if kind == _MEMBERS else [content]
        content = b"".join(_deflated(part, wbits) for part in parts)
    return content[: len(content) - ending % 16] if ending & 16 else content + bytes(ending % 16)


def _deflated(content: bytes, wbits: int) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, wbits)
    return deflate.compress(content) + deflate.flush()


def records(data: bytes) -> None:
    """Read a TFRecord file; two bytes of plan."""
    plan, ending, content = _planned(data)
    file = _stored(checked(content) if plan & 4 else content, plan, ending)
    stream = _Trickle(file, _WHOLE if plan & 8 else 1 + plan // 16)
    size = len(file) if plan & 16 else None
    source = _Memory(name="f", max_record_bytes=LONGEST, stream=stream, known_size=size)
    piece = _SMALL if plan & 32 else _WHOLE
    right = right_file_of_records(file, LONGEST)
    with _pieces_of(piece):
        try:
            found = [p for batch in tfrecord.read_batches(source) for p in batch.payloads]
        except DataError as err:
            _judge_refusal(err, "record [0-9]+ at byte [0-9]+|compressed byte [0-9]+", right)
            if tfrecord._is_header(file[:12]):
                _judge_position(err, piece, stream.tell())
            return
    assert found == right, "accepted what is wrong"


def _planned(data: bytes) -> tuple[int, int, bytes]:
    plan, ending = data[:2].ljust(2, b"\0")
    return plan, ending, data[2:]


def _judge_refusal(err: DataError, place: str, right: object) -> None:
    assert right is None, "refused what is right"
    assert err.source == "f"
    assert re.fullmatch(place, err.place), err.place
    assert str(err).isprintable()


def _judge_position(err: DataError, piece: int, position: int) -> None:
    """The reader did not go on much longer, whatever length was announced."""
    most = piece + 2 * (LONGEST + tfrecord.HEADER_BYTES + tfrecord.FOOTER_BYTES)
    assert position <= int(err.place.rsplit(" ", 1)[1]) + most, "read on after the fault"


def graph(data: bytes) -> None:
    """Read a graph; two bytes of plan."""
    plan, ending, content = _planned(data)
    file = _stored(content, (plan & 1) * (1 + (plan & 2)), ending)
    text = inflated(file) if file.startswith(b"\x1f\x8b") else file
    right = None if text is None else right_graph(text)
    statistics = Statistics()
    found: list[Edge] = []
    # Each piece costs a call of pyarrow's reader, a millisecond.
    stream = _Trickle(file, _WHOLE if plan & 8 else 40 + plan)
    with _pieces_of(_SMALL if plan & 32 else _WHOLE):
        try:
            for batch in graph_tsv.read_tsv(_Memory(name="f", stream=stream), statistics):
                found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except DataError as err:
            _judge_refusal(err, "line [0-9]+|compressed byte [0-9]+", right)
            return
    assert found == right, "accepted what is wrong"
    assert text is not None
    _judge_counts(statistics, text)


def _judge_counts(statistics: Statistics, text: bytes) -> None:
    """Nothing doubtful goes uncounted."""
    lines = lines_of(text)
    without = sum(line.count(b"\t") == 1 for line in lines)
    blank = len(text.split(b"\n")) - 1 - len(lines) + (not text.endswith(b"\n") and bool(text))
    counts = statistics.counts
    assert counts["edges without weight (taken as 1.0)"] == without
    assert counts["blank lines"] == blank, (counts, blank)
    assert bool(statistics.warnings) == (bool(text) and not text.endswith(b"\n"))


def examples(data: bytes) -> None:
    """Parse Examples: the content cut into some, alone and as a batch; two bytes of plan."""
    plan, cut, content = _planned(data)
    count = 1 + plan % 3
    length = len(content) // count
    payloads = [content[i * length : (i + 1) * length] for i in range(count)]
    if cut % 2:  # of other lengths
        first, rest = payloads[0], b"".join(payloads[1:])
        payloads = [first[: cut % (len(first) + 1)], first, rest, first]
    right = [right_features(payload) for payload in payloads]
    for payload, features in zip(payloads, right, strict=True):
        _judge_alone(payload, features)
    _judge_batch(payloads, right)


_Right = dict[bytes, tuple[str, object]] | None


def _judge_alone(payload: bytes, right: _Right) -> None:
    try:
        features = example.parse(payload)
    except example.WireError:
        assert right is None, "refused what is right"
        return
    assert _decoded(features) == right, "accepted what is wrong"
    written = example.encode(features)
    assert right_features(written) == right, "written otherwise than read"
    assert example.parse(written) == features, "not canonical"


def _decoded(features: example.Features) -> dict[bytes, tuple[str, object]]:
    decode: dict[str, Callable[[bytes], object]] = {
        "bytes": example.decode_bytes,
        "float": _float_bytes,
        "int64": example.decode_int64,
        "empty": lambda _: None,
    }
    kinds = {name: example.kind_name(feature) for name, feature in features.items()}
    return {name: (kinds[name], decode[kinds[name]](f)) for name, f in features.items()}


def _float_bytes(feature: bytes) -> bytes:
    values = example.decode_floats(feature).tolist()
    return struct.pack(f"<{len(values)}f", *values)


def _judge_batch(payloads: list[bytes], right: list[_Right]) -> None:
    """In lockstep."""
    ends = np.cumsum([len(payload) for payload in payloads])
    starts = ends - [len(payload) for payload in payloads]
    try:
        parsed = ExampleParser().parse(b"".join(payloads), starts, ends)
    except ExampleError as err:
        # A SequenceExample parses as an Example.
        lists = "SequenceExample" in str(err) and b"\x12" in payloads[err.index]
        _judge_index(err, [lists or features is None for features in right])
        return
    assert [_decoded(parsed.features(i)) for i in range(len(payloads))] == right
    batch = RecordBatch("f", range(len(payloads)), 0, b"".join(payloads), starts, ends)
    _judge_ids(ExampleBatch(batch, parsed), right)


def _judge_ids(batch: ExampleBatch, right: list[_Right]) -> None:
    ids = [_id(features) for features in right]
    try:
        found = ids_of(batch, "id").to_pylist()
    except ExampleError as err:
        _judge_index(err, [node is None for node in ids])
        return
    assert found == ids, "accepted a wrong id"


def _judge_index(err: ExampleError, wrong: list[bool]) -> None:
    assert wrong[err.index], "refused what is right"


def _id(features: _Right) -> bytes | None:
    kind, values = (features or {}).get(b"id", ("empty", None))
    if kind != "bytes" or not isinstance(values, list) or len(values) != 1:
        return None
    return values[0] if is_id(values[0]) else None


@cache
def _file() -> io.FileIO:
    """Return a file, as some readers need one: it has a name as long as the process lives."""
    return tempfile.NamedTemporaryFile(buffering=0)  # type: ignore[return-value]


def _named(content: bytes) -> str:
    file = _file()
    file.truncate(0)
    os.pwrite(file.fileno(), content, 0)
    return str(file.name)


_MOST_NUMBERS = 10_000


def matrix(data: bytes) -> None:
    """Read a `.npy` file in blocks; two bytes of plan. Its length may be made to fit its header."""
    plan, _, content = _planned(data)
    path = _named(content)
    if plan & 1 and (rest := _numbers_bytes(path)) is not None:
        content = content[: rest[0]] + content[rest[0] :][: rest[1]].ljust(rest[1], b"\1")
        path = _named(content)
    right = right_matrix(content)
    try:
        with _npy(path) as matrix:
            found = [as_float32(block)[0].tolist() for block in matrix.blocks(1 + plan)]
    except DataError as err:
        _judge_line(err, path)
        assert not is_as_numpy_writes(content, right), "refused what is right"
        return
    assert right is not None, "accepted what is wrong"
    with np.errstate(all="ignore"):
        rows = [row for block in found for row in block]
        np.testing.assert_array_equal(np.reshape(rows, right.shape), right.astype(np.float32))


def _judge_line(err: DataError, path: str) -> None:
    assert err.source == path
    assert str(err).isprintable()


def _numbers_bytes(path: str) -> tuple[int, int] | None:
    """Return where the numbers should start, and how many bytes they should take, if not many."""
    try:
        with _npy(path):
            pass
    except DataError as err:
        expected = re.search("bytes of numbers, expected ([0-9]+) for", str(err))
        if expected and int(expected[1]) <= 8 * _MOST_NUMBERS:
            with open(path, "rb") as file:
                return read_header(path, file).bytes, int(expected[1])
    return None


def _npy(path: str) -> contextlib.AbstractContextManager[NumberMatrix]:
    return NpyEmbeddings([path], BuildGraphOptions()).opened_matrix(path)


def parquet(data: bytes) -> None:
    """Read a Parquet file in blocks; two bytes of plan."""
    plan, _, content = _planned(data)
    path = _named(content)
    statistics = Statistics(max_errors=_MOST_NUMBERS)
    options = BuildGraphOptions(memory_limit=LEAST_LIMIT)
    blocks = mock.patch.object(TUNING, "table_bytes", 1 + 8 * plan)
    try:
        with blocks, MatrixStore(LEAST_LIMIT // 4) as store:
            ids = IdColumn(path, MemoryBudget(1 << 30))
            reader = TableEmbeddings([path], options)
            found = read_embeddings(reader, SkippedRecords(statistics, "first"), store, ids)
    except DataError as err:
        _judge_line(err, path)
        return
    if found.vectors.shape[0] * found.vectors.shape[1] > _MOST_NUMBERS:
        return
    vectors = np.asarray(found.vectors[0:]).tolist()
    assert list(zip(found.ids.to_pylist(), vectors, strict=True)) == _right_table(content)


def _right_table(content: bytes) -> list[tuple[bytes, list[float]]]:
    file = pq.ParquetFile(io.BytesIO(content))
    # Group by group: where a bit that starts a list is flipped, one has more lists than rows, and
    # pyarrow would give what is too many to the rows of the next group.
    groups = [
        file.read_row_group(group, ["id", "embedding"], use_threads=False)
        for group in range(file.num_row_groups)
    ]
    rows = pa.concat_tables(groups) if groups else file.read(["id", "embedding"])
    vectors = rows.column(rows.column_names.index("embedding"))
    texts = [b"%d" % row for row in range(len(vectors))]
    if "id" in rows.column_names:
        known = rows.column(rows.column_names.index("id"))
        whole = pa.types.is_integer(known.type)
        texts = (known.cast(pa.string()) if whole else known).cast(pa.binary()).to_pylist()
    return right_rows(list(zip(texts, vectors.to_pylist(), strict=True)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "records": records, "examples": examples, "graph": graph, "npy": matrix, "parquet": parquet,
}  # fmt: skip
