"""Embeddings as a file has them, a batch at a time: what every format of embeddings becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from nsl_tools.errors import UsageError
from nsl_tools.files.streams import source
from nsl_tools.progress import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Floats

    NewRows = Callable[[tuple[int, int]], Floats]
    Batches = Generator["EmbeddingBatch", None, None]
    Pieces = Iterator[tuple[int, "EmbeddingBatch"]]
    """Nodes from some places of all files, and the number of the place, ascending."""


_NAMES = {
    "ids": "--ids",
    "array": "--array",
    "id_feature": "--id-feature-name",
    "embedding_feature": "--embedding-feature-name",
    "embedding_columns": "--embedding-columns",
    "max_record_bytes": "--max-record-bytes",
}
"""The options that only some formats have a use for."""


@dataclass(frozen=True)
class EmbeddingBatch:
    """Consecutive nodes of one file that can be used, n of them.

    Attributes:
        source: the file.
        numbers: of their records or rows in it, ascending.
        ids: binary array of length n, without null.
        vectors: shape (n, d); all finite.
        norms: their Euclidean lengths, shape (n,).
    """

    source: str
    numbers: Sequence[int]
    ids: pa.Array
    vectors: Floats
    norms: npt.NDArray[np.float64]


class EmbeddingReader(ABC):
    """Reads the embeddings of files of one format.

    Args:
        paths: the files; at least one.
        options: what was asked for.

    Attributes:
        format_name: of the format, for messages.
        noun: what a file of this format consists of.
        suffixes: of the names of its files.
        magic: how its files start, if they always start alike.
        uses: the options, of those that only some formats have a use for, that it uses.
        sources: the files.
        read: counts what was read, of `expected_bytes`.
    """

    format_name: ClassVar[str]
    noun: ClassVar[str] = "row"
    suffixes: ClassVar[tuple[str, ...]] = ()
    magic: ClassVar[tuple[bytes, ...]] = ()
    uses: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, paths: Sequence[str], options: BuildGraphOptions) -> None:
        self.read = Work()
        self.sources = [source(path, options, self.read) for path in paths]
        self._paths = paths
        self._options = options

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Tell whether a file that starts with `head`, some bytes or all, is of this format."""
        return head.startswith(cls.magic) if cls.magic else False

    def check_options(self, *, seeded: bool) -> None:
        """Refuse options that files of this format have no use for.

        Args:
            seeded: whether examples are read as well, as seeds.

        Raises:
            UsageError: one is given.
        """
        used = self.uses | ({"id_feature", "max_record_bytes"} if seeded else set())
        for field in fields(self._options):
            value = getattr(self._options, field.name)
            if field.name in _NAMES.keys() - used and value != field.default:
                raise UsageError(
                    f"{_NAMES[field.name]}: expected none for {self._paths[0]}, received {value!r}"
                )

    def expected_bytes(self) -> int:
        """Return about how much memory the vectors of all files take at most; 0 if unknown.

        Raises:
            DataError: a file cannot be read.
        """
        return sum(source.size() or 0 for source in self.sources)

    @abstractmethod
    def expected_rows(self) -> tuple[int, bool]:
        """Return about how many rows all files have, and whether that is exactly so.

        Raises:
            DataError: a file cannot be read, or is not what it should be.
        """

    @abstractmethod
    def spread(self, skipped: SkippedRecords, most_bytes: int) -> Pieces:
        """Yield nodes from places that are spread over the files, without reading the rest.

        Where only what comes first can be read without the rest, it is one place.

        Args:
            skipped: as of `batches`.
            most_bytes: about how many bytes of vectors to read at most.

        Raises:
            DataError: what is read is not what it should be.
        """

    @abstractmethod
    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:
        """Yield all nodes that can be used, in order; none of the batches is empty.

        Args:
            skipped: what may be left out: records whose id or embedding is not usable.
            new_rows: returns an array of a shape for the next vectors: that saves a copy.

        Raises:
            DataError: a file or a record is not what it should be.
            UsageError: some rows are too large for the memory.
        """
