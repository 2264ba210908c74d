"""Scratch files: what does not fit the memory limit, on disk while the process lives.

A scratch file has no name (`tempfile.TemporaryFile`: O_TMPFILE, or unlinked at once), so it
vanishes with the process, however that ends. It lies in the folder that `TMPDIR` names; if
that cannot be used, no other is taken instead.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from nsl_tools.errors import NslToolsError, printable
from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer, Self

    from nsl_tools.progress import Progress

_REMEDY = "name another folder by TMPDIR, or raise --memory-limit"


class ScratchError(NslToolsError):
    """There is not enough scratch space, or it cannot be used."""


def claim_space(size: int, content: str, progress: Progress) -> None:
    """Say that a run will put up to `size` bytes of `content` into scratch files; call it before.

    Raises:
        ScratchError: the temporary folder has less space.
    """
    with _os_errors_as_scratch_errors():
        found = os.statvfs(scratch_folder())
    free = found.f_bavail * found.f_frsize
    if free < size:
        wanted = f"expected {shown_size(size)} of free space, found {shown_size(free)}"
        raise ScratchError(_message(wanted))
    progress.note(f"scratch files of up to {shown_size(size)} in {scratch_folder()}, for {content}")


def announce(content: str, progress: Progress) -> None:
    """Say that a run puts `content` into scratch files, of a size that is not known before."""
    progress.note(f"scratch files in {scratch_folder()}, for {content}, as many as are found")


class ScratchFile:
    """A nameless file to append to and to read at any place; a context manager.

    Its methods raise ScratchError, whose message ends with a remedy.
    """

    def __init__(self, remedy: str = _REMEDY) -> None:
        self._errors = partial(_os_errors_as_scratch_errors, remedy)
        with self._errors():
            self._file = tempfile.TemporaryFile(buffering=0, dir=scratch_folder())  # noqa: SIM115 - closed by `__exit__`
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # What it held is not needed any more, so what fails now does not matter.
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, data: Buffer, /) -> None:
        """Append `data`."""
        left = memoryview(data).cast("B")
        with self._errors():
            while left:
                written = os.pwrite(self._file.fileno(), left, self.size)
                self.size += written
                left = left[written:]

    def read_into(self, buffer: Buffer, offset: int) -> None:
        """Fill the whole of `buffer` with what was written at `offset`."""
        self.read_spans(buffer, [(offset, memoryview(buffer).nbytes)])

    def read_spans(self, buffer: Buffer, spans: Iterable[tuple[int, int]]) -> None:
        """Fill the whole of `buffer` with spans of what was written, end to end.

        Args:
            buffer: as long as all of them together.
            spans: offset and size of each.
        """
        with self._errors():
            read_spans(self._file.fileno(), buffer, spans)


def read_spans(descriptor: int, buffer: Buffer, spans: Iterable[tuple[int, int]]) -> None:
    """Fill the whole of `buffer` with spans (offset, size) of an open file, end to end.

    Raises:
        OSError: it cannot be read, or is too short.
    """
    left = memoryview(buffer).cast("B")
    for offset, size in spans:
        place, end = offset, offset + size
        while place < end:
            count = os.preadv(descriptor, [left[: end - place]], place)
            if not count:
                raise OSError("shorter than it was")
            left, place = left[count:], place + count


class Spool(ScratchFile):
    """The copy of a stream: written first, then read from its start as often as needed."""

    def __init__(self) -> None:
        super().__init__("name another folder by TMPDIR, or give a file instead of a stream")
        self._place = 0

    def seek(self, place: int, /) -> None:
        """Read from `place` on."""
        self._place = place

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        data = bytearray(min(size, self.size - self._place))
        self.read_into(data, self._place)
        self._place += len(data)
        return bytes(data)


class ScratchStream(ScratchFile, io.RawIOBase):
    """A scratch file to read and write at its own place, for libraries that want such a one."""

    def __init__(self) -> None:
        super().__init__()
        self._place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place, and return it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer from the place on, as far as there is something; return how far."""
        left = memoryview(buffer).cast("B")
        count = max(0, min(len(left), self.size - self._place))
        self.read_into(left[:count], self._place)
        self._place += count
        return count

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]
        """Put bytes at the place, over others or after them; return their number."""
        left = memoryview(data).cast("B")
        with self._errors():
            while left:
                written = os.pwrite(self._file.fileno(), left, self._place)
                self._place += written
                left = left[written:]
        self.size = max(self.size, self._place)
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or lengthen the file."""
        self.size = self._place if size is None else size
        with self._errors():
            os.ftruncate(self._file.fileno(), self.size)
        return self.size


@contextlib.contextmanager
def _os_errors_as_scratch_errors(remedy: str = _REMEDY) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise ScratchError(_message(str(err.strerror or err), remedy)) from err


def _message(problem: str, remedy: str = _REMEDY) -> str:
    return printable(f"scratch files in {scratch_folder()}: {problem}: {remedy}")


def scratch_folder() -> str:
    """Return the folder of scratch files.

    Raises:
        ScratchError: there is none.
    """
    if named := os.environ.get("TMPDIR"):
        return named
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as err:
        raise ScratchError(printable(f"scratch files: {err.strerror}: {_REMEDY}")) from err
