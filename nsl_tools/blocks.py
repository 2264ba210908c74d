"""Encoded neighbours: one block of bytes each, with gaps for rank and weight.

A block holds the map entries that a neighbour adds to a packed example: its
edge's weight, then its features. Names hold the rank: all ranks of as many
digits give names, and so entries and blocks, of equal length, so that one block
serves them all once the digits are put into their places.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools import example
from nsl_tools.feature_names import NEIGHBOR_PREFIX, WEIGHT_NAME, neighbor_weight
from nsl_tools.layout import ExampleError, before_value
from nsl_tools.memory import shown_size
from nsl_tools.spans import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.layout import Group
    from nsl_tools.spans import Bytes, Places

_PREFIX = NEIGHBOR_PREFIX.encode()
_LONGEST = (1 << 31) - 1  # no record holds more
FLOAT_BYTES = 4
_MOST_BYTES = 1 << 24
"""Of shapes that are known; more are forgotten, all together, but for their gaps."""
_FEATURE_BYTES = 600
"""Objects for a feature of a shape, its name and length in the key too."""


@dataclass(frozen=True)
class Gaps:
    """Where a block has what depends on the edge.

    Attributes:
        weight: where the four bytes of the edge's weight are.
        digits: where the digits of the rank start, once for each name, shape (m,), uint32.
    """

    weight: int
    digits: npt.NDArray[np.uint32]


class Shape:
    """The blocks of neighbours whose features have the same names and lengths.

    Attributes:
        gaps: of each block.
        length: its bytes.
        nbytes: about how much memory it takes.
    """

    def __init__(self, names: Sequence[bytes], lengths: Sequence[int], digits: int) -> None:
        """Lay out features of `names` and `lengths` for ranks of `digits` digits."""
        prefix = _PREFIX + b"0" * digits + b"_"
        weight = example.encode_entry(prefix + WEIGHT_NAME.encode(), example.encode_floats([0.0]))
        self._before = [
            before_value(prefix + name, length) for name, length in zip(names, lengths, strict=True)
        ]
        self._weight_entry = weight
        sizes = zip(map(len, self._before), lengths, strict=True)
        ends = np.cumsum([len(weight), *chain.from_iterable(sizes)])
        self.length = int(ends[-1])
        self._values = list(zip(ends[1:-1:2].tolist(), ends[2::2].tolist(), strict=True))
        entries = zip([0, *ends[:-1:2].tolist()], [weight, *self._before], strict=True)
        starts = [start + entry.index(prefix) + len(_PREFIX) for start, entry in entries]
        self.gaps = Gaps(len(weight) - FLOAT_BYTES, np.array(starts, np.uint32))
        self.nbytes = sum(map(len, self._before)) + _FEATURE_BYTES * (1 + len(names))

    def fill(self, features: Sequence[bytes]) -> bytes:
        """Return the block of one neighbour with these features."""
        pairs = zip(self._before, features, strict=True)
        return b"".join([self._weight_entry, *chain.from_iterable(pairs)])

    def fill_all(self, group: Group, rows: Places) -> Bytes:
        """Return the blocks of some records of a group, shape (m, length)."""
        empty = self.fill([bytes(end - start) for start, end in self._values])
        blocks = np.tile(np.frombuffer(empty, np.uint8), (len(rows), 1))
        spans = group.layout.spans.values()
        records = rows_of(group.records, rows)
        for (start, end), (a, b) in zip(self._values, spans, strict=True):
            blocks[:, start:end] = records[:, a:b]
        return blocks


class Shapes:
    """All shapes of a run.

    Attributes:
        all: the gaps of each shape, by its number; shapes of equal gaps have one.
    """

    def __init__(self, rename_weight: str | None) -> None:
        """Pack a neighbour's own feature `weight` by the name `rename_weight`, or refuse it."""
        self._rename_weight = rename_weight
        self._known: dict[tuple[object, ...], tuple[int, Shape]] = {}
        self._bytes = 0
        self._numbers: dict[bytes, int] = {}
        self.all: list[Gaps] = []

    def of(
        self, index: int, names: Sequence[bytes], lengths: Sequence[int], digits: int
    ) -> tuple[int, Shape]:
        """Return the number and the shape for record `index` of a batch.

        Raises:
            ExampleError: the neighbour has a feature called `weight`, or is too long.
        """
        key = (digits, *names, *lengths)
        found = self._known.get(key)
        if found is None:
            packed_names = _neighbor_names(index, names, self._rename_weight)
            shape = Shape(packed_names, lengths, digits)
            _refuse_long(index, shape.length)
            if self._bytes > _MOST_BYTES:
                self._known.clear()
                self._bytes = 0
            found = self._known[key] = (self._number_of(digits, shape.gaps), shape)
            self._bytes += shape.nbytes
        return found

    def _number_of(self, digits: int, gaps: Gaps) -> int:
        # A digest, since the places of many gaps are long; by the digits, the weight has its place.
        key = hashlib.blake2b(b"%d:%b" % (digits, gaps.digits.tobytes()), digest_size=16).digest()
        number = self._numbers.setdefault(key, len(self.all))
        if number == len(self.all):
            self.all.append(gaps)
        return number


def _refuse_long(index: int, length: int) -> None:
    if length > _LONGEST:
        raise ExampleError(
            index,
            f"this example takes {shown_size(length)} as a neighbour, at most "
            f"{shown_size(_LONGEST)} can be read",
        )


def _neighbor_names(index: int, names: Sequence[bytes], new_name: str | None) -> list[bytes]:
    """Return the names by which the features of a neighbour are packed."""
    weight = WEIGHT_NAME.encode()
    if weight not in names:
        return list(names)
    if new_name is None:
        raise ExampleError(
            index,
            f"a neighbour has a feature {WEIGHT_NAME!r}, which the edge weight "
            f"{neighbor_weight(0)!r} would overwrite: rename it, or give --rename-weight",
        )
    if new_name.encode() in names:
        raise ExampleError(
            index,
            f"a neighbour has a feature {new_name!r} already: give another --rename-weight",
        )
    return [new_name.encode() if name == weight else name for name in names]
