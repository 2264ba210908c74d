"""Embeddings as examples, and as matrices."""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.fingerprints import spans_of
from nsl_tools.errors import UsageError
from nsl_tools.files.outputs import Outputs
from nsl_tools.files.paths import shard_set_of
from nsl_tools.files.streams import source
from nsl_tools.formats.matrices.reader import MatrixEmbeddings
from nsl_tools.formats.matrices.vector_bins import VectorBinEmbeddings
from nsl_tools.formats.protobuf.encoder import Column, encode_examples, text_items
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.registry import embedding_format, embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tfrecord.frames import seal
from nsl_tools.options import BuildGraphOptions, ConvertOptions
from nsl_tools.spill.scratch import Spool
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.files.shards.shard_set import ShardSet
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.embedding_batch import EmbeddingBatch
    from nsl_tools.formats.tfrecord.frames import Framed
    from nsl_tools.progress import Progress


@dataclass(frozen=True)
class EmbeddingFiles:
    """The embeddings of some files.

    Attributes:
        paths: files of one format; at least one.
        options: of the run.
        progress: how to report progress.
    """

    paths: Sequence[str]
    options: ConvertOptions
    progress: Progress

    def batches(self) -> Iterator[EmbeddingBatch]:
        """Yield all embeddings in order.

        Raises:
            DataError: a file, a row or a record is not what it should be. UsageError: an option
                is not for these files, or rows are too large for the memory.
        """
        given = self.options
        options = BuildGraphOptions(
            max_record_bytes=given.max_record_bytes, memory_limit=given.memory_limit,
            ids=given.ids, array=given.array, embedding_columns=given.embedding_columns,
        )  # fmt: skip
        if not issubclass(embedding_format(self.paths[0]), MatrixEmbeddings):
            # Names, which of a matrix only the examples have.
            name = given.embedding_feature
            options = replace(options, id_feature=given.id_feature, embedding_feature=name)
        reader = embedding_reader(self.paths, options)
        reader.check_options(seeded=False)
        skipped = SkippedRecords(Statistics())
        with self.progress.phase("reading", reader.read, "B", reader.expected_bytes()):
            yield from reader.batches(skipped, lambda shape: np.empty(shape, np.float32))

    @contextlib.contextmanager
    def as_examples(self) -> Iterator[Source]:
        """Make a source of examples, in a scratch file, each of an id and an embedding.

        Raises:
            DataError: as for `batches`. ScratchError: they cannot be put aside.
        """
        with Spool() as spool:
            for batch in self.batches():
                spool.write(seal(self._encoded(batch)).data.data)
            yield replace(source(self.paths[0], self.options), spool=spool, noun="row")

    def _encoded(self, batch: EmbeddingBatch) -> Framed:
        count, width = batch.vectors.shape
        present = np.ones(count, np.bool_)
        names = (self.options.id_feature, self.options.embedding_feature)
        id_name, name = (feature.encode() for feature in names)
        ids, bounds = text_items(*spans_of(batch.ids, np.arange(count)))
        floats = np.ascontiguousarray(batch.vectors, "<f4").view(np.uint8).reshape(-1)
        ends = 4 * width * np.arange(count + 1)
        return encode_examples([
            Column(id_name, Kind.BYTES, ids, bounds, present),
            Column(name, Kind.FLOAT, floats, ends, present),
        ])  # fmt: skip

    def write_matrix(self, shards: ShardSet, output: str, statistics: Statistics) -> None:
        """Write a matrix of float32, or of what the suffix of the output says; and the ids.

        Raises:
            DataError: as for `batches`. OutputError: an output cannot be written.
            UsageError: a number does not fit the type.
        """
        shape = self._shape()
        kind = _number_type(output)
        left = self.batches()
        waiting: list[EmbeddingBatch] = []

        def taken(most: int) -> EmbeddingBatch:
            batch = waiting.pop() if waiting else next(left)
            if len(batch.ids) > most:
                waiting.append(_part(batch, slice(most, None)))
                batch = _part(batch, slice(most))
            return batch

        place = 0  # of the next row among all
        with contextlib.ExitStack() as stack:
            ids = None
            if self.options.ids_out:
                outputs = stack.enter_context(Outputs())
                ids = stack.enter_context(outputs.open(self.options.ids_out))
            for path, rows in shards.parts(shape[0]):
                while place < rows.start:  # in a shard that is kept
                    place += len(taken(rows.start - place).ids)
                with shards.open_part(path) as file:
                    file.write(_header(output, (len(rows), shape[1])))
                    while (missing := len(rows) - file.records) > 0:
                        batch = taken(missing)
                        file.write(_as_kind(batch.vectors, kind, output).data)
                        file.records += len(batch.ids)
                        if ids:
                            ids.write(b"".join(node + b"\n" for node in batch.ids.to_pylist()))
                place += len(rows)
        statistics.counts["rows"] = shape[0]

    def _shape(self) -> tuple[int, int]:
        rows = width = 0
        for batch in self.batches():
            rows, width = rows + len(batch.ids), batch.vectors.shape[1]
        return rows, width


def _part(batch: EmbeddingBatch, rows: slice) -> EmbeddingBatch:
    return replace(
        batch, numbers=batch.numbers[rows], ids=batch.ids[rows], vectors=batch.vectors[rows],
        norms=batch.norms[rows],
    )  # fmt: skip


def _number_type(output: str) -> np.dtype[np.generic]:
    base, _ = shard_set_of(output) or (output, 1)
    return np.dtype(VectorBinEmbeddings.kinds.get(os.path.splitext(base.lower())[1], "<f4"))


def _as_kind(vectors: np.ndarray, kind: np.dtype[np.generic], output: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.ascontiguousarray(vectors, kind)
    wrong = found.astype(np.float32) != vectors if kind.kind in "iu" else np.isinf(found)
    if wrong.any():
        raise UsageError(f"{output}: {vectors[wrong][0]} does not fit {kind.name}")
    return found


def _header(output: str, shape: tuple[int, int]) -> bytes:
    base, _ = shard_set_of(output) or (output, 1)
    if base.lower().endswith(".npy"):
        import io

        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        return file.getvalue()
    return struct.pack("<II", *shape)
