"""Embeddings in `.safetensors` files: one of the tensors, a matrix of numbers.

A length of eight bytes, as many bytes of JSON that say where each tensor is, and the tensors.

Source of the format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import state_of_open
from nsl_tools.files.readings import opened
from nsl_tools.formats.matrices.matrix import NumberMatrix, RowMatrix, check_size
from nsl_tools.formats.matrices.members import chosen_member
from nsl_tools.formats.matrices.reader import MatrixEmbeddings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader


class SafetensorsEmbeddings(MatrixEmbeddings):
    """Reads the rows of a tensor: the one that `--array` names, or the only matrix."""

    format_name = "safetensors"
    suffixes = (".safetensors",)
    uses = frozenset({"ids", "array"})

    @contextlib.contextmanager
    def opened_matrix(self, path: str) -> Iterator[NumberMatrix]:
        """Open the matrix of a file."""
        with opened(path) as file:
            size = state_of_open(file).size
            tensors, start = _header(path, file, size)
            matrices = {name: len(tensor["shape"]) == 2 for name, tensor in tensors.items()}  # noqa: PLR2004 - rows and columns
            tensor = tensors[chosen_member(path, matrices, self._options.array)]
            kind = _dtype(tensor["dtype"])
            first, end = (start + place for place in tensor["data_offsets"])
            matrix = RowMatrix(path, tuple(tensor["shape"]), kind, file)
            check_size(path, max(0, min(end, size) - first), matrix.shape, kind)
            file.seek(first)
            yield matrix


def _dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's type of what the format calls `BF16`, `F32`, `I8`, ...; else of objects."""
    if name == "BF16":
        return np.dtype("V2")
    found = re.fullmatch("([FIU])(8|16|32|64)", name)
    try:
        return np.dtype(f"<{found[1].lower()}{int(found[2]) // 8}" if found else "O")
    except TypeError:  # F8
        return np.dtype("O")


def _header(path: str, file: BufferedReader, size: int) -> tuple[dict[str, Any], int]:
    """Return the tensors by name, and where the first of their bytes is."""
    length = int.from_bytes(before := file.read(8), "little")
    longest = min(100_000_000, size - len(before))  # bytes: as the library itself accepts
    if length > longest:
        problem = f"a header of {length} bytes, expected at most {max(0, longest)}"
        raise DataError(path, "", f"not a safetensors file: {problem}")
    try:
        found = json.loads(file.read(length))
        tensors = {name: found[name] for name in found if name != "__metadata__"}
        sound = all(map(_is_sound, tensors.values()))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        sound = False
    if not sound:
        raise DataError(path, "", "not a safetensors file: its header is not what it should be")
    return tensors, len(before) + length


def _is_sound(tensor: dict[str, Any]) -> bool:
    numbers = [*tensor["shape"], *tensor["data_offsets"]]
    whole = all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
    return whole and len(tensor["data_offsets"]) == 2 and isinstance(tensor["dtype"], str)  # noqa: PLR2004 - start and end
