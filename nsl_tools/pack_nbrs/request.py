"""What a run was asked for, once it is seen to make sense: files to read, and files to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.files.compression import is_compressed
from nsl_tools.files.paths import (
    files_of_output,
    refuse_shared_streams,
    resolve_inputs,
    resolve_output,
    split_member,
)
from nsl_tools.files.preflight import check_outputs, check_space
from nsl_tools.files.streams import source
from nsl_tools.formats.tables.feature_types import said_types
from nsl_tools.formats.tfrecord.reader import is_tfrecord
from nsl_tools.pack_nbrs.packed_table import is_parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.formats.tables.feature_types import FeatureTypes
    from nsl_tools.options import PackOptions


@dataclass(frozen=True)
class Request:
    """What a run reads and writes.

    Attributes:
        paths: the files of labeled and of unlabeled examples, of the graph, and of soft labels.
        ids: the file of the ids of nodes, if there is one.
        outputs: the files to write.
        table: whether these are tables.
    """

    paths: Sequence[Sequence[str]]
    ids: Sequence[str]
    outputs: Sequence[str]
    table: bool

    @property
    def inputs(self) -> list[str]:
        """All files that are read."""
        return [*(name for part in self.paths for name in part), *self.ids]

    @property
    def known(self) -> dict[str, Sequence[str]]:
        """The files that are read, by kind."""
        kinds = ("labeled", "unlabeled", "graph", "soft labels")
        found = {kind: files for kind, files in zip(kinds, self.paths, strict=True) if files}
        return {"unlabeled": [], **found, **({"graph ids": self.ids} if self.ids else {})}

    def said_types(self, options: PackOptions) -> FeatureTypes | None:
        """Return what tables say of their columns, if tables are written."""
        examples = [*self.paths[0], *self.paths[1]]
        return said_types(examples, options.id_feature) if self.table else None


def requested(
    labeled: str, unlabeled: str, graph: str, output: str, options: PackOptions
) -> Request:
    """Return what `pack_nbrs` was asked for, once it is seen to make sense.

    Raises:
        DataError: an input cannot be read. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    outputs = resolve_output(output)
    given = (labeled, unlabeled, graph, options.soft_labels)
    paths = [resolve_inputs([path] if path else []) for path in given]
    ids = [split_member(options.graph_ids)[0]] if options.graph_ids else []
    inputs = [*(name for part in paths for name in part), *ids]
    refuse_shared_streams(inputs)
    check_outputs(files_of_output(output), inputs)
    table = is_parquet(output, options)
    check_space(outputs, 1 if table else _least_output(paths[0], outputs, options))
    return Request(paths, ids, outputs, table)


def _least_output(labeled: Sequence[str], outputs: Sequence[str], options: PackOptions) -> int:
    """Return the bytes that the output takes at least: those of its seeds, if known, else 0."""
    # What is finished of a set that is resumed takes no more.
    unknown = options.resume or options.max_errors or options.on_duplicate != "error"
    if unknown or any(is_compressed(path, options.compression) for path in outputs):
        return 0
    return sum(source(path).size() or 0 for path in filter(is_tfrecord, labeled))
