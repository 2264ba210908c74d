"""What several tests need: examples to write, and records to read back."""

import os
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from nsl_tools.files.streams import source
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.formats.tfrecord.writer import write_records

ALL = "NSL_TOOLS_TESTS_ALL"
"""Environment variable that `pytest --all` sets."""


def drawn(count: int) -> int:
    """Return how many inputs a test draws: `count` with `--all`, else a tenth."""
    return count if ALL in os.environ else max(20, count // 10)


NEEDS_PROTOBUF_7 = pytest.mark.skipif(
    int(version("protobuf").split(".")[0]) < 7,
    reason="protobuf before 7 takes lengths of six bytes, and rejects field 0 inside a group",
)

NEEDS_NEW_PYARROW = pytest.mark.skipif(
    int(version("pyarrow").split(".")[0]) < 20,
    reason="older ones cannot write all that newer ones can, and crash on some damaged files",
)


Value = Sequence[bytes] | Sequence[float] | Sequence[int]


def feature(value: Value) -> bytes:
    """Encode a feature by the type of its first value; an empty list is of bytes."""
    if not value or isinstance(value[0], bytes):
        return example.encode_bytes(value)  # type: ignore[arg-type]
    if isinstance(value[0], float):
        return example.encode_floats(value)
    return example.encode_int64(value)  # type: ignore[arg-type]


def serialize(features: dict[str, Value]) -> bytes:
    """Serialize an Example."""
    return example.encode({name.encode(): feature(value) for name, value in features.items()})


def write_examples(path: Path | str, examples: Iterable[dict[str, Value]]) -> str:
    """Write a TFRecord file of examples and return its path."""
    payloads = [serialize(features) for features in examples]
    write_records(str(path), payloads, len(payloads))
    return str(path)


def read_payloads(path: Path | str) -> list[bytes]:
    """Read all records of a TFRecord file."""
    return [payload for batch in read_batches(source(str(path))) for payload in batch.payloads]
