"""Bytes out: a file gets its final name only when its content is complete and durable.

A regular file is written in a staging directory beside its destination, synced and renamed,
and the folder is synced. If that fails, what was already renamed is renamed back. Until a file
is complete, only this user may read it. The files of one run appear together; a set of shards
comes with its manifest (`shard_set`). A pipe, a device or standard output is written in place.
A symbolic link is followed, but not one that another user made in somebody else's folder
(`own_files`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from nsl_tools.errors import NslToolsError, printable
from nsl_tools.files.compression import ByteSink, compressor_of
from nsl_tools.files.direct_io import DiskWriter
from nsl_tools.files.own_files import destination, require_trusted
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.staging import StagingDirectory, new_name
from nsl_tools.files.streams import CHUNK, INCOMPLETE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Self


class OutputError(NslToolsError):
    """An output cannot be written."""


@dataclass(frozen=True)
class Written:
    """A complete file that does not have its final name yet.

    Attributes:
        path: as it was asked for.
        final: the path with symbolic links followed.
        staging: where it is.
        temporary: its name there.
        bytes: its size.
        crc32c: of its bytes, in hexadecimal.
    """

    path: str
    final: str
    staging: StagingDirectory
    temporary: str
    bytes: int = 0
    crc32c: str = ""


class Outputs:
    """The output files of one run: all of them appear under their final names, or none.

    A context manager: leaving it without an exception renames what was opened,
    leaving it with one removes it.
    """

    def __init__(self, compression: str = "auto", warnings: Counter[str] | None = None) -> None:
        """Compress with `none`, `gzip`, `zlib`, `zstd`, or `auto`: by the suffix of a name.

        What was left alone in the folders of the outputs is counted in `warnings`, by reason.
        """
        self._compression = compression
        self.warnings: Counter[str] = Counter() if warnings is None else warnings
        self.written: list[Written] = []
        self.staging_directories: dict[str, StagingDirectory] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        try:
            if failure is None:
                publish(self.written)
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        """Remove the staging directories."""
        for staging in self.staging_directories.values():
            staging.remove()

    @contextlib.contextmanager
    def open(self, path: str, compression: str | None = None) -> Iterator[ByteSink]:
        """Open one file, or `-` for standard output, for writing; None compresses as all others.

        Raises:
            OutputError: the file cannot be written.
        """
        with os_errors_as_output_errors(path), self._destination(path) as file:
            if (compressor := compressor_of(path, compression or self._compression)) is None:
                yield file
            else:
                compressed = compressor(file)
                yield compressed
                compressed.finish()

    def _destination(self, path: str) -> contextlib.AbstractContextManager[ByteSink]:
        return _in_place(path) if is_stream(path) else self._temporary(path)

    @contextlib.contextmanager
    def _temporary(self, path: str) -> Iterator[ByteSink]:
        folder, name = os.path.split(final := destination(path))
        # 50 characters of up to 4 bytes, and what is appended, fit the 255 bytes of a name.
        staging, temporary = self.staging(folder), new_name(name[:50])
        with _created(staging, temporary, staging.mode_of(name)) as file:
            yield file
        crc32c = f"{file.crc32c:08x}"
        self.written.append(Written(path, final, staging, temporary, file.bytes, crc32c))

    def staging(self, folder: str) -> StagingDirectory:
        """Return where to write what will be in `folder`."""
        if folder not in self.staging_directories:
            self.staging_directories[folder] = StagingDirectory(folder, self.warnings)
            self.staging_directories[folder].create()
        return self.staging_directories[folder]


@contextlib.contextmanager
def _created(
    staging: StagingDirectory, name: str, mode: int, *, sync: bool = True
) -> Iterator[_File]:
    """Create a file that has its permissions, and is durable if `sync`, at the end."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    # Whoever opens a file while it is empty can read all that is written to it later.
    descriptor = os.open(name, flags, mode & 0o600, dir_fd=staging.inner)
    with _closing(descriptor):
        with DiskWriter(descriptor) as disk:
            file = _File(disk.write)
            yield file
            file.flush()
            disk.finish()
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
        if sync:
            os.fsync(descriptor)


class _File:
    """Gathers what is written, and passes it on in larger pieces."""

    def __init__(self, put: Callable[[memoryview], None]) -> None:
        """Pass all on to `put`."""
        self._put = put
        self.bytes = 0
        self.crc32c = 0
        self._parts: list[bytes | memoryview] = []
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= CHUNK:
            self.flush()

    def flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.bytes += len(data)
        # Of writable buffers, it takes arrays only.
        self.crc32c = google_crc32c.extend(self.crc32c, np.frombuffer(data, np.uint8))
        self._put(memoryview(data))


def _write_all(descriptor: int, left: memoryview) -> None:
    while left:
        left = left[_write_some(descriptor, left) :]


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
    """Write to what is open or exists already; if that fails, end it by `INCOMPLETE`."""
    descriptor = _open_in_place(path)
    with _closing(descriptor):
        file = _File(partial(_write_all, descriptor))
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

    So no reader of graphs or records takes them for complete.
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


def publish(*stages: Sequence[Written]) -> None:
    """Rename complete files to their final names, stage by stage, each durable: all or none.

    Raises:
        OutputError: a file could not be renamed, or a folder not be synced.
    """
    undo: list[Callable[[], None]] = []
    try:
        for stage in stages:
            for file in stage:
                with os_errors_as_output_errors(file.path):
                    undo.append(_restorer(file))
                    _rename(file)
            for staging, path in {file.staging: file.path for file in stage}.items():
                with os_errors_as_output_errors(path):
                    os.fsync(staging.outer)
    except BaseException:
        for restore in reversed(undo):
            with contextlib.suppress(OSError):
                restore()
        raise


def _rename(file: Written) -> None:
    inner, outer = file.staging.inner, file.staging.outer
    os.replace(file.temporary, _name_of(file), src_dir_fd=inner, dst_dir_fd=outer)


def _restorer(file: Written) -> Callable[[], None]:
    """Return a function that brings back the files of the final and the temporary name."""
    inner, outer = file.staging.inner, file.staging.outer
    final, backup = _name_of(file), f"{file.temporary}.old"
    try:
        os.link(final, backup, src_dir_fd=outer, dst_dir_fd=inner, follow_symlinks=False)
    except FileNotFoundError:
        return lambda: os.replace(final, file.temporary, src_dir_fd=outer, dst_dir_fd=inner)
    except OSError:
        # A file system without hard links: what is renamed stays renamed.
        return lambda: None

    def restore() -> None:
        with contextlib.suppress(OSError):
            os.link(
                final, file.temporary, src_dir_fd=outer, dst_dir_fd=inner, follow_symlinks=False
            )
        os.replace(backup, final, src_dir_fd=inner, dst_dir_fd=outer)

    return restore


def _name_of(file: Written) -> str:
    return os.path.basename(file.final)


def write_file(
    staging: StagingDirectory, name: str, data: bytes, mode: int = 0o600, *, sync: bool
) -> None:
    """Create a small file in a staging directory, with the permissions `mode`.

    Raises:
        OSError: it cannot be written.
    """
    with _created(staging, name, mode, sync=sync) as file:
        file.write(data)


def _open_in_place(path: str, flags: int = 0) -> int:
    if (number := _descriptor_of(path)) is not None:
        return os.dup(number)
    found = _trusted_stream(path)
    descriptor = os.open(path, os.O_WRONLY | flags)
    if not os.path.samestat(found, os.fstat(descriptor)):
        os.close(descriptor)
        raise OSError(errno.ESTALE, "it was replaced meanwhile")
    return descriptor


def check_stream(path: str) -> None:
    """Refuse a pipe or device that another user put, or links to, in a folder that is not theirs.

    Raises:
        OutputError: it is so.
    """
    if _descriptor_of(path) is None:
        with os_errors_as_output_errors(path):
            _trusted_stream(path)


def _trusted_stream(path: str) -> os.stat_result:
    found = os.lstat(final := destination(path))
    require_trusted(final, found, "a pipe or device")
    return os.stat(final) if stat.S_ISLNK(found.st_mode) else found


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
    # A working folder that was removed has no path.
    with contextlib.suppress(FileNotFoundError):
        if name.isdecimal() and os.path.realpath(folder) == os.path.realpath("/dev/fd"):
            return int(name)
    return {STANDARD_STREAM: 1, "/dev/stdout": 1, "/dev/stderr": 2}.get(path)


@contextlib.contextmanager
def os_errors_as_output_errors(path: str) -> Iterator[None]:
    """Turn an OSError, but for a broken pipe, into an OutputError that names `path`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as err:
        name = "<stdout>" if path == STANDARD_STREAM else path
        problem = f"{name}: cannot be written: {err.strerror or err}"
        raise OutputError(printable(problem)) from err
