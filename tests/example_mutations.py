"""Serialized Examples as no sane writer makes them, from a seed.

Each is first generated along the structure of an Example, with what the wire
format allows at every level: unknown fields, groups, fields repeated, left out
and shuffled, numbers packed or not, lengths that take more bytes than they need,
names that are not UTF-8 or long, values of any length. Half of them are
then damaged: bits flipped, bytes removed, inserted and overwritten.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nsl_tools.formats.protobuf.wire import (
    WireType,
    write_varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NAMES = (b"a", b"b", b"id", b"a name of more than sixteen bytes")
_ODD_NAMES = ("é".encode(), b"", b"\xff", b"a\xed\xa0\x80")
_NUMBERS = (0, 1, 5, 127, 128, 2**31 - 1, 2**32, 2**63, 2**64 - 1)
_FIELDS = (1, 2, 3, 4, 15, 16, 2**28, 2**29 - 1)
# Ends of varints, long varints, tags of Example's own fields, and of groups.
_TELLING_BYTES = (0x00, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x1A, 0x0B, 0x0C)

# A oneof member of Feature, by field number.
_BYTES, _FLOATS, _INTS = 1, 2, 3


def mutated_examples(seed: int, count: int) -> Iterator[bytes]:
    """Yield `count` payloads, always the same ones for a seed."""
    maker = _Maker(seed)
    return (maker.payload() for _ in range(count))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with a few bytes changed, removed or added."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if not changed:
            break
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at : at + rng.randint(1, 3)]
            case 2:
                changed[at:at] = rng.randbytes(rng.randint(1, 3))
            case _:
                changed[at] = rng.choice(_TELLING_BYTES)
    return bytes(changed)


def _padded(number: int, more: int) -> bytes:
    """Encode a number as a varint of so many more bytes than it needs."""
    encoded = bytearray(write_varint(number))
    for _ in range(more):
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def _tag(number: int, wire_type: int) -> bytes:
    return write_varint(number << 3 | wire_type)


def _delimited(number: int, content: bytes, more: int = 0) -> bytes:
    return _tag(number, WireType.LENGTH) + _padded(len(content), more) + content


class _Maker:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - test data

    def payload(self) -> bytes:
        data = self._example()
        return damaged(data, self._rng) if self._chance(0.5) else data

    def _field(self, number: int, content: bytes) -> bytes:
        return _delimited(number, content, self._chance(0.02) * self._rng.randint(1, 2))

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability

    def _example(self) -> bytes:
        return self._message([lambda: self._field(1, self._features())], oddity=0.1)

    def _features(self) -> bytes:
        entries = [lambda: self._field(1, self._entry())] * self._rng.randint(0, 3)
        return self._message(entries, oddity=0.05)

    def _entry(self) -> bytes:
        name = self._rng.choice(_NAMES + _ODD_NAMES if self._chance(0.1) else _NAMES)
        fields = [lambda: self._field(1, name), lambda: self._field(2, self._feature())]
        if self._chance(0.1):
            fields = self._rng.choice([fields[:1], fields[1:], []])
        return self._message(fields, oddity=0.05)

    def _feature(self) -> bytes:
        lists = [self._list] * self._rng.choice([0, 1, 1, 1, 1, 2])
        return self._message(lists, oddity=0.15)

    def _list(self) -> bytes:
        kind = self._rng.choice([_BYTES, _FLOATS, _INTS])
        items = [lambda: self._item(kind)] * self._rng.choice([0, 1, 1, 2])
        return self._field(kind, self._message(items, oddity=0.15))

    def _item(self, kind: int) -> bytes:
        """Return one bytes value, a packed run of numbers, or one number unpacked."""
        packed, size = self._chance(0.7), self._rng.choice([0, 1, 2, 3, 130])
        if kind == _BYTES:
            return self._field(1, self._rng.randbytes(size))
        if kind == _FLOATS:
            if packed:
                return self._field(1, self._rng.randbytes(4 * size))
            return _tag(1, WireType.FIXED32) + self._rng.randbytes(4)
        if packed:
            return self._field(1, b"".join(self._varint() for _ in range(size)))
        return _tag(1, WireType.VARINT) + self._varint()

    def _varint(self) -> bytes:
        return write_varint(self._rng.choice(_NUMBERS))

    def _message(self, fields: Sequence[Callable[[], bytes]], oddity: float) -> bytes:
        """Return a message of `fields`, sometimes with unknown, repeated or shuffled ones."""
        made = [make() for make in fields]
        while self._chance(oddity):
            made.insert(self._rng.randint(0, len(made)), self._unknown_field())
        while made and fields and self._chance(oddity):
            made.insert(self._rng.randint(0, len(made)), self._rng.choice(fields)())
        if self._chance(oddity):
            self._rng.shuffle(made)
        return b"".join(made)

    def _unknown_field(self) -> bytes:
        return self._group() if self._chance(0.2) else self._unknown_scalar()

    def _unknown_scalar(self) -> bytes:
        number = self._rng.choice(_FIELDS)
        match self._rng.randrange(4):
            case 0:
                return _tag(number, WireType.VARINT) + self._varint()
            case 1:
                return _tag(number, WireType.FIXED32) + self._rng.randbytes(4)
            case 2:
                return _tag(number, WireType.FIXED64) + self._rng.randbytes(8)
            case _:
                return _delimited(number, self._rng.randbytes(self._rng.randint(0, 4)))

    def _group(self) -> bytes:
        """Return a group, at times nested, at times closed by the wrong number."""
        number = self._rng.randint(1, 5)
        content = b""
        if self._chance(0.3):
            content = self._group()
        elif self._chance(0.5):
            content = self._unknown_scalar()
        closing = number if self._chance(0.9) else number + 1
        return _tag(number, WireType.START_GROUP) + content + _tag(closing, WireType.END_GROUP)
