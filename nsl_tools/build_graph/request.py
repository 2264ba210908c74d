"""What a run was asked for, once it is seen to make sense: files to read, and what to write."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nsl_tools.build_graph.search.exact import bytes_per_thread
from nsl_tools.errors import UsageError
from nsl_tools.files.paths import (
    STANDARD_STREAM,
    files_of_output,
    one_member,
    refuse_shared_streams,
    resolve_inputs,
    resolve_output,
    split_member,
)
from nsl_tools.files.preflight import check_outputs, check_space
from nsl_tools.formats.ids.seeds import SeedIds
from nsl_tools.formats.registry import embedding_reader, graph_writer
from nsl_tools.formats.tfrecord.reader import is_tfrecord
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.formats.graphs.writer import GraphWriter
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class Request:
    """What a run reads and writes.

    Attributes:
        options: how to build the graph; the array that paths like `file.h5:/name` name is in them.
        reader: of the embeddings.
        seeds: where the ids are that edges leave from; no file if they leave from all.
        inputs: the files, by kind.
        outputs: the files to write.
        writer: what writes one.
    """

    options: BuildGraphOptions
    reader: EmbeddingReader
    seeds: SeedIds
    inputs: Mapping[str, Sequence[str]]
    outputs: Sequence[str]
    writer: type[GraphWriter]

    @property
    def approximately(self) -> bool:
        """Whether a recall below 1 was asked for, and makes sense."""
        # Seeds are few, and pairs above a threshold may be all: the exact search is fast for both.
        return self.options.recall < 1 and self.options.k is not None and not self.seeds.paths


def requested(
    embeddings: Sequence[str],
    output: str,
    options: BuildGraphOptions,
    seeds: Sequence[str],
    statistics: Statistics,
) -> Request:
    """Return what `build_graph` was asked for; count what is odd.

    Raises:
        DataError: an input cannot be read. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    files, member = one_member("EMBEDDINGS", embeddings)
    options = _with_array(options, member)
    inputs = resolve_inputs(files, statistics.warnings)
    files, column = one_member("--seeds", seeds)
    seed_files = resolve_inputs(files, statistics.warnings)
    ids = [split_member(options.ids)[0]] if options.ids else []
    seed_ids = SeedIds(seed_files, column, options)
    # A file may be read as both: a pipe or terminal has each byte once.
    refuse_shared_streams(inputs + seed_files + ids)
    reader = embedding_reader(inputs, options)
    reader.check_options(seeded=bool(seeds))
    outputs = resolve_output(output)
    check_outputs(files_of_output(output), inputs + seed_files + ids)
    # How many edges reach the threshold is known only at the end.
    check_space(outputs, least=1)
    _refuse_to_replace_examples(outputs)
    writer = graph_writer(output, options)
    known = {"embeddings": inputs, "seeds": seed_files, "ids": ids}
    return Request(options, reader, seed_ids, known, outputs, writer)


def _with_array(options: BuildGraphOptions, member: str | None) -> BuildGraphOptions:
    """Return options that name the array that paths like `file.h5:/name` do.

    Raises:
        UsageError: they name another one already.
    """
    if member is None:
        return options
    if options.array not in (None, member):
        raise UsageError(f"--array: received {options.array}, and {member} in EMBEDDINGS")
    return replace(options, array=member)


def _refuse_to_replace_examples(outputs: Sequence[str]) -> None:
    for path in outputs:
        if path != STANDARD_STREAM and is_tfrecord(path):
            raise UsageError(
                f"{path}: is an existing TFRecord file, expected the graph's name: "
                "is the output argument missing?"
            )


def threads_for(options: BuildGraphOptions, dimension: int, statistics: Statistics) -> int:
    """Return how many threads work: those asked for, as far as the memory holds what each takes."""
    asked = options.threads or os.cpu_count() or 1
    most = max(1, memory_of(options).limit // bytes_per_thread(dimension))
    if options.threads and asked > most:
        statistics.warnings[f"--threads {asked}: --memory-limit leaves memory for {most}"] = 1
    return min(asked, most)


def refuse_wide(dimension: int, options: BuildGraphOptions) -> None:
    """Refuse vectors of which a few copies do not fit the memory.

    Raises:
        UsageError: they do not.
    """
    both_vectors = 64  # bytes of a dimension: some copies, in float32 and float64
    needed, limit = both_vectors * dimension, memory_of(options).limit
    if needed > limit:
        raise UsageError(
            f"--memory-limit: expected at least {shown_size(needed)} for vectors of dimension "
            f"{dimension:,}, received {shown_size(limit)}"
        )
