"""The nodes of a run: batches of any format, gathered to embeddings in which each id is once."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.formats.example_batch import Places, unrepeated

if TYPE_CHECKING:
    from nsl_tools.arrays.ids import IdColumn
    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.spill.matrix import MatrixStore


def read_embeddings(
    reader: EmbeddingReader, skipped: SkippedRecords, store: MatrixStore, ids: IdColumn
) -> Embeddings:
    """Read all nodes that can be used, in order.

    Args:
        reader: of the files.
        skipped: what may be left out: what is not usable, and what has an id that is repeated.
        store: keeps the vectors.
        ids: gathers the ids.

    Raises:
        DataError: a record has no usable id or embedding, its dimension differs from the
            first one's, or an id occurs twice.
        UsageError: ids, or single rows, take more memory than they may.
    """
    reader.read.expect(expected := reader.expected_bytes())
    writer = store.writer(expected)
    places = Places(reader.noun)
    norms = [np.empty(0)]
    with closing(reader.batches(skipped, writer.new_rows)) as batches:
        for batch in batches:
            ids.add(batch.ids)
            store.reserve(ids.bytes)
            norms.append(batch.norms)
            writer.append(batch.vectors)
            places.add_numbers(batch.source, batch.numbers)
    all_ids = ids.array()
    nodes = Embeddings(all_ids, writer.finish(), np.concatenate(norms))
    kept = unrepeated(all_ids, skipped, places)
    return nodes if isinstance(kept, slice) else nodes.taken(kept)
