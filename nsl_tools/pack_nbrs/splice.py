"""Packed examples by splicing encoded bytes; nothing is decoded.

A packed example is the seed's own map entries, `NL_num_nbrs`, and one block for
each neighbour, in which the rank and the weight are filled in. Many records are
made at once, framed, in one array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import (
    Bytes,
    Places,
    Texts,
    by_value,
    copy_spans,
    offsets_of,
    picked,
    put,
)
from nsl_tools.arrays.groups import digit_counts
from nsl_tools.feature_names import LABEL_WEIGHT, NEIGHBOR_PREFIX, NUM_NEIGHBORS, SOFT_LABEL
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError
from nsl_tools.formats.protobuf.lockstep import FLOAT_BYTES
from nsl_tools.formats.protobuf.varints import put_varints, varint_sizes
from nsl_tools.formats.tfrecord.frames import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Framed,
    frame_headers,
)
from nsl_tools.pack_nbrs.neighbor_blocks import GAP_BYTES, weight_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.formats.tfrecord.reader import RecordBatch
    from nsl_tools.pack_nbrs.neighbor_store import Pool


@dataclass(frozen=True)
class Seeds:
    """The n seeds to make records of.

    Attributes:
        data: bytes that hold their encoded feature maps.
        starts: where each map starts, shape (n,).
        lengths: its bytes.
        marks: entries that follow each map, as many bytes for each, shape (n, bytes).
        tails: bytes that follow each map in `data` and come last in the record, shape (n,),
            or None for none.
        records: those that they were parsed from.
        indices: the place of each among them, shape (n,).
    """

    data: Bytes
    starts: Places
    lengths: Places
    marks: Bytes
    tails: Places | None
    records: RecordBatch
    indices: Places

    def __getitem__(self, part: slice) -> Seeds:
        return replace(
            self,
            starts=self.starts[part],
            lengths=self.lengths[part],
            marks=self.marks[part],
            tails=None if self.tails is None else self.tails[part],
            indices=self.indices[part],
        )


@dataclass(frozen=True)
class Neighbors:
    """The m neighbours of n seeds, by seed and rank.

    Attributes:
        bounds: seed `i` has those from `bounds[i]` to `bounds[i + 1]`, shape (n + 1,).
        blocks: places in the pool, shape (m,).
        weights: as packed, float32.
    """

    bounds: Places
    blocks: Places
    weights: npt.NDArray[np.float32]


def splice(seeds: Seeds, neighbors: Neighbors, pool: Pool) -> Framed:
    """Return the packed examples as records, end to end, yet to be given to `frames.seal`."""
    degrees = np.diff(neighbors.bounds)
    counts = Texts([_count_entry(degree) for degree in range(int(degrees.max(initial=0)) + 1)])
    lengths = pool.lengths[neighbors.blocks]
    places = offsets_of(lengths)
    blocks = np.diff(places[neighbors.bounds])
    marks = np.full(len(degrees), seeds.marks.shape[1])
    parts = [seeds.lengths, marks, counts.lengths[degrees], blocks]
    maps = np.sum(parts, axis=0)
    heads = 1 + varint_sizes(maps)
    sizes = heads + maps + (0 if seeds.tails is None else seeds.tails)
    ends = offsets_of(HEADER_BYTES + sizes + FOOTER_BYTES)
    out = np.empty(ends[-1], np.uint8)
    place = ends[:-1].copy()
    put(frame_headers(sizes), out, place)
    place += HEADER_BYTES
    out[place] = example.ITEM
    put_varints(maps, heads - 1, out, place + 1)
    place += heads
    copy_spans(seeds.data, seeds.starts, seeds.lengths, out, place)
    place += seeds.lengths
    put(seeds.marks, out, place)
    place += marks
    counts.write(degrees, out, place)
    place += parts[2]
    places = places[:-1] + np.repeat(place - places[neighbors.bounds[:-1]], degrees)
    copy_spans(pool.data, pool.starts[neighbors.blocks], lengths, out, places)
    _fill_gaps(neighbors, degrees, pool, out, places)
    if seeds.tails is not None:
        starts = seeds.starts + seeds.lengths
        copy_spans(seeds.data, starts, seeds.tails, out, ends[1:] - FOOTER_BYTES - seeds.tails)
    return Framed(out, ends)


def _count_entry(count: int) -> bytes:
    return example.encode_entry(NUM_NEIGHBORS.encode(), example.encode_int64([count]))


def _fill_gaps(
    neighbors: Neighbors, degrees: Places, pool: Pool, out: Bytes, places: Places
) -> None:
    """Put the weight and the digits of the rank into each block."""
    ranks = np.arange(len(places)) - np.repeat(neighbors.bounds[:-1], degrees)
    digits = digit_counts(ranks)
    values = neighbors.weights.astype("<f4").view(np.uint8).reshape(-1, FLOAT_BYTES)
    put(values, out, places + weight_places(digits))
    gaps = pool.gaps[neighbors.blocks]
    behind = pool.starts[neighbors.blocks] + pool.lengths[neighbors.blocks]
    radix = 16  # more than digits of a rank
    for kind, rows in by_value(gaps * radix + digits):
        numbers = picked(pool.data, behind[rows], GAP_BYTES * (kind // radix)).view("<u4")
        within = places[rows, np.newaxis] + numbers
        texts = rank_digits(ranks[rows])
        for i in range(texts.shape[1]):
            out[within + i] = texts[:, i, np.newaxis]


def rank_digits(ranks: Places) -> Bytes:
    """Return the decimal digits of ranks of as many digits, shape (m, digits)."""
    digits = len(str(int(ranks[0])))
    powers = 10 ** np.arange(digits - 1, -1, -1)
    return (ranks[:, np.newaxis] // powers % 10 + ord("0")).astype(np.uint8)


def added_names(known: Sequence[bytes]) -> list[int]:
    """Return the places of names that packing adds, which no seed may have yet."""
    prefix = NEIGHBOR_PREFIX.encode()
    others = [name.encode() for name in (NUM_NEIGHBORS, LABEL_WEIGHT, SOFT_LABEL)]
    return [i for i, name in enumerate(known) if name in others or name.startswith(prefix)]


def refused_seed(index: int, name: bytes) -> ExampleError:
    """Return the error that seed `index` of a batch has a feature that packing adds."""
    return ExampleError(
        index,
        f"a seed already has feature {name.decode()!r}: is this a packed file? "
        "expected examples without neighbours",
    )
