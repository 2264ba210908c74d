"""Embeddings: ids, vectors and their norms, read from examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.arrays.byte_spans import gather
from nsl_tools.arrays.groups import blocks
from nsl_tools.formats.example_batch import (
    ExampleBatch,
    Places,
    because,
    ids_of,
    read_decoded,
    unrepeated,
)
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES, sole_contents
from nsl_tools.spill.matrix import reordered, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.arrays.ids import IdColumn
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.spill.matrix import Floats, Matrix, MatrixStore, MatrixWriter


@dataclass(frozen=True)
class Embeddings:
    """The vectors of n nodes.

    Attributes:
        ids: binary array of length n, unique.
        vectors: shape (n, d), float32, C order, as read; all finite.
        norms: Euclidean lengths, shape (n,), float64.
    """

    ids: pa.Array
    vectors: Matrix
    norms: npt.NDArray[np.float64]

    def taken(self, rows: npt.NDArray[np.int64]) -> Embeddings:
        """Return some of the nodes, their vectors where they are now."""
        ids = self.ids.take(pa.array(rows))
        return Embeddings(ids, select(self.vectors, rows), self.norms[rows])

    def reordered(self, rows: npt.NDArray[np.int64], store: MatrixStore) -> Embeddings:
        """Return the nodes, with vectors as `nsl_tools.spill.matrix.reordered` does."""
        return replace(self, vectors=reordered(self.vectors, rows, store))

    @cached_property
    def scales(self) -> Floats:
        """What to multiply each vector by for a unit vector, shape (n,), float32.

        0 where float32 has no good inverse of a norm.
        """
        smallest = 2.0**-100  # well within the range of float32, as its inverse is
        good = (self.norms > smallest) & (self.norms < 1 / smallest)
        scales = np.divide(1.0, self.norms, out=np.zeros(len(self.norms)), where=good)
        return scales.astype(np.float32)

    def unit(self, rows: npt.NDArray[np.int64] | slice) -> npt.NDArray[np.float64]:
        """Return the vectors at `rows` divided by their norms, float64; zero stays zero."""
        norms = self.norms[rows, np.newaxis]
        return np.asarray(self.vectors[rows] / np.where(norms > 0, norms, 1.0))

    def rounded_unit(self, rows: npt.NDArray[np.int64] | slice) -> Floats:
        """Return `unit` rounded to float32."""
        vectors = self.vectors[rows]
        norms = self.norms[rows, np.newaxis]
        found = np.empty(vectors.shape, np.float32)
        # In float64, since float32 has no inverse of a very small or large norm.
        scales = 1.0 / np.where(norms > 0, norms, 1.0)
        return np.multiply(vectors, scales, out=found, casting="same_kind", dtype=np.float64)


@dataclass(frozen=True)
class UnitRows:
    """The unit vectors of some nodes, `rows` ascending, made when asked for.

    Float32, correct to 2 units in the last place.
    """

    embeddings: Embeddings
    rows: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d)."""
        return len(self.rows), self.embeddings.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Floats:
        rows = self.rows[part]
        if not len(rows) or rows[-1] - rows[0] + 1 != len(rows):
            return self._made(rows, np.empty((len(rows), self.shape[1]), np.float32))
        together = slice(int(rows[0]), int(rows[-1]) + 1)
        scales = self.embeddings.scales[together, np.newaxis]
        if not scales.all():
            return self.embeddings.rounded_unit(together)
        return np.multiply(self.embeddings.vectors[together], scales)

    def take(self, places: npt.NDArray[np.int64], out: Floats) -> Floats:
        """Fill `out`, shape (m, d), with some rows, in any order."""
        return self._made(self.rows.take(places), out)

    def _made(self, rows: npt.NDArray[np.int64], out: Floats) -> Floats:
        vectors = self.embeddings.vectors
        scales = self.embeddings.scales.take(rows)[:, np.newaxis]
        if not scales.all():
            out[:] = self.embeddings.rounded_unit(rows)
            return out
        if isinstance(vectors, np.ndarray):
            # Nothing is clipped: but in the default mode, `take` would fill a copy of `out` first.
            vectors.take(rows, axis=0, out=out, mode="clip")
        else:
            out[:] = vectors[rows]
        return np.multiply(out, scales, out=out)


def read_embeddings(
    sources: Sequence[Source],
    features: tuple[str, str],
    skipped: SkippedRecords,
    store: MatrixStore,
    ids: IdColumn,
) -> Embeddings:
    """Read the id and the embedding of every example, in file order.

    Args:
        sources: the files.
        features: names of the features that hold the id and the embedding.
        skipped: what may be left out.
        store: keeps the vectors.
        ids: gathers the ids.

    Raises:
        DataError: an example has no usable id or embedding, its dimension
            differs from the first one's, or an id occurs twice.
        UsageError: ids take more memory than they may.
    """
    norms: list[npt.NDArray[np.float64]] = []
    writer = store.writer(sum(source.size() or 0 for source in sources))
    places = Places()

    def decode(batch: ExampleBatch) -> tuple[pa.Array, Floats, npt.NDArray[np.float64]]:
        found = ids_of(batch, features[0])
        with because("embedding not usable"):
            vectors = _vectors_of(batch, features[1], writer)
            lengths = norms_of(vectors)
            _refuse_infinite(vectors, lengths, features[1])
        return found, vectors, lengths

    for batch, (found, vectors, lengths) in read_decoded(sources, skipped, decode):
        ids.add(found)
        store.reserve(ids.bytes)
        norms.append(lengths)
        writer.append(vectors)
        places.add(batch.records)
    all_ids = ids.array()
    nodes = Embeddings(all_ids, writer.finish(), np.concatenate([np.empty(0), *norms]))
    kept = unrepeated(all_ids, skipped, places)
    return nodes if isinstance(kept, slice) else nodes.taken(kept)


def _vectors_of(batch: ExampleBatch, name: str, writer: MatrixWriter) -> Floats:
    """Return the embeddings of a batch, shape (m, d), in the memory of `writer`."""
    spans, data = batch.column(name), batch.parsed.data
    kinds, runs = sole_contents(data, spans)
    dimensions = (runs.ends - runs.starts) // FLOAT_BYTES
    dimension = writer.shape[1] or len(_decode(0, batch.feature(0, name, spans), name))
    for row in np.flatnonzero((kinds != example.FLOAT_LIST) | (dimensions != dimension)).tolist():
        vector = _decode(row, batch.feature(row, name, spans), name)
        _check_dimension(row, name, len(vector), dimension)
    room = writer.room((len(batch), dimension))
    room[:] = gather(data, runs.starts, FLOAT_BYTES * dimension).view("<f4")
    return room


def _decode(index: int, feature: bytes, name: str) -> Floats:
    kind = example.kind_name(feature)
    if kind != "float":
        raise ExampleError(index, f"feature {name!r} is {kind}, expected floats")
    vector = example.decode_floats(feature)
    if not len(vector):
        raise ExampleError(index, f"feature {name!r} is empty, expected an embedding")
    return vector


def _refuse_infinite(vectors: Floats, norms: npt.NDArray[np.float64], name: str) -> None:
    # Squares of finite float32 numbers do not overflow in float64.
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


def norms_of(vectors: Floats) -> npt.NDArray[np.float64]:
    """Return the norms in float64: float32 squares overflow at 2e19 and vanish at 1e-23."""
    norms = np.empty(len(vectors), np.float64)
    for block in blocks(*vectors.shape):
        wide = vectors[block].astype(np.float64)
        np.einsum("ij,ij->i", wide, wide, out=norms[block])
    return np.sqrt(norms, out=norms)
