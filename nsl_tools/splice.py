"""Packed examples by splicing encoded bytes; nothing is decoded.

The features of a neighbour are encoded once, with a gap wherever its rank goes:
`prefix.join(chunks)`, with the prefix `NL_nbr_3`, is the encoded block of map
entries for rank 3. This works because all ranks of as many digits give names,
and so entries, of equal length. A packed example is then the seed's own
entries, `NL_num_nbrs`, and one such block and a weight for each neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools import example
from nsl_tools.feature_names import (
    LABEL_WEIGHT,
    NEIGHBOR_PREFIX,
    NUM_NEIGHBORS,
    WEIGHT_NAME,
    neighbor_weight,
)
from nsl_tools.layout import ExampleError
from nsl_tools.wire import write_varint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Chunks = tuple[bytes, ...]
"""One neighbour's encoded features, to be joined by `NL_nbr_<rank>`.

A tuple, since the garbage collector need not visit tuples of bytes again and again.
"""

_REMEMBERED = 10_000
_WEIGHT_BYTES = 4
_ADDED = (NUM_NEIGHBORS.encode(), LABEL_WEIGHT.encode())


@dataclass(frozen=True)
class _Template:
    """What stands around the values of features of given names and lengths.

    The chunks are `first`, then `before + value + after` for each feature.
    """

    first: bytes
    around: list[tuple[bytes, bytes]]

    def fill(self, features: example.Features) -> Chunks:
        return (
            self.first,
            *[
                before + feature + after
                for (before, after), feature in zip(self.around, features.values(), strict=True)
            ],
        )


def _template(names: list[bytes], features: example.Features, digits: int) -> _Template:
    """Lay out the map entries of a neighbour for ranks of `digits` decimal digits.

    `names` are those to pack the features by.
    """
    prefix_length = len(NEIGHBOR_PREFIX) + digits
    heads, befores = [], []
    for name, feature in zip(names, features.values(), strict=True):
        rest = b"_%b" % name
        before = b"%b%c%b" % (rest, example.VALUE, write_varint(len(feature)))
        named = b"%c%b" % (example.ITEM, write_varint(prefix_length + len(rest)))
        length = len(named) + prefix_length + len(before) + len(feature)
        heads.append(b"%c%b%b" % (example.ITEM, write_varint(length), named))
        befores.append(before)
    first, *afters = [*heads, b""]
    return _Template(first, list(zip(befores, afters, strict=True)))


class Splicer:
    """Makes packed examples from seeds and the chunks of their neighbours."""

    def __init__(self, max_degree: int, rename_weight: str | None = None) -> None:
        """Prepare for seeds with up to `max_degree` neighbours.

        A feature of a neighbour called `weight` is packed as `rename_weight`.
        """
        self._rename_weight = rename_weight
        self._digits = range(1, len(str(max(0, max_degree - 1))) + 1)
        self._counts = [_count_entry(count) for count in range(max_degree + 1)]
        self._prefixes = [f"{NEIGHBOR_PREFIX}{rank}".encode() for rank in range(max_degree)]
        self._weights = [_weight_entry_without_value(rank) for rank in range(max_degree)]
        self._checked_seeds: set[tuple[bytes, ...]] = set()
        self._templates: dict[tuple[object, ...], list[_Template]] = {}

    def cut(self, index: int, features: example.Features) -> tuple[Chunks, ...]:
        """Encode neighbour `index` of a batch for every number of digits that a rank can have.

        Raises:
            ExampleError: the neighbour has a feature called `weight`, and that has no
                new name or one that another feature has.
        """
        key = (*features, *map(len, features.values()))
        templates = self._templates.get(key)
        if templates is None:
            names = _neighbor_names(index, features, self._rename_weight)
            templates = [_template(names, features, digits) for digits in self._digits]
            if len(self._templates) == _REMEMBERED:
                self._templates.clear()
            self._templates[key] = templates
        return tuple([template.fill(features) for template in templates])

    def check_seed(self, index: int, features: example.Features) -> None:
        """Raise ExampleError if seed `index` of a batch has features that packing would add."""
        names = tuple(features)
        if names not in self._checked_seeds:
            _check_seed(index, names)
            if len(self._checked_seeds) == _REMEMBERED:
                self._checked_seeds.clear()
            self._checked_seeds.add(names)

    def pack(
        self, entries: bytes, neighbors: list[tuple[Chunks, ...]], weights: npt.NDArray[np.float32]
    ) -> bytes:
        """Return the packed example.

        Args:
            entries: the seed's encoded feature map.
            neighbors: what `cut` returned for each neighbour, by rank.
            weights: edge weights by rank, shape (number of neighbours,).
        """
        values = weights.astype("<f4").tobytes()
        parts = [b"", entries, self._counts[len(neighbors)]]
        for rank, chunks in enumerate(neighbors):
            prefix = self._prefixes[rank]
            parts.append(self._weights[rank])
            parts.append(values[_WEIGHT_BYTES * rank : _WEIGHT_BYTES * (rank + 1)])
            parts.append(prefix.join(chunks[len(prefix) - _SHORTEST_PREFIX]))
        # The head goes in last: joining once spares a copy of the whole record.
        parts[0] = b"%c%b" % (example.ITEM, write_varint(sum(map(len, parts))))
        return b"".join(parts)


_SHORTEST_PREFIX = len(NEIGHBOR_PREFIX) + 1


def label_weight_entry(labeled: bool) -> bytes:
    """Return the map entry that marks a seed as labeled or not."""
    return example.encode_entry(LABEL_WEIGHT.encode(), example.encode_floats([float(labeled)]))


def _count_entry(count: int) -> bytes:
    return example.encode_entry(NUM_NEIGHBORS.encode(), example.encode_int64([count]))


def _weight_entry_without_value(rank: int) -> bytes:
    name = neighbor_weight(rank).encode()
    return example.encode_entry(name, example.encode_floats([0.0]))[:-_WEIGHT_BYTES]


def _check_seed(index: int, names: tuple[bytes, ...]) -> None:
    for name in names:
        if name in _ADDED or name.startswith(NEIGHBOR_PREFIX.encode()):
            raise ExampleError(
                index,
                f"a seed already has feature {name.decode()!r}: is this a packed file? "
                "expected examples without neighbours",
            )


def _neighbor_names(index: int, features: example.Features, new_name: str | None) -> list[bytes]:
    """Return the names by which the features of a neighbour are packed."""
    weight = WEIGHT_NAME.encode()
    if weight not in features:
        return list(features)
    if new_name is None:
        raise ExampleError(
            index,
            f"a neighbour has a feature {WEIGHT_NAME!r}, which the edge weight "
            f"{neighbor_weight(0)!r} would overwrite: rename it, or give --rename-weight",
        )
    if new_name.encode() in features:
        raise ExampleError(
            index,
            f"a neighbour has a feature {new_name!r} already: give another --rename-weight",
        )
    return [new_name.encode() if name == weight else name for name in features]
