"""Scratch files: what does not fit the memory limit, on disk for as long as the process lives.

A scratch file has no name (`tempfile.TemporaryFile`: O_TMPFILE, or unlinked
at once), so it vanishes with the process however that ends. It lies in the
temporary folder, which `TMPDIR` names.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from nsl_tools.errors import NslToolsError, printable
from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer, Self

    from nsl_tools.progress import Progress

_REMEDY = "name a folder with more space by TMPDIR, or raise --memory-limit"


class ScratchError(NslToolsError):
    """There is not enough scratch space, or it cannot be used."""


def claim_space(size: int, progress: Progress) -> None:
    """Say that a run will put up to `size` bytes into scratch files; to call before it starts.

    Raises:
        ScratchError: the temporary folder has less space.
    """
    with _os_errors_as_scratch_errors():
        found = os.statvfs(_folder())
    free = found.f_bavail * found.f_frsize
    if free < size:
        wanted = f"expected {shown_size(size)} of free space, found {shown_size(free)}"
        raise ScratchError(_message(wanted))
    progress.note(f"scratch files of up to {shown_size(size)} in {_folder()}")


class ScratchFile:
    """A nameless file to append to and to read at any place; a context manager.

    Its methods raise ScratchError.
    """

    def __init__(self) -> None:
        with _os_errors_as_scratch_errors():
            self._file = tempfile.TemporaryFile(buffering=0, dir=_folder())  # noqa: SIM115 - closed by `__exit__`
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Buffer, /) -> None:
        """Append `data`."""
        left = memoryview(data).cast("B")
        with _os_errors_as_scratch_errors():
            while left:
                written = os.pwrite(self._file.fileno(), left, self.size)
                self.size += written
                left = left[written:]

    def read_into(self, buffer: Buffer, offset: int) -> None:
        """Fill the whole of `buffer` with what was written at `offset`."""
        left = memoryview(buffer).cast("B")
        with _os_errors_as_scratch_errors():
            while left:
                count = os.preadv(self._file.fileno(), [left], offset)
                if not count:
                    raise OSError("shorter than what was written")
                left, offset = left[count:], offset + count


@contextlib.contextmanager
def _os_errors_as_scratch_errors() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise ScratchError(_message(str(err.strerror or err))) from err


def _message(problem: str) -> str:
    return printable(f"scratch files in {_folder()}: {problem}: {_REMEDY}")


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as err:
        raise ScratchError(printable(f"scratch files: {err.strerror}: {_REMEDY}")) from err
