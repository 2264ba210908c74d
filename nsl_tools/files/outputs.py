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
from functools import partial
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from nsl_tools.files.compression import ByteSink, compressor_of
from nsl_tools.files.direct_io import DiskWriter
from nsl_tools.files.own_files import destination, require_trusted
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.publishing import (
    Staged,
    Uploaded,
    Written,
    os_errors_as_output_errors,
    publish,
)
from nsl_tools.files.staging import StagingDirectory, new_name
from nsl_tools.files.stores.store import is_remote
from nsl_tools.files.streams import CHUNK, INCOMPLETE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self

    from nsl_tools.files.stores.upload import Upload


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
        self._uploads: list[Upload] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        try:
            if failure is None:
                publish(self.written)
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        """Remove the staging directories, and what of uploads did not become a file."""
        for upload in self._uploads:
            upload.discard()
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
        if is_remote(path):
            return self._uploaded(path)
        return _in_place(path) if is_stream(path) else self._temporary(path)

    @contextlib.contextmanager
    def _uploaded(self, path: str) -> Iterator[ByteSink]:
        from nsl_tools.files.stores.upload import Upload  # here, since it is seldom needed

        self._uploads.append(upload := Upload(path))
        file = _File(upload.write)
        yield file
        file.flush()
        upload.finish()
        self.written.append(Uploaded(path, file.bytes, f"{file.crc32c:08x}", upload))

    @contextlib.contextmanager
    def _temporary(self, path: str) -> Iterator[ByteSink]:
        folder, name = os.path.split(final := destination(path))
        # 50 characters of up to 4 bytes, and what is appended, fit the 255 bytes of a name.
        staging, temporary = self.staging(folder), new_name(name[:50])
        with _created(staging, temporary, staging.mode_of(name)) as file:
            yield file
        crc32c = f"{file.crc32c:08x}"
        self.written.append(Staged(path, file.bytes, crc32c, final, staging, temporary))

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
