"""`tf.train.Example` without TensorFlow: payload bytes to features and back.

An example is a map from a feature's name to its value, and a value is a list
of bytes, of float32 or of int64:

    Example   { Features features = 1; }
    Features  { map<string, Feature> feature = 1; }
    Feature   { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }

Here a feature stays encoded: `parse` maps each name to the bytes of its
`Feature` message in *canonical form* (one list, given once, numbers packed).
What `parse` accepts, and what it means, is what `tf.train.Example.FromString`
accepts and means; the canonical form is what `tf.io.parse_example` reads with
that same meaning. Fields that these messages do not have are kept aside
(`Unknown`), as protobuf does, which writes them again after the known ones.

Source: tensorflow/core/example/{example,feature}.proto.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from nsl_tools.formats.protobuf.wire import (
    CONTINUED,
    WireError,
    WireType,
    fields,
    read_varint,
    write_field,
    write_varint,
)

Features = dict[bytes, bytes]
"""Feature name (UTF-8) to its canonical encoded `Feature`, in order of appearance."""

# `features`, a map entry and its name, a list's value and a packed run are all field 1.
ITEM = 1 << 3 | WireType.LENGTH
VALUE = 2 << 3 | WireType.LENGTH
_TOO_LONG_VARINT = re.compile(rb"[\x80-\xff]{10}")


class Kind:
    """The kinds of a `Feature`, as the tags of its lists."""

    BYTES = 1 << 3 | WireType.LENGTH
    FLOAT = 2 << 3 | WireType.LENGTH
    INT64 = 3 << 3 | WireType.LENGTH
    NAMES: Final = {BYTES: "bytes", FLOAT: "float", INT64: "int64"}


class Unknown:
    """The fields of one record that the messages above do not have, encoded.

    Attributes:
        outside: of the Example; they follow its features.
        among: of Features, and map entries that hold some, which are no features then.
        values: by name, the features that hold some, with them: in canonical form but for that.
    """

    __slots__ = ("among", "outside", "values")

    def __init__(self) -> None:
        self.outside = bytearray()
        self.among = bytearray()
        self.values: Features = {}

    def __bool__(self) -> bool:
        return bool(self.outside or self.among or self.values)


def parse(payload: bytes) -> Features:
    """Parse one serialized Example.

    Raises:
        WireError: `tf.train.Example.FromString` would not accept it.
    """
    return parse_whole(payload)[0]


def parse_whole(payload: bytes) -> tuple[Features, Unknown]:
    """Parse one serialized Example, and what else is in it.

    Raises:
        WireError: `tf.train.Example.FromString` would not accept it.
    """
    features: Features = {}
    unknown = Unknown()
    position = 0
    for tag, start, end in fields(payload, 0, len(payload)):
        if tag == ITEM:
            _parse_features(payload, (start, end), features, unknown)
        else:
            unknown.outside += payload[position:end]
        position = end
    return features, unknown


def _parse_features(
    payload: bytes, span: tuple[int, int], features: Features, unknown: Unknown
) -> None:
    position = span[0]
    for tag, start, end in fields(payload, *span, depth=1):
        if tag == ITEM:
            _parse_entry(payload, (start, end), features, unknown)
        else:
            unknown.among += payload[position:end]
        position = end


def _parse_entry(
    payload: bytes, span: tuple[int, int], features: Features, unknown: Unknown
) -> None:
    name = None
    feature = whole = b""
    bodies: list[bytes] = []
    known = True
    for tag, start, end in fields(payload, *span, depth=2):
        if tag == ITEM:
            name = _checked_name(payload[start:end])
        elif tag == VALUE:
            bodies.append(payload[start:end])
            feature, whole = _forms(bodies[-1])
        else:
            known = False
    if len(bodies) > 1:
        # The value given twice is merged: concatenated messages are merged messages.
        feature, whole = _forms(b"".join(bodies))
    if not known:
        # protobuf keeps an entry with unknown fields aside, out of the map.
        entry = b"" if name is None else write_field(ITEM, name)
        entry += write_field(VALUE, whole) if bodies else b""
        unknown.among += write_field(ITEM, entry + _unknown_of_entry(payload, span))
        return
    features[name or b""] = feature
    if whole is not feature:
        unknown.values[name or b""] = whole
    elif unknown.values:
        unknown.values.pop(name or b"", None)


def _unknown_of_entry(payload: bytes, span: tuple[int, int]) -> bytes:
    parts = []
    position = span[0]
    for tag, _, end in fields(payload, *span, depth=2):
        if tag not in (ITEM, VALUE):
            parts.append(payload[position:end])
        position = end
    return b"".join(parts)


def _checked_name(name: bytes) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        raise WireError(f"feature name {name!r} is not UTF-8") from None
    return name


def canonical(body: bytes) -> bytes:
    """Return the encoded `Feature` `body` with one list, given once, numbers packed.

    Raises:
        WireError: it is not a `Feature` message.
    """
    return _forms(body)[0]


def _forms(body: bytes) -> tuple[bytes, bytes]:
    """Return `canonical` of a feature, and that with the unknown fields that are in it."""
    if _is_canonical(body):
        return body, body
    kind, contents, unknown = 0, bytearray(), bytearray()
    position = 0
    for tag, start, end in fields(body, 0, len(body), depth=3):
        if tag in Kind.NAMES:
            if tag != kind:
                # Another member of a oneof replaces it, the same member merges.
                contents.clear()
            contents += body[start:end]
            kind = tag
            _content(tag, body[start:end])
        else:
            unknown += body[position:end]
        position = end
    if not kind:
        return b"", bytes(unknown)
    content, rest = _content(kind, bytes(contents))
    feature = write_field(kind, content)
    if not rest and not unknown:
        return feature, feature
    return feature, write_field(kind, content + rest) + bytes(unknown)


def holds_feature_lists(unknown: Unknown) -> bool:
    """Tell whether a record is a `tf.train.SequenceExample` with lists of features.

    Such a record parses as an Example of its context, too; the lists are unknown fields:

        FeatureLists { map<string, FeatureList> feature_list = 1; } feature_lists = 2;
        FeatureList  { repeated Feature feature = 1; }
    """
    data = bytes(unknown.outside)
    parts = [(start, end) for tag, start, end in fields(data, 0, len(data)) if tag == VALUE]
    try:
        found = [
            _is_feature_list(data, first, last)
            for start, end in parts
            for tag, first, last in fields(data, start, end, depth=1)
            if tag == ITEM
        ]
        return sum(found) > 0
    except WireError:
        return False


def _is_feature_list(data: bytes, start: int, end: int) -> bool:
    """Check a map entry whose value is a FeatureList; tell whether it has no unknown fields."""
    known = True
    for tag, a, b in fields(data, start, end, depth=2):
        if tag == ITEM:
            _checked_name(data[a:b])
        elif tag == VALUE:
            for kind, first, last in fields(data, a, b, depth=3):
                if kind == ITEM:
                    canonical(data[first:last])
        else:
            known = False
    return known


def _is_canonical(body: bytes) -> bool:
    """Tell whether `body` is one list, spanning all, its numbers one packed run."""
    if not body:
        return True
    try:
        span = _sole_field(body, 0, len(body))
        if span is None or body[0] not in Kind.NAMES:
            return False
        return span[0] == len(body) or _is_canonical_list(body, *span)
    except WireError:
        return False


def _is_canonical_list(body: bytes, start: int, end: int) -> bool:
    if body[0] == Kind.BYTES:
        return all(tag == ITEM for tag, _, _ in fields(body, start, end))
    run = _sole_field(body, start, end)
    if run is None or body[start] != ITEM or run[0] == run[1]:
        return False
    if body[0] == Kind.FLOAT:
        return (run[1] - run[0]) % 4 == 0
    return _is_varint_run(body, *run)


def _is_varint_run(data: bytes, start: int, end: int) -> bool:
    """Tell whether the span is varints end to end, of at most 10 bytes each."""
    # One expression for it all would remember each varint: 100 bytes of memory for a byte.
    whole = start == end or data[end - 1] < CONTINUED
    return whole and _TOO_LONG_VARINT.search(data, start, end) is None


def _sole_field(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the content span of the one shortest-form delimited field in the span, if so."""
    if start == end:
        return None
    length, content = read_varint(data, start + 1, end, limit=5)
    # A length that is padded, by a last byte of zero, is legal, but not canonical.
    shortest = content == start + 2 or data[content - 1] > 0
    return (content, end) if content + length == end and shortest else None


def _content(kind: int, message: bytes) -> tuple[bytes, bytes]:
    """Return a BytesList, FloatList or Int64List message, numbers in one run, and the rest."""
    # Not a list of values: each would be an object, of many times the bytes of a number.
    values, rest = bytearray(), bytearray()
    unpacked = 1 << 3 | (WireType.FIXED32 if kind == Kind.FLOAT else WireType.VARINT)
    position = 0
    for tag, start, end in fields(message, 0, len(message), depth=4):
        if tag == ITEM:
            value = message[start:end]
            _check_run(kind, value)
            values += write_field(ITEM, value) if kind == Kind.BYTES else value
        elif tag == unpacked and kind != Kind.BYTES:
            values += message[start:end]
        else:
            rest += message[position:end]
        position = end
    whole = bytes(values)
    return write_field(ITEM, whole) if whole and kind != Kind.BYTES else whole, bytes(rest)


def _check_run(kind: int, run: bytes) -> None:
    if kind == Kind.FLOAT and len(run) % 4:
        raise WireError(f"packed floats end inside a number ({len(run)} bytes)")
    if kind == Kind.INT64 and not _is_varint_run(run, 0, len(run)):
        raise WireError("packed int64 values end inside a number")


def _encode_list(kind: int, values: list[bytes]) -> bytes:
    if kind == Kind.BYTES:
        return write_field(kind, b"".join(write_field(ITEM, value) for value in values))
    run = b"".join(values)
    return write_field(kind, write_field(ITEM, run) if run else b"")


def kind_name(feature: bytes) -> str:
    """Return `bytes`, `float`, `int64`, or `empty` for a feature without a list."""
    return Kind.NAMES[feature[0]] if feature else "empty"


def _run_span(feature: bytes) -> tuple[int, int]:
    _, start = read_varint(feature, 1, len(feature))
    if start < len(feature):
        _, start = read_varint(feature, start + 1, len(feature))
    return start, len(feature)


def decode_bytes(feature: bytes) -> list[bytes]:
    """Return the values of a canonical bytes feature."""
    _, start = read_varint(feature, 1, len(feature))
    return [feature[a:b] for _, a, b in fields(feature, start, len(feature))]


def decode_floats(feature: bytes) -> npt.NDArray[np.float32]:
    """Return the values of a canonical float feature, shape (d,), read-only."""
    start, end = _run_span(feature)
    return np.frombuffer(feature, "<f4", offset=start, count=(end - start) // 4)


def decode_int64(feature: bytes) -> list[int]:
    """Return the values of a canonical int64 feature."""
    position, end = _run_span(feature)
    values = []
    while position < end:
        value, position = read_varint(feature, position, end)
        values.append(value - (1 << 64) if value >> 63 else value)
    return values


def encode_bytes(values: Iterable[bytes]) -> bytes:
    """Encode a bytes feature."""
    return _encode_list(Kind.BYTES, list(values))


def encode_floats(values: npt.ArrayLike) -> bytes:
    """Encode a float feature; values are rounded to float32."""
    return _encode_list(Kind.FLOAT, [np.asarray(values, "<f4").tobytes()])


def encode_int64(values: Iterable[int]) -> bytes:
    """Encode an int64 feature."""
    return _encode_list(Kind.INT64, [write_varint(value & (1 << 64) - 1) for value in values])


def encode_entry(name: bytes, feature: bytes) -> bytes:
    """Encode one entry of the feature map."""
    return write_field(ITEM, write_field(ITEM, name) + write_field(VALUE, feature))


def before_value(name: bytes, length: int) -> bytes:
    """Return what comes before a value of `length` bytes in an entry of a feature map."""
    inner = b"%c%b%b" % (ITEM, write_varint(len(name)), name)
    inner += b"%c%b" % (VALUE, write_varint(length))
    return b"%c%b%b" % (ITEM, write_varint(len(inner) + length), inner)


def encode_entries(features: Mapping[bytes, bytes]) -> bytes:
    """Encode the whole feature map, in order, as the content of `features`."""
    return b"".join(encode_entry(name, feature) for name, feature in features.items())


def encode(features: Mapping[bytes, bytes]) -> bytes:
    """Serialize an Example."""
    return write_field(ITEM, encode_entries(features))
