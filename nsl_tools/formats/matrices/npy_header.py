"""The header of a `.npy` file: text that looks like Python; it is matched, never evaluated.

Source of the format: NumPy's `numpy/lib/format.py`, versions 1.0 to 3.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError

if TYPE_CHECKING:
    from typing import Any

    from nsl_tools.files.streams import ByteStream


def _header_patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what matches the dictionary that a header is, and each of its pairs."""
    gap, text, count = rb"[ \t\n]*", rb"'[^'\\]*'|\"[^\"\\]*\"", rb"(?:0|[1-9][0-9]{0,18})"
    numbers = rb"\(%b(?:%b%b,%b)*(?:%b%b)?\)" % (gap, count, gap, gap, count, gap)
    entry = rb"%b(?:%b)%b:%b(?:%b|True|False|%b)%b" % (gap, text, gap, gap, text, numbers, gap)
    dictionary = rb"\{%b,%b,%b(?:,%b)?\} *\n?" % (entry, entry, entry, gap)
    pair = rb"(%b)%b:%b(%b|True|False|%b)" % (text, gap, gap, text, numbers)
    return re.compile(dictionary), re.compile(pair)


MAGIC = b"\x93NUMPY"
"""How a file starts."""
_DICTIONARY, _PAIR = _header_patterns()
_KIND = re.compile(r"[<>=|]?([a-zA-Z])[0-9]+")


@dataclass(frozen=True)
class NpyHeader:
    """What a header says.

    Attributes:
        kind: the type of the values, as NumPy writes it: `<f4`.
        shape: of the array.
        fortran_order: whether the first index, not the last, changes fastest.
        bytes: length of the header, after which the values start.
    """

    kind: str
    shape: tuple[int, ...]
    fortran_order: bool
    bytes: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values, of numbers or texts."""
        return np.dtype(self.kind)

    @property
    def has_known_type(self) -> bool:
        """Whether values are numbers or texts: Python objects, for one, are never loaded."""
        found = _KIND.fullmatch(self.kind)
        if not found or found[1] not in "fiuVSU":
            return False
        try:
            return self.dtype.itemsize > 0
        except (OverflowError, TypeError, ValueError):
            return False


def read_header(name: str, file: ByteStream) -> NpyHeader:
    """Return what the header at the start of `file` says; `name` is that of the file.

    Raises:
        DataError: there is none.
    """
    text, before = _header_text(name, file)
    entries = {key[1:-1]: value for key, value in _PAIR.findall(text)}
    order = entries.get(b"fortran_order")
    sound = _DICTIONARY.fullmatch(text) and set(entries) == {b"descr", b"fortran_order", b"shape"}
    sound = sound and order in (b"True", b"False") and entries[b"shape"].startswith(b"(")
    if not sound:
        raise DataError(name, "", f"the header is {shown(text)}, expected that of an array")
    kind = entries[b"descr"][1:-1].decode(errors="replace")
    shape = tuple(map(int, re.findall(rb"[0-9]+", entries[b"shape"])))
    return NpyHeader(kind, shape, order == b"True", before + len(text))


def _header_text(name: str, file: ByteStream) -> tuple[bytes, int]:
    """Return the text, and how many bytes come before it."""
    head = file.read(len(MAGIC) + 2)
    if not head.startswith(MAGIC):
        raise DataError(name, "", f"not a .npy file: it starts with {shown(head)}")
    version = head[-2], head[-1]
    length_bytes = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
    if len(head) < len(MAGIC) + 2 or version not in length_bytes:
        raise DataError(name, "", "not a .npy file of a known version: expected 1.0, 2.0 or 3.0")
    length = int.from_bytes(file.read(length_bytes[version]), "little")
    longest = 10_000  # bytes: as NumPy itself accepts
    if length > longest:
        raise DataError(name, "", f"the header takes {length} bytes, expected at most {longest}")
    text = file.read(length)
    if len(text) < length:
        raise DataError(name, "", f"the file is cut within its header of {length} bytes")
    return text, len(head) + length_bytes[version]
