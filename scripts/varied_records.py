"""Examples as people have them, of five kinds, for benchmarks and for digests of outputs.

| kind | beside an id and an embedding |
|---|---|
| alike | a label: all records are of one length |
| lengths | a text and token ids, as long as they happen to be |
| optional | six features, each of which half of the records lack |
| images | a label and 2 to 60 KB of bytes that do not compress |
| many | 200 features: numbers, lists, texts |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.frames import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Features = dict[bytes, bytes]
Random = np.random.Generator

DIMENSIONS = 64
WORDS = [b"lorem", b"ipsum", b"dolor", b"sit", b"amet", "größe".encode(), b"consectetur", b"a"]
AT_ONCE = 1000


def alike(random: Random) -> Features:
    """Return features of one length."""
    return {b"label": example.encode_int64([int(random.integers(0, 10))])}


def lengths(random: Random) -> Features:
    """Return a text and token ids of any length."""
    return {b"text": text(random, 1, 80), b"tokens": tokens(random, 1, 120), **alike(random)}


def optional(random: Random) -> Features:
    """Return some of six features."""
    makers: dict[bytes, Callable[[], bytes]] = {
        b"title": lambda: text(random, 1, 12),
        b"tags": lambda: example.encode_bytes(words(random, 0, 6)),
        b"tokens": lambda: tokens(random, 1, 60),
        b"scores": lambda: floats(random, 1, 30),
        b"year": lambda: example.encode_int64([int(random.integers(1900, 2100))]),
        b"price": lambda: floats(random, 1, 2),
    }
    present = random.random(len(makers)) < 0.5
    return {name: make() for (name, make), own in zip(makers.items(), present, strict=True) if own}


def images(random: Random) -> Features:
    """Return the bytes of an image, or what looks as random."""
    size = int(random.integers(2_000, 60_000))
    return {b"image": example.encode_bytes([random.bytes(size)]), **alike(random)}


def many(random: Random) -> Features:
    """Return 200 features."""
    makers = (
        lambda: floats(random, 1, 40),
        lambda: tokens(random, 1, 40),
        lambda: text(random, 1, 15),
        lambda: example.encode_int64([int(random.integers(0, 1000))]),
    )
    return {b"feature_%03d" % i: makers[i % len(makers)]() for i in range(200)}


KINDS: dict[str, Callable[[Random], Features]] = {
    "alike": alike, "lengths": lengths, "optional": optional, "images": images, "many": many,
}  # fmt: skip


def words(random: Random, least: int, most: int) -> list[bytes]:
    """Return some words, fewer than `most`."""
    return [WORDS[i] for i in random.integers(0, len(WORDS), random.integers(least, most))]


def text(random: Random, least: int, most: int) -> bytes:
    """Return a text of some words."""
    return example.encode_bytes([b" ".join(words(random, least, most))])


def tokens(random: Random, least: int, most: int) -> bytes:
    """Return token ids, of one to three bytes."""
    count = random.integers(least, most)
    return example.encode_int64((random.pareto(1.0, count) * 100).astype(np.int64).tolist())


def floats(random: Random, least: int, most: int) -> bytes:
    """Return some numbers."""
    return example.encode_floats(random.standard_normal(random.integers(least, most)))


def payload(kind: str, node: bytes, random: Random) -> bytes:
    """Return an example with an id and an embedding."""
    features = {
        b"id": example.encode_bytes([node]),
        b"embedding": example.encode_floats(random.standard_normal(DIMENSIONS)),
        **KINDS[kind](random),
    }
    return example.encode(features)


def write_examples(path: str, kind: str, ids: Iterable[bytes], random: Random) -> None:
    """Write one example for each id."""
    with open(path, "wb") as file:
        payloads: list[bytes] = []
        for node in ids:
            payloads.append(payload(kind, node, random))
            if len(payloads) == AT_ONCE:
                file.write(frame(*payloads))
                payloads.clear()
        file.write(frame(*payloads))
