"""Bytes out: a final name appears only when its content is complete and durable.

A regular file is written in a workspace in its destination's folder, flushed,
synced and renamed, and the folder is synced; what was renamed before a failure
is renamed back. A pipe, a device or standard output is written in place. A
symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import stat
import sys
import zlib
from functools import partial
from typing import TYPE_CHECKING, Protocol

from nsl_tools.errors import NslToolsError, UsageError, printable
from nsl_tools.shards import STANDARD_STREAM
from nsl_tools.streams import INCOMPLETE
from nsl_tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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

    def write(self, data: bytes | memoryview, /) -> object:
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
        self._workspaces: dict[str, Workspace] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        try:
            if failure is None:
                publish(self._temporaries)
        finally:
            for workspace in self._workspaces.values():
                workspace.remove()

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

    def _destination(self, path: str) -> contextlib.AbstractContextManager[ByteSink]:
        return _in_place(path) if is_stream(path) else self._temporary(os.path.realpath(path))

    @contextlib.contextmanager
    def _temporary(self, final: str) -> Iterator[ByteSink]:
        temporary = os.path.join(self._workspace(os.path.dirname(final)), _temporary_name(final))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with _closing(descriptor):
            _copy_mode(final, descriptor)
            file = _File(descriptor)
            yield file
            file.flush()
            os.fsync(descriptor)
        self._temporaries[final] = temporary

    def _workspace(self, folder: str) -> str:
        if folder not in self._workspaces:
            self._workspaces[folder] = Workspace(folder)
            self._workspaces[folder].create()
        return self._workspaces[folder].path


class _File:
    """Gathers what is written to a descriptor, and writes all of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._parts: list[bytes | memoryview] = []
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        left = memoryview(b"".join(self._parts))
        self._parts, self._size = [], 0
        while left:
            left = left[_write_some(self._descriptor, left) :]


def _write_some(descriptor: int, data: memoryview) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        # A pipe that the parent made non-blocking is full.
        select.select([], [descriptor], [])
        return 0


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    """Close at the end; a failure to close is an error unless there is one already."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)


@contextlib.contextmanager
def _in_place(path: str) -> Iterator[ByteSink]:
    """Write to what is open or exists already; if that fails, let the last bytes tell."""
    descriptor = _open_in_place(path)
    with _closing(descriptor):
        file = _File(descriptor)
        try:
            yield file
            file.flush()
        except OSError:
            raise
        except BaseException:
            with contextlib.suppress(OSError):
                file.write(INCOMPLETE)
                file.flush()
            raise


@contextlib.contextmanager
def marked_if_incomplete(paths: Iterable[str]) -> Iterator[None]:
    """End outputs that are streams by `INCOMPLETE` if the run fails, even before it writes.

    No reader of graphs or records takes what ends so for complete.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except BaseException:
        for path in filter(is_stream, paths):
            with contextlib.suppress(OSError):
                _mark(path)
        raise


def _mark(path: str) -> None:
    # A named pipe that nobody reads must not be waited for.
    descriptor = _open_in_place(path, os.O_NONBLOCK)
    with _closing(descriptor):
        if not os.isatty(descriptor):
            os.write(descriptor, INCOMPLETE)


def publish(temporaries: Mapping[str, str]) -> None:
    """Rename complete files, given by final name, to their final names: all or none.

    Raises:
        OutputError: a file could not be renamed, or a folder not be synced.
    """
    undo: list[Callable[[], None]] = []
    try:
        for final, temporary in temporaries.items():
            with _os_errors_as_output_errors(final):
                undo.append(_restorer(final, temporary))
                os.replace(temporary, final)
        for final in {os.path.dirname(final): final for final in temporaries}.values():
            with _os_errors_as_output_errors(final):
                _sync_folder(os.path.dirname(final))
    except BaseException:
        for restore in reversed(undo):
            with contextlib.suppress(OSError):
                restore()
        raise


def _restorer(final: str, temporary: str) -> Callable[[], None]:
    """Return what brings back the file `final` as it is now."""
    backup = f"{temporary}.old"
    try:
        os.link(final, backup)
    except FileNotFoundError:
        return partial(os.unlink, final)
    except OSError:
        # A file system without hard links: what is renamed stays renamed.
        return lambda: None
    return partial(os.replace, backup, final)


def _temporary_name(final: str) -> str:
    return f"{os.path.basename(final)[:_PREFIX_LENGTH]}.{secrets.token_hex(8)}"


def _copy_mode(path: str, descriptor: int) -> None:
    """Give an open file the permissions of the file at `path`, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))


def _open_in_place(path: str, flags: int = 0) -> int:
    number = _descriptor_of(path)
    return os.open(path, os.O_WRONLY | flags) if number is None else os.dup(number)


def _wbits(path: str, compression: str) -> int | None:
    by_name = "gzip" if path.endswith(".gz") else "none"
    kind = by_name if compression == "auto" else compression
    return {"none": None, "gzip": _GZIP_WBITS, "zlib": zlib.MAX_WBITS}[kind]


class _Deflater:
    """Compresses as one stream; its header holds no name and no time."""

    def __init__(self, file: ByteSink, wbits: int) -> None:
        self._file = file
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits)

    def write(self, data: bytes | memoryview, /) -> None:
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
