"""Bytes out: a final name appears only when its content is complete and durable.

A regular file is written under a temporary name in its destination's folder,
flushed, synced and renamed, and the folder is synced. A pipe, a device or
standard output is written in place. A symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol

from nsl_tools.errors import NslToolsError, UsageError, printable
from nsl_tools.shards import STANDARD_STREAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

COMPRESSIONS = ("auto", "none", "gzip", "zlib")
_BUFFER = 1 << 20
_GZIP_WBITS = 16 + zlib.MAX_WBITS
_LEVEL = 6
_PREFIX_LENGTH = 50
_STANDARD_DESCRIPTORS = {STANDARD_STREAM: 1, "/dev/stdout": 1, "/dev/stderr": 2}


class OutputError(NslToolsError):
    """An output cannot be written."""


class ByteSink(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes, /) -> object:
        """Append `data`."""


class Outputs:
    """The output files of one run: all of them appear under their final names, or none.

    A context manager: leaving it without an exception renames what was opened,
    leaving it with one removes it.
    """

    def __init__(self, compression: str = "auto") -> None:
        """Compress with `none`, `gzip`, `zlib`, or `auto`: GZIP if a name ends in `.gz`."""
        self._compression = compression
        self._temporaries: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        try:
            if failure is None:
                self._publish()
        finally:
            for temporary in self._temporaries.values():
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def _publish(self) -> None:
        for final in list(self._temporaries):
            with _os_errors_as_output_errors(final):
                os.replace(self._temporaries[final], final)
                del self._temporaries[final]
                _sync_folder(os.path.dirname(final))

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[ByteSink]:
        """Open one file, or `-` for standard output, for writing.

        Raises:
            OutputError: the file cannot be written.
        """
        with _os_errors_as_output_errors(path), self._destination(path) as file:
            if (wbits := _wbits(path, self._compression)) is None:
                yield file
            else:
                deflater = _Deflater(file, wbits)
                yield deflater
                deflater.finish()

    @contextlib.contextmanager
    def _destination(self, path: str) -> Iterator[BinaryIO]:
        if is_stream(path):
            with _open_in_place(path) as file:
                yield file
        else:
            with self._temporary(os.path.realpath(path)) as file:
                yield file

    @contextlib.contextmanager
    def _temporary(self, final: str) -> Iterator[BinaryIO]:
        temporary = _temporary_name(final)
        # Known before it exists: a signal between the two must not leave it behind.
        self._temporaries[final] = temporary
        with open(temporary, "xb", buffering=_BUFFER) as file:
            _copy_mode(final, file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())


def _temporary_name(final: str) -> str:
    folder, name = os.path.split(final)
    return os.path.join(folder, f".{name[:_PREFIX_LENGTH]}.{secrets.token_hex(8)}.tmp")


def _copy_mode(path: str, descriptor: int) -> None:
    """Give an open file the permissions of the file at `path`, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))


def _open_in_place(path: str) -> BinaryIO:
    # Not `sys.stdout.buffer`: under PYTHONUNBUFFERED it has no buffer, and may write less than
    # it was given.
    number = _descriptor_of(path)
    return open(path if number is None else os.dup(number), "wb", buffering=_BUFFER)


def _wbits(path: str, compression: str) -> int | None:
    by_name = "gzip" if path.endswith(".gz") else "none"
    kind = by_name if compression == "auto" else compression
    return {"none": None, "gzip": _GZIP_WBITS, "zlib": zlib.MAX_WBITS}[kind]


class _Deflater:
    """Compresses as one stream; its header holds no name and no time."""

    def __init__(self, file: ByteSink, wbits: int) -> None:
        self._file = file
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits)

    def write(self, data: bytes, /) -> None:
        self._file.write(self._deflate.compress(data))

    def finish(self) -> None:
        self._file.write(self._deflate.flush())


def is_stream(path: str) -> bool:
    """Tell whether output `path` is standard output, an open descriptor, a pipe or a device."""
    if _descriptor_of(path) is not None:
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _descriptor_of(path: str) -> int | None:
    """Return `N` of `/dev/fd/N`, 1 of `-` and `/dev/stdout`, 2 of `/dev/stderr`.

    Whatever is open there is written in place: opening it again by its name
    would start over at its beginning, and replacing it would cut it off.
    """
    folder, name = os.path.split(path)
    if name.isdecimal() and os.path.realpath(folder) == os.path.realpath("/dev/fd"):
        return int(name)
    return _STANDARD_DESCRIPTORS.get(path)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _os_errors_as_output_errors(path: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as err:
        name = "<stdout>" if path == STANDARD_STREAM else path
        problem = f"{name}: cannot be written: {err.strerror or err}"
        raise OutputError(printable(problem)) from err


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Refuse, before any work, outputs that cannot be written or that are an input.

    Raises:
        OutputError: a folder does not exist or is not writable, or the output is a folder.
        UsageError: an output is the same file as an input.
    """
    known = {_identity(path): path for path in inputs if path != STANDARD_STREAM}
    for path in outputs:
        if path == STANDARD_STREAM and sys.stdout is None:
            raise OutputError("<stdout>: cannot be written: it is closed")
        if is_stream(path) and not os.path.isdir(path):
            continue
        folder = os.path.dirname(os.path.realpath(path))
        if os.path.isdir(path):
            raise OutputError(printable(f"{path}: is a folder, expected a file name"))
        if not os.path.isdir(folder):
            raise OutputError(printable(f"{path}: there is no folder {folder}"))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(printable(f"{path}: the folder {folder} is not writable"))
        if same := known.get(_identity(path)):
            raise UsageError(printable(f"{path}: the output is also an input ({same})"))


def _identity(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
