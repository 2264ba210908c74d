"""The files of a good small job, its right results by brute force, and ways to spoil them."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import TYPE_CHECKING

import spilling
from judge import features, records

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.frames import frame, frame_header

if TYPE_CHECKING:
    from collections.abc import Sequence

Node = tuple[bytes, list[float]]
Edge = tuple[bytes, bytes, float]


def large(size: int) -> int:
    """Return a size of something large; less under `--spill`, for as many blocks as few rows."""
    rows = os.environ.get(spilling.ROWS)
    return size if rows is None else min(size, 2000 * int(rows))


NODES: list[Node] = [
    (b"a", [1.0, 0.0]), (b"b", [1.0, 0.5]), (b"c", [0.5, 1.0]), (b"d", [-1.0, 0.25]),
    (b"e", [0.25, -1.0]),
]  # fmt: skip
EDGES: list[Edge] = [
    (b"a", b"b", 0.875), (b"a", b"c", 0.5), (b"b", b"e", 0.75), (b"d", b"a", 0.625),
    (b"b", b"a", -0.25), (b"a", b"e", 0.5),
]  # fmt: skip
MORE: dict[bytes, dict[str, list[bytes] | list[float] | list[int]]] = {
    b"a": {"text": [b"w" * 130], "tokens": [1, 300, -1]}, b"c": {"tokens": list(range(100, 150))},
    b"d": {"text": [b"", b"two"], "score": [0.5, 0.25]},
}  # fmt: skip
"""Features that some nodes have, of any length."""
PACK = ["pack-nbrs", "labeled", "unlabeled", "graph", "out"]
BUILD = ["build-graph", "-k", "all", "--similarity-threshold=-1", "embeddings", "out"]


def payload(node: Node) -> bytes:
    """Serialize a node."""
    return features(id=[node[0]], embedding=node[1], **MORE.get(node[0], {}))


LABELED = [payload(node) for node in NODES[:2]]
UNLABELED = [payload(node) for node in NODES[2:]]
GRAPH = b"".join(b"%b\t%b\t%.3f\n" % edge for edge in EDGES)


def files(**changed: bytes | None) -> dict[str, bytes | None]:
    """Return the files of the job, some of them changed."""
    return {
        "labeled": records(*LABELED),
        "unlabeled": records(*UNLABELED),
        "embeddings": records(*LABELED, *UNLABELED),
        "graph": GRAPH,
        **changed,
    }


def without(*names: str, **changed: bytes | None) -> dict[str, bytes | None]:
    """Return the files of the job without some."""
    return {name: data for name, data in files(**changed).items() if name not in names}


def packed_right(
    labeled: Sequence[Node] = NODES[:2],
    unlabeled: Sequence[Node] = NODES[2:],
    edges: Sequence[Edge] = EDGES,
    limit: int | None = None,
) -> list[dict[str, object]]:
    """Return what packing must give, by dictionaries."""
    known = dict(unlabeled) | dict(labeled)
    best: dict[bytes, dict[bytes, float]] = {}
    for source, target, weight in edges:
        if source in known and target in known:
            targets = best.setdefault(source, {})
            targets[target] = max(weight, targets.get(target, -math.inf))
    result = []
    for node, vector in labeled:
        ranked = sorted(((w, t) for t, w in best.get(node, {}).items()), reverse=True)[:limit]
        seed: dict[str, object] = {"id": [node], "embedding": vector, **MORE.get(node, {})}
        seed["NL_num_nbrs"] = [len(ranked)]
        for rank, (weight, target) in enumerate(ranked):
            seed |= {
                f"NL_nbr_{rank}_weight": [weight],
                f"NL_nbr_{rank}_id": [target],
                f"NL_nbr_{rank}_embedding": known[target],
            }
            seed |= {f"NL_nbr_{rank}_{name}": own for name, own in MORE.get(target, {}).items()}
        result.append(seed)
    return result


def built_right(nodes: Sequence[Node] = NODES, threshold: float = -1.0) -> list[str]:
    """Return the lines that building must give, in float64 by brute force."""
    lines = []
    for source, vector in nodes:
        found = []
        for target, other in nodes:
            norms = math.hypot(*vector) * math.hypot(*other)
            if target != source and norms > 0:
                dot = sum(x / math.hypot(*vector) * (y / math.hypot(*other))
                          for x, y in zip(vector, other, strict=True))  # fmt: skip
                if dot >= threshold:
                    found.append((f"{dot:.6f}", target))
        ranked = sorted(found, key=lambda edge: (float(edge[0]), edge[1]), reverse=True)
        lines += [f"{source.decode()}\t{target.decode()}\t{w}" for w, target in ranked]
    return lines


def spoiled_records(data: bytes) -> dict[str, tuple[bytes, str]]:
    """Return ways to spoil a TFRecord file of at least two records: data, and what is said."""
    first = int.from_bytes(data[:8], "little") + 16
    place = rf"record 1 at byte {first}: "
    end = rf"record [0-9] at byte {len(data)}: "
    packed = gzip.compress(data, mtime=0)
    deflated = zlib.compress(data)
    spoiled = {
        f"cut in a header, {n} bytes": (data[: first + n], place + rf"truncated header \({n} of 12")
        for n in (1, 7, 8, 11)
    }
    spoiled |= {
        f"cut in a record, {n} bytes": (data[: first + n], place + "(cut|truncated)")
        for n in (12, 13, 30)
    }
    wrong = bytearray(data)
    wrong[first + 14] ^= 4
    hole = data[: first + 4] + bytes(24) + data[first + 28 :]
    return spoiled | {
        "no checksum at the end": (data[:-4], "record [0-9]+ at byte [0-9]+: (cut|truncated)"),
        "a byte short": (data[:-1], "record [0-9]+ at byte [0-9]+: (cut|truncated)"),
        "zeros at the end": (data + bytes(600), end + "the length does not match"),
        "few zeros at the end": (data + bytes(5), end + r"truncated header \(5"),
        "a hole": (hole, place + "the length does not match its checksum"),
        "a flipped bit": (bytes(wrong), place + "the content does not match its checksum"),
        "text": (b"id,embedding\na,1.0\n" * 9, "record 0 at byte 0: not a TFRecord file.*text"),
        "JSON": (b'{"id": "a", "x": 1}\n', "record 0 at byte 0: not a TFRecord file"),
        "zeros": (bytes(4096), "record 0 at byte 0: not a TFRecord file"),
        "three bytes": (b"abc", r"record 0 at byte 0: truncated header \(3 of 12 bytes\)"),
        "empty": (b"", "no record: give --allow-empty"),
        "length 2^60": (data + frame_header(1 << 60), end + "[0-9]+ bytes long"),
        "length 2^63": (frame_header(1 << 63) + data, "record 0 at byte 0: [0-9]+ bytes long"),
        "length 2^30": (data + frame_header(1 << 30), end + "cut: 1073741824"),
        "length with a wrong checksum": (
            data + (5).to_bytes(8, "little") + bytes(4), end + "the length",
        ),
        "not an example": (data + frame(b"\xff\xff"), end + "not a tf.train.Ex"),
        "an example cut inside": (
            data + frame(LABELED[0][:-3]), end + "not a tf.train.Example",
        ),
        "GZIP, cut in half": (packed[: len(packed) // 2], "compressed byte [0-9]+: .*cut"),
        "GZIP, cut in its header": (packed[:5], "compressed byte 5: .*cut"),
        "GZIP without trailer": (packed[:-8], "compressed byte [0-9]+: .*cut"),
        "GZIP, a byte short": (packed[:-1], "compressed byte [0-9]+: .*cut"),
        "GZIP, wrong checksum": (
            packed[:-8] + bytes(4) + packed[-4:], "compressed byte [0-9]+: compressed data is corr",
        ),
        "GZIP and more": (packed + b"more", "compressed byte [0-9]+: bytes follow the end"),
        "GZIP of text": (gzip.compress(b"hello, hello, hello"), "record 0 at byte 0: the length"),
        "GZIP of a cut file": (gzip.compress(data[:-9]), "record [0-9]+ at byte [0-9]+: truncated"),
        "GZIP bomb": (gzip.compress(bytes(1 << 26), 1), "record 0 at byte 0: the length"),
        "GZIP of a huge record": (
            gzip.compress(frame_header(1 << 40) + bytes(1000)), "record 0 at byte 0: .*limit of",
        ),
        "ZLIB, cut in half": (deflated[: len(deflated) // 2], "compressed byte [0-9]+: .*cut"),
        "ZLIB without trailer": (deflated[:-4], "compressed byte [0-9]+: .*cut"),
    }  # fmt: skip


def same_records(payloads: Sequence[bytes], name: str) -> dict[str, dict[str, bytes | None]]:
    """Return other ways to store the same records as file `name`: files by what they are."""
    data = records(*payloads)
    parts = [records(p) for p in payloads]
    shards = [f"{name}-0000{i}-of-0000{len(parts)}" for i in range(len(parts))]
    more = len(parts) + 1
    wider = [f"{name}-0000{i}-of-0000{more}" for i in range(more)]
    return {
        "GZIP": {name: gzip.compress(data)},
        "GZIP, stored": {name: gzip.compress(data, 0)},
        "GZIP members": {name: b"".join(map(gzip.compress, parts))},
        "GZIP and zeros": {name: gzip.compress(data) + bytes(512)},
        "ZLIB": {name: zlib.compress(data)},
        "shards": dict(zip(shards, parts, strict=True)),
        "shards, one empty": dict(zip(wider, [*parts[:1], b"", *parts[1:]], strict=True)),
        "shards, some compressed": dict(zip(shards, map(gzip.compress, parts), strict=True)),
    }


BAD_IDS: dict[str, tuple[dict[str, object], str]] = {
    "missing": ({}, "no feature 'id', expected one; it has"),
    "empty feature": ({"id": b""}, "no feature 'id', expected one"),
    "no value": ({"id": example.encode_bytes([])}, "feature 'id' has 0 values, expected one"),
    "empty": ({"id": [b""]}, "feature 'id': the id is empty"),
    "two values": ({"id": [b"x", b"y"]}, "feature 'id' has 2 values, expected one"),
    "int64": ({"id": example.encode_int64([7])}, "feature 'id' is int64, expected one bytes value"),
    "float": ({"id": [7.0]}, "feature 'id' is float, expected one bytes value"),
    "not UTF-8": ({"id": [b"\xff\xfe"]}, "the id .* is not UTF-8"),
    "a tab": ({"id": [b"x\ty"]}, r"the id 'x\\ty' holds a tab"),
    "a line feed": ({"id": [b"x\n"]}, "holds a tab, CR, LF or NUL"),
    "a carriage return": ({"id": [b"\rx"]}, "holds a tab, CR, LF or NUL"),
    "a NUL": ({"id": [b"x\0"]}, "holds a tab, CR, LF or NUL"),
    "repeated": ({"id": [NODES[0][0]]}, "has occurred before"),
}

BAD_EMBEDDINGS: dict[str, tuple[dict[str, object], str]] = {
    "missing": ({}, "no feature 'embedding', expected one; it has 'id'"),
    "empty feature": ({"embedding": b""}, "no feature 'embedding', expected one"),
    "no value": ({"embedding": example.encode_floats([])}, "is empty, expected an embedding"),
    "bytes": ({"embedding": [b"1.0"]}, "feature 'embedding' is bytes, expected floats"),
    "int64": ({"embedding": example.encode_int64([1, 2])}, "is int64, expected floats"),
    "narrow": ({"embedding": [1.0]}, "has dimension 1, the first record's has 2"),
    "wide": ({"embedding": [1.0, 2.0, 3.0]}, "has dimension 3, the first record's has 2"),
    "NaN": ({"embedding": [1.0, math.nan]}, "holds nan at position 1"),
    "Inf": ({"embedding": [math.inf, 1.0]}, "holds inf at position 0"),
    "minus Inf": ({"embedding": [1.0, -math.inf]}, "holds -inf at position 1"),
}

GOOD_IDS = [
    b"#id", b'"quoted"', b"'", "\u2028".encode(), b" spaces ", "\U0001f600".encode(),
    b"\\t", b"NA", b"nan", b"x" * large(1 << 20), b"\x0b\x0c\x1c", "e\u0301".encode(),
]  # fmt: skip

BAD_LINES: dict[str, tuple[bytes, str]] = {
    "one column": (b"a", "expected 2 or 3 columns separated by tabs, found 1: 'a'"),
    "four columns": (b"a\tb\t1\t2", "expected 2 or 3 columns separated by tabs, found 4"),
    "spaces for tabs": (b"a b 1", "expected 2 or 3 columns separated by tabs, found 1"),
    "commas": (b"a,b,1", "expected 2 or 3 columns separated by tabs, found 1"),
    "a comment": (b"# made by hand", "found 1: '# made by hand' .remove header and comment lines"),
    "a header": (b"source\ttarget\tweight", "column 3: .*found 'weight' .remove header lines"),
    "no source": (b"\tb\t1", "column 1: the id is empty"),
    "no target": (b"a\t\t1", "column 2: the id is empty"),
    "no ids": (b"\t\t1", "column 1: the id is empty"),
    "an empty third column": (b"a\tb\t", "column 3: expected a decimal number, found ''"),
    "a space before": (b"a\tb\t 1", "column 3: expected a decimal number, found ' 1'"),
    "a space behind": (b"a\tb\t1 ", "column 3: expected a decimal number, found '1 '"),
    "a lone CR": (b"a\tb\t1\rc\td\t1", "columns|holds a tab, CR"),
    "a CR in an id": (b"a\rx\tb\t1", "column 1: the id .* holds a tab, CR"),
    "a NUL": (b"a\0\tb\t1", "column 1: the id .* holds a tab, CR, LF or NUL"),
    "not UTF-8": (b"a\xff\tb\t1", "column 1: the id .* is not UTF-8"),
    "a mark in the middle": (b"a\tb\t\xef\xbb\xbf1", "column 3: expected a decimal number"),
    **{
        f"the weight {weight}": (f"a\tb\t{weight}".encode(), "column 3: ")
        for weight in (
            "nan", "NaN", "NA", "null", "None", "inf", "-inf", "Infinity", "1e39", "-1e39",
            "1e400", "1_0", "\u0661", "0,9", "0x1p-1", "high", "1.0f", "1e", ".", "-", "--1",
            "1.2.3", "1/2", "50%", "3.4028236e38", "True",
        )
    },
}  # fmt: skip
