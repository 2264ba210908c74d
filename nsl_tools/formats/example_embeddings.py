"""Embeddings in TFRecord files of `tf.train.Example`: an id and a list of floats each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import gather
from nsl_tools.arrays.cosines import norms_of
from nsl_tools.formats.embedding_batch import EmbeddingBatch, EmbeddingReader
from nsl_tools.formats.example_batch import because, ids_of, read_decoded
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES, sole_contents
from nsl_tools.formats.tfrecord.reader import starts_as_tfrecord

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from nsl_tools.formats.embedding_batch import Batches, NewRows
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.spill.matrix import Floats


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

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:
        """Yield all nodes that can be used, in order, as every reader does."""
        id_feature, name = self._options.id_feature, self._options.embedding_feature
        dimension = 0

        def decode(batch: ExampleBatch) -> tuple[pa.Array, Floats, npt.NDArray[np.float64]]:
            ids = ids_of(batch, id_feature)
            with because("embedding not usable"):
                vectors = _vectors_of(batch, name, dimension, new_rows)
                norms = norms_of(vectors)
                _refuse_infinite(vectors, norms, name)
            return ids, vectors, norms

        for batch, (ids, vectors, norms) in read_decoded(self.sources, skipped, decode):
            dimension = vectors.shape[1]
            yield EmbeddingBatch(batch.records.source, batch.records.numbers, ids, vectors, norms)


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
