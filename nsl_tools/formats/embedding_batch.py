"""Embeddings as a file has them, a batch at a time: what every format of embeddings becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nsl_tools.errors import UsageError
from nsl_tools.files.streams import source

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
        noun: what a file of this format consists of.
        holds_ids: whether its files hold the ids, too.
        sources: the files.
    """

    noun: ClassVar[str] = "row"
    holds_ids: ClassVar[bool] = True

    def __init__(self, paths: Sequence[str], options: BuildGraphOptions) -> None:
        self.sources = [source(path, options) for path in paths]
        self._paths = paths
        self._options = options

    def check_options(self, *, seeded: bool) -> None:
        """Refuse options that files of this format have no use for.

        Args:
            seeded: whether examples are read as well, as seeds.

        Raises:
            UsageError: one is given, or one that is needed is not.
        """
        first = self._paths[0]
        if self.holds_ids and self._options.ids is not None:
            raise UsageError(
                f"--ids: expected .npy files, received {first}, which holds its own ids"
            )
        if not self.holds_ids and self._options.ids is None:
            raise UsageError(f"--ids: expected the file of the ids of {first}, received none")
        for name, value, default in self.unused_options(seeded=seeded):
            if value != default:
                raise UsageError(f"{name}: expected none for {first}, received {value!r}")

    def unused_options(self, *, seeded: bool) -> Iterator[tuple[str, object, object]]:  # noqa: ARG002 - for others
        """Yield the options that mean nothing for this format, with their values and defaults."""
        yield from ()

    def expected_bytes(self) -> int:
        """Return about how much memory the vectors of all files take at most; 0 if unknown.

        Raises:
            DataError: a file cannot be read.
        """
        return sum(source.size() or 0 for source in self.sources)

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
