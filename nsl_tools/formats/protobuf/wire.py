"""The protocol buffer wire format, as far as any message needs it.

A message is a sequence of fields; a field is a tag (number and wire type) and
a value. `fields` walks one message and yields each field with the span of its
value, with the limits that protobuf's own parser has (upb, the C parser behind
`FromString`): tags below 2^32 in at most 5 bytes, lengths below 2^31, varints
of at most 10 bytes, groups nested at most 100 deep.

Source: the Protocol Buffers encoding guide; behaviour checked against
`tf.train.Example.FromString` in the tests.
"""

from collections.abc import Iterator

MAX_LENGTH = 0x7FFFFFFF  # bytes: lengths are signed, of 32 bits
CONTINUED = 0x80  # the bit that all bytes of a varint have but the last


class WireType:
    """How a value is encoded: the three lowest bits of its tag."""

    VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)


class WireError(ValueError):
    """The bytes are not a protocol buffer message; the message says why."""


def read_varint(data: bytes, start: int, end: int, limit: int = 10) -> tuple[int, int]:
    """Return the varint at `start`, modulo 2^64 as protobuf does, and the position after it.

    Raises:
        WireError: it passes `end`, or is longer than `limit` bytes.
    """
    value = shift = 0
    for position in range(start, min(end, start + limit)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < CONTINUED:
            return value & 0xFFFFFFFFFFFFFFFF, position + 1
        shift += 7
    raise WireError(f"varint at byte {start} is cut or too long")


def fields(data: bytes, start: int, end: int, depth: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield `(tag, value_start, value_end)` of each field in `data[start:end]`.

    The tag is `number << 3 | wire type`; the span of a length-delimited field
    is its content. A group is checked and yielded as one field.

    Raises:
        WireError: the span is not a well-formed message.
    """
    position = start
    while position < end:
        tag, value = _read_tag(data, position, end)
        if tag >> 3 == 0:
            raise WireError(f"field number 0 at byte {position}")
        value, position = _value_span(data, value, end, tag, depth)
        yield tag, value, position


def _read_tag(data: bytes, position: int, end: int) -> tuple[int, int]:
    byte = data[position]
    if byte < CONTINUED:
        return byte, position + 1
    tag, value = read_varint(data, position, end, limit=5)
    if tag >> 32:
        raise WireError(f"field tag at byte {position} exceeds 32 bits")
    return tag, value


def _value_span(data: bytes, position: int, end: int, tag: int, depth: int) -> tuple[int, int]:
    kind = tag & 7
    if kind == WireType.LENGTH:
        length, position = read_varint(data, position, end, limit=5)
        stop = position + length
        if length > MAX_LENGTH:
            raise WireError(f"length at byte {position} exceeds 2 GiB")
    elif kind == WireType.VARINT:
        stop = read_varint(data, position, end)[1]
    elif kind == WireType.FIXED32:
        stop = position + 4
    elif kind == WireType.FIXED64:
        stop = position + 8
    elif kind == WireType.START_GROUP:
        stop = _group_end(data, position, end, tag >> 3, depth + 1)
    else:
        raise WireError(f"unexpected wire type {kind} before byte {position}")
    if stop > end:
        raise WireError(f"field at byte {position} passes the end of its message")
    return position, stop


def _group_end(data: bytes, position: int, end: int, number: int, depth: int) -> int:
    if depth > 100:  # noqa: PLR2004 - as many as protobuf takes
        raise WireError("groups are nested too deep")
    while position < end:
        tag, value = _read_tag(data, position, end)
        if tag & 7 == WireType.END_GROUP:
            if tag >> 3 != number:
                raise WireError(f"group {number} is closed as {tag >> 3}")
            return value
        # Inside a group that it skips, protobuf does not look at field numbers.
        position = _value_span(data, value, end, tag, depth)[1]
    raise WireError(f"group {number} is not closed")


def write_varint(value: int) -> bytes:
    """Encode `value` (0 to 2^64 - 1) as a varint."""
    return _SHORT_VARINTS[value] if value < len(_SHORT_VARINTS) else _encode_varint(value)


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= CONTINUED:
        encoded.append(value & 0x7F | CONTINUED)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SHORT_VARINTS = [_encode_varint(value) for value in range(1024)]


def write_field(tag: int, content: bytes) -> bytes:
    """Encode a length-delimited field; `tag` is below 128."""
    return b"%c%b%b" % (tag, write_varint(len(content)), content)
