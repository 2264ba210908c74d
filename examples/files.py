"""What `text.py` and `images.py` share: writing files of examples, and running `nsl-tools`."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

Values = Sequence[bytes] | Sequence[float] | Sequence[int]


def write_examples(folder: str, **files: Sequence[Mapping[str, Values]]) -> None:
    """Write a TFRecord file by each name; a row has, by name, the values of its features."""
    for name, rows in files.items():
        payloads = [
            example.encode({name.encode(): feature(values) for name, values in row.items()})
            for row in rows
        ]
        write_records(f"{folder}/{name}.tfr", payloads, len(payloads))


def feature(values: Values) -> bytes:
    """Return values encoded as what they are: bytes, floats or integers."""
    kind = np.asarray(values).dtype.kind
    if kind in "SO":
        return example.encode_bytes(values)
    return example.encode_floats(values) if kind == "f" else example.encode_int64(map(int, values))


def run(folder: str, command: str) -> None:
    """Run `nsl-tools` with the words of a command, in a folder."""
    subprocess.run([sys.executable, "-m", "nsl_tools", *command.split()], cwd=folder, check=True)
