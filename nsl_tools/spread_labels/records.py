"""Spread labels as examples: an id, a class, the probabilities of all classes, a confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nsl_tools.arrays.byte_spans import by_value, copy_spans, offsets_of, put
from nsl_tools.arrays.fingerprints import texts_of
from nsl_tools.feature_names import CONFIDENCE, PROBABILITIES
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.varints import put_varints, varint_sizes
from nsl_tools.formats.tfrecord.frames import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Framed,
    frame_headers,
    seal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.spread_labels.labels import Classes
    from nsl_tools.spread_labels.spreading import Floats


class SpreadNodes(NamedTuple):
    """What was found for n nodes.

    Attributes:
        ids: of the nodes, n binary values.
        classes: the most probable of each, shape (n,), int64.
        probabilities: of all classes, shape (n, c).
        confidences: from 0 to 1, shape (n,).
    """

    ids: pa.Array
    classes: Classes
    probabilities: Floats
    confidences: Floats


def records_of(nodes: SpreadNodes, id_feature: str, label_feature: str) -> Framed:
    """Return nodes as records, end to end, with features of these names."""
    offsets, data = texts_of(nodes.ids)
    starts = offsets[:-1].astype(np.int64)
    lengths = np.diff(offsets).astype(np.int64)
    digits = varint_sizes(nodes.classes)
    floats = np.column_stack([nodes.probabilities, nodes.confidences]).astype("<f4").view(np.uint8)
    longest = 8  # more bytes than a class takes
    payloads, sizes = {}, np.empty(len(lengths), np.int64)
    # Nodes whose ids, and whose classes, are of one length differ in these bytes alone.
    for kind, rows in by_value(lengths * longest + digits):
        names = (id_feature, label_feature)
        template = _template(names, kind // longest, kind % longest, nodes.probabilities.shape[1])
        found = np.tile(np.frombuffer(template.record, np.uint8), (len(rows), 1))
        size, flat, width = found.shape[1], found.reshape(-1), template.probabilities
        firsts = np.arange(len(rows)) * size
        copy_spans(data, starts[rows], lengths[rows], flat, firsts + template.id)
        put_varints(nodes.classes[rows], digits[rows], flat, firsts + template.label)
        own = floats[rows]
        found[:, width : width + own.shape[1] - 4] = own[:, :-4]
        found[:, -4:] = own[:, -4:]
        payloads[kind], sizes[rows] = (rows, found), size
    return _framed(payloads.values(), sizes)


class _Template(NamedTuple):
    """A record, and where what changes starts; the confidence comes last."""

    record: bytes
    id: int
    label: int
    probabilities: int


def _template(names: tuple[str, str], id_bytes: int, digits: int, classes: int) -> _Template:
    values = (
        (names[0], example.encode_bytes([bytes(id_bytes)]), id_bytes),
        (names[1], example.encode_int64([(1 << 7 * digits) - 1]), digits),
        (PROBABILITIES, example.encode_floats(np.ones(classes)), 4 * classes),
        (CONFIDENCE, example.encode_floats([1.0]), 4),
    )
    record = example.encode({name.encode(): value for name, value, _ in values})
    entries = [len(example.encode_entry(name.encode(), value)) for name, value, _ in values]
    # Each value is the end of its entry, and the entries are the end of the record.
    ends = len(record) - sum(entries) + np.cumsum(entries)
    starts = [int(end) - size for end, (_, _, size) in zip(ends, values, strict=True)]
    return _Template(record, *starts[:3])


def _framed(payloads: Iterable[tuple[Places, Bytes]], sizes: Places) -> Framed:
    ends = offsets_of(HEADER_BYTES + sizes + FOOTER_BYTES)
    out = np.empty(ends[-1], np.uint8)
    put(frame_headers(sizes), out, ends[:-1])
    for rows, found in payloads:
        put(found, out, ends[:-1][rows] + HEADER_BYTES)
    return seal(Framed(out, ends))
