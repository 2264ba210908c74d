"""Ids that come apart from the vectors, taken in order as these are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator


class RowIds(ABC):
    """The ids of all rows, in order.

    Attributes:
        name: of the file; empty if there is none.
        noun: what the file has for each id.
        first: the number of the first of these.
        taken: how many ids were taken.
    """

    noun: ClassVar[str] = "row"
    first: ClassVar[int] = 0

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.taken = 0

    @abstractmethod
    def take(self, count: int) -> pa.Array:
        """Return the next `count` ids as a binary array, fewer at the end; null where none is.

        Raises:
            DataError: the file cannot be read, or is not what it should be.
        """

    @abstractmethod
    def rest(self) -> int:
        """Read to the end; return how many ids were left."""


class BlockIds(RowIds):
    """Ids that a file has in blocks.

    Args:
        name: of the file.
        blocks: yields binary arrays.
    """

    def __init__(self, name: str, blocks: Iterator[pa.Array]) -> None:
        super().__init__(name)
        self._blocks = blocks
        self._waiting: pa.Array = pa.array([], pa.binary())

    def take(self, count: int) -> pa.Array:
        """Return the next `count` ids, fewer at the end."""
        parts, missing = [], count
        while missing:
            if not len(self._waiting) and (block := next(self._blocks, None)) is None:
                break
            if not len(self._waiting):
                self._waiting = block
            parts.append(self._waiting[:missing])
            missing -= len(parts[-1])
            self._waiting = self._waiting[len(parts[-1]) :]
        self.taken += count - missing
        return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())

    def rest(self) -> int:
        """Read to the end; return how many ids were left."""
        return len(self._waiting) + sum(map(len, self._blocks))


class RowNumbers(RowIds):
    """The numbers of rows, from 0 on, as ids: decimal text."""

    def take(self, count: int) -> pa.Array:
        """Return the next `count` numbers."""
        numbers = np.arange(self.taken, self.taken + count)
        self.taken += count
        return id_texts(pa.array(numbers))

    def rest(self) -> int:
        """Return 0: there are as many as rows."""
        return 0


def holds_ids(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can hold ids: texts, bytes or whole numbers."""
    kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    # Of fixed size: a decimal number is of a type derived from it.
    texts = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return bool(
        pa.types.is_integer(kind) or type(kind) is pa.FixedSizeBinaryType or str(kind) in texts
    )


def id_texts(column: pa.Array) -> pa.Array:
    """Return ids as a binary array: whole numbers become decimal text.

    Args:
        column: an array for whose type `holds_ids` is true.
    """
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.binary())
