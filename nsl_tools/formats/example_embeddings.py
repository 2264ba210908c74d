"""Embeddings in TFRecord files of `tf.train.Example`: an id and a list of floats each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import gather
from nsl_tools.arrays.cosines import norms_of
from nsl_tools.formats.embedding_batch import EmbeddingBatch, EmbeddingReader
from nsl_tools.formats.example_batch import because, ids_of, read_decoded, sifted
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES, sole_contents
from nsl_tools.formats.tfrecord.reader import starts_as_tfrecord
from nsl_tools.formats.tfrecord.sample import sample_records

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from nsl_tools.formats.embedding_batch import Batches, NewRows, Pieces
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Floats

    Decoded = tuple[pa.Array, Floats, npt.NDArray[np.float64]]


class ExampleEmbeddings(EmbeddingReader):
    """Reads one feature as the id and one as the embedding, whatever else an example has."""

    format_name = "TFRecord"
    noun = "record"
    suffixes = (".tfr", ".tfrecord", ".tfrecords")
    uses = frozenset({"id_feature", "embedding_feature", "max_record_bytes"})

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Tell whether a file starts as records do, plain."""
        return starts_as_tfrecord(head)

    def expected_rows(self) -> tuple[int, bool]:
        """Return about how many records there are, by how long some of them are."""
        enough = (1 << 23) // len(self.sources)  # bytes of records
        samples = [sample_records(source, enough) for source in self.sources]
        whole = all(sample.is_whole for sample in samples)
        return round(sum(sample.expected for sample in samples)), whole

    def spread(self, skipped: SkippedRecords, most_bytes: int) -> Pieces:
        """Yield nodes from places spread over the files, as every reader does."""
        decoder = _Decoder(self._options, lambda shape: np.empty(shape, np.float32))
        parser, number = ExampleParser(), 0
        for source in self.sources:
            for records in sample_records(source, most_bytes // len(self.sources)).batches:
                for batch, found in sifted(parser, records, skipped, decoder.decode):
                    yield number, decoder.batch(batch, *found)
                number += 1

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:
        """Yield all nodes that can be used, in order, as every reader does."""
        decoder = _Decoder(self._options, new_rows)
        for batch, found in read_decoded(self.sources, skipped, decoder.decode):
            yield decoder.batch(batch, *found)


class _Decoder:
    """Takes ids and vectors of examples: the first of them says how wide vectors are."""

    def __init__(self, options: BuildGraphOptions, new_rows: NewRows) -> None:
        self._options, self._new_rows = options, new_rows
        self._dimension = 0

    def decode(self, batch: ExampleBatch) -> Decoded:
        """Return the ids, the vectors and their norms.

        Raises:
            ExampleError: one cannot be used.
        """
        name = self._options.embedding_feature
        ids = ids_of(batch, self._options.id_feature)
        with because("embedding not usable"):
            vectors = _vectors_of(batch, name, self._dimension, self._new_rows)
            norms = norms_of(vectors)
            _refuse_infinite(vectors, norms, name)
        return ids, vectors, norms

    def batch(
        self, batch: ExampleBatch, ids: pa.Array, vectors: Floats, norms: npt.NDArray[np.float64]
    ) -> EmbeddingBatch:
        """Return what was decoded of a batch."""
        self._dimension = vectors.shape[1]
        return EmbeddingBatch(batch.records.source, batch.records.numbers, ids, vectors, norms)


def _vectors_of(batch: ExampleBatch, name: str, dimension: int, new_rows: NewRows) -> Floats:
    """Return the embeddings of a batch, shape (m, d); of the first, if `dimension` is 0."""
    spans, data = batch.column(name), batch.parsed.data
    kinds, runs = sole_contents(data, spans)
    dimensions = (runs.ends - runs.starts) // FLOAT_BYTES
    dimension = dimension or len(_decode(0, batch.feature(0, name, spans), name))
    for row in np.flatnonzero((kinds != example.Kind.FLOAT) | (dimensions != dimension)).tolist():
        vector = _decode(row, batch.feature(row, name, spans), name)
        _check_dimension(row, name, len(vector), dimension)
    rows = new_rows((len(batch), dimension))
    rows[:] = gather(data, runs.starts, FLOAT_BYTES * dimension).view("<f4")
    return rows


def _decode(index: int, feature: bytes, name: str) -> Floats:
    kind = example.kind_name(feature)
    if kind != "float":
        raise ExampleError(index, f"feature {name!r} is {kind}, expected floats")
    vector = example.decode_floats(feature)
    if not len(vector):
        raise ExampleError(index, f"feature {name!r} is empty, expected an embedding")
    return vector


def _refuse_infinite(vectors: Floats, norms: npt.NDArray[np.float64], name: str) -> None:
    finite = np.isfinite(norms)
    if not finite.all():
        index = int(np.argmin(finite))
        column = int(np.argmin(np.isfinite(vectors[index])))
        raise ExampleError(
            index, f"feature {name!r} holds {vectors[index, column]} at position {column}"
        )


def _check_dimension(index: int, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise ExampleError(
            index, f"feature {name!r} has dimension {found}, the first record's has {expected}"
        )
