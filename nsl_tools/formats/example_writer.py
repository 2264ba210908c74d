"""Rows of Python and NumPy values, written as examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.errors import UsageError
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt


def write_examples(path: str, rows: Iterable[Mapping[str, Any]], compression: str = "auto") -> None:
    """Write rows to the output `path`, a file or `base@N`, as records of `tf.train.Example`.

    All of them are in memory, encoded, before the first is written.

    Args:
        path: of the output; if it exists, it is replaced once all is written.
        rows: of each row, values by name: a text, bytes, a number, or a list or array of one
            of these, which is flattened. Numbers that are whole become int64, others float32,
            texts UTF-8. A value that is None is left out; an empty list is a feature without
            values.
        compression: `none`, `gzip`, `zlib`, or `auto`: GZIP if the name ends in `.gz`.

    Raises:
        UsageError: a value is of another type, or a number does not fit int64 or float32.
        OutputError: the output cannot be written.
    """
    payloads = [encode_row(row, number) for number, row in enumerate(rows)]
    write_records(path, payloads, len(payloads), compression)


def encode_row(row: Mapping[str, Any], number: int = 0) -> bytes:
    """Return the bytes of an example; `number` is that of the row, for messages.

    Raises:
        UsageError: as of `write_examples`.
    """
    try:
        return example.encode(
            {
                name.encode(): encode_values(values)
                for name, values in row.items()
                if values is not None
            }
        )
    except UsageError as err:
        raise UsageError(f"row {number}: {err}") from err


def encode_values(values: Any) -> bytes:
    """Return the bytes of a feature: of one value, or of a list or array of values of one type.

    Raises:
        UsageError: as of `write_examples`.
    """
    if isinstance(values, bytes | str):
        values = [values]
    if isinstance(values, list | tuple) and not values:
        return b""  # no values, of no type
    # An array of bytes would lose zeros at their ends.
    if isinstance(values, list | tuple) and any(isinstance(v, bytes | str) for v in values):
        return example.encode_bytes(map(_encoded, values))
    array = np.asarray(values).reshape(-1)
    if array.dtype.kind == "f":
        return _encoded_floats(array)
    if array.dtype.kind in "SUO" and array.size:
        return example.encode_bytes(map(_encoded, array.tolist()))
    if array.dtype.kind not in "biu" and array.size:
        raise UsageError(f"expected text, bytes or numbers, received {values!r:.60}")
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        raise UsageError(f"expected whole numbers that fit int64, received {array.max()}")
    return example.encode_int64(array.tolist())


def _encoded_floats(values: npt.NDArray[np.floating]) -> bytes:
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    lost = np.isinf(found) & np.isfinite(values)
    if lost.any():
        raise UsageError(f"expected numbers that fit float32, received {values[lost][0]}")
    return example.encode_floats(found)


def _encoded(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise UsageError(f"expected text or bytes, received {value!r:.60}")
    return value
