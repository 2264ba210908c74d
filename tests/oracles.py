"""What files hold, told by the formats' definitions and by nothing of the readers.

Slow, small, and to be checked by reading them. None stands for a file that is refused.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from functools import cache
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

Edge = tuple[bytes, bytes, float]

_NUMBER = rb"[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?"
_GZIP = b"\x1f\x8b"


def right_records(data: bytes, longest: int = 1 << 31) -> list[bytes] | None:
    """Return the records that the framing gives."""
    found = []
    while data:
        if len(data) < 12 or _masked(data[:8]) != data[8:12]:
            return None
        size = struct.unpack("<Q", data[:8])[0]
        end = 12 + size
        if size > longest or len(data) < end + 4 or _masked(data[12:end]) != data[end : end + 4]:
            return None
        found.append(data[12:end])
        data = data[end + 4 :]
    return found


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def checked(data: bytes) -> bytes:
    """Return a TFRecord file with every checksum made right, as far as its lengths make sense."""
    fixed, at = bytearray(data), 0
    while at + 12 <= len(fixed):
        fixed[at + 8 : at + 12] = _masked(bytes(fixed[at : at + 8]))
        end = at + 12 + struct.unpack_from("<Q", fixed, at)[0]
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = _masked(bytes(fixed[at + 12 : end]))
        at = end + 4
    return bytes(fixed)


def right_file_of_records(data: bytes, longest: int = 1 << 31) -> list[bytes] | None:
    """Return the records of a file that may be compressed."""
    if len(data) >= 12 and _masked(data[:8]) == data[8:12]:
        return right_records(data, longest)
    if data[:2] == _GZIP or _starts_zlib(data):
        content = inflated(data)
        return None if content is None else right_records(content, longest)
    return None if data else []


def _starts_zlib(data: bytes) -> bool:
    """RFC 1950: method 8, a window of at most 32 KiB, and a check of both bytes by 31."""
    if len(data) < 2:
        return False
    return data[0] & 15 == 8 and data[0] < 128 and (data[0] * 256 + data[1]) % 31 == 0


def inflated(data: bytes) -> bytes | None:
    """Return what one ZLIB stream, or GZIP members and zeros after them, hold."""
    content, zipped = b"", data[:2] == _GZIP
    while data:
        inflate = zlib.decompressobj(31 if zipped else 15)
        try:
            content += inflate.decompress(data)
        except zlib.error:
            return None
        data = inflate.unused_data.lstrip(b"\0") if zipped else inflate.unused_data
        if not inflate.eof or (data and (not zipped or data[:2] != _GZIP)):
            return None
    return content


def right_graph(data: bytes) -> list[Edge] | None:
    """Return the edges that the lines give."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    edges = []
    for line in lines_of(data):
        columns = line.split(b"\t")
        if not _is_edge(columns):
            return None
        edges.append((columns[0], columns[1], float(columns[2]) if len(columns) > 2 else 1.0))
    return edges


def lines_of(graph: bytes) -> list[bytes]:
    """Return the lines of a graph that are not blank."""
    return [line for line in (text.removesuffix(b"\r") for text in graph.split(b"\n")) if line]


def _is_edge(columns: list[bytes]) -> bool:
    weights = all(re.fullmatch(_NUMBER, c) and _fits_float32(float(c)) for c in columns[2:])
    return len(columns) in (2, 3) and all(map(is_id, columns[:2])) and weights


def is_id(text: bytes) -> bool:
    """Tell whether it is non-empty UTF-8 without tab, LF, CR and NUL."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and not re.search(rb"[\t\n\r\0]", text)


def _fits_float32(number: float) -> bool:
    try:
        struct.pack("<f", number)
    except OverflowError:
        return False
    return number not in (float("inf"), float("-inf"))


def right_features(payload: bytes) -> dict[bytes, tuple[str, object]] | None:
    """Return kind and values of each feature of an Example, as protobuf's own parser reads it.

    Floats are given by their bytes; a feature without a list is `empty`.
    """
    from google.protobuf.message import DecodeError

    try:
        message = _example().FromString(payload)
    except DecodeError:
        return None
    return {
        name.encode(): (kind or "empty", _values(getattr(value, kind)) if kind else None)
        for name, value in message.features.feature.items()
        for kind in [value.WhichOneof("kind")]
    }


def _values(values: Any) -> object:
    if values.DESCRIPTOR.name == "FloatList":
        return struct.pack(f"<{len(values.value)}f", *values.value)
    return list(values.value)


@cache
def _example() -> Any:
    """Return a message class with the fields of `tf.train.Example`, without TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="oracle", package="oracle", syntax="proto3")
    for name, kind in (("BytesList", 12), ("FloatList", 2), ("Int64List", 3)):
        _add(file.message_type, name).field.add(name="value", number=1, label=3, type=kind)
    feature = _add(file.message_type, "Feature")
    feature.oneof_decl.add(name="kind")
    for number, kind in enumerate(("bytes", "float", "int64"), 1):
        list_type = f".oracle.{kind.capitalize()}List"
        feature.field.add(
            name=kind, number=number, label=1, type=11, type_name=list_type, oneof_index=0
        )
    features = _add(file.message_type, "Features")
    features.field.add(
        name="feature", number=1, label=3, type=11, type_name=".oracle.Features.FeatureEntry"
    )
    entry = _add(features.nested_type, "FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".oracle.Feature")
    example = _add(file.message_type, "Example")
    example.field.add(name="features", number=1, label=1, type=11, type_name=".oracle.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.Example"))


def _add(messages: Any, name: str) -> Any:
    return messages.add(name=name)


def right_matrix(data: bytes) -> npt.NDArray[np.floating] | None:
    """Return what NumPy reads from a `.npy` file; None if it refuses it, or something follows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = io.BytesIO(data)
            found: npt.NDArray[np.floating] = np.lib.format.read_array(file)
        except Exception:  # noqa: BLE001 - it lets any through
            return None
    if found.dtype.str[1:] == "V2":  # bfloat16: the upper halves of float32
        found = (found.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return None if file.read(1) else found


def is_as_numpy_writes(data: bytes, matrix: npt.NDArray[np.floating] | None) -> bool:
    """Tell whether NumPy would write this file for a matrix that the reader is to accept."""
    if matrix is None or matrix.ndim != 2 or not matrix.shape[1]:
        return False
    if matrix.dtype.kind not in "fiu" or matrix.dtype.itemsize > 8:
        return False
    file = io.BytesIO()
    np.lib.format.write_array(file, matrix, (data[6], data[7]))
    return file.getvalue() == data


TableRow = tuple[bytes | None, list[float | None] | None]


def right_rows(rows: list[TableRow]) -> list[tuple[bytes, list[float]]]:
    """Return the rows of a table that can be used, each id once: those of the first one's width."""
    found: dict[bytes, list[float]] = {}
    width = 0
    for node, numbers in rows:
        if node is None or not is_id(node) or not numbers:
            continue
        exact = [number for number in numbers if number is not None and _fits_float32(number)]
        if len(exact) == len(numbers) == (width or len(numbers)):
            width = len(exact)
            found.setdefault(node, [float(np.float32(number)) for number in exact])
    return list(found.items())


def _fits_float32(number: float) -> bool:
    if isinstance(number, int):
        return abs(number) <= 1 << 24
    return abs(float(number)) < 2.0**128 - 2.0**103
