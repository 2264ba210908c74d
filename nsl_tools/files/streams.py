"""Byte streams in: files and standard input.

A stream is anything with `read(n)` that returns at most `n` bytes, and `b""`
at the end only.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import google_crc32c

from nsl_tools.choices import DEFAULT_MAX_RECORD_BYTES
from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import open_to_read, state_of
from nsl_tools.files.paths import STANDARD_STREAM, manifest_of
from nsl_tools.files.readings import Readings
from nsl_tools.files.shards.manifest import REMEDY
from nsl_tools.files.stores.store import is_remote
from nsl_tools.options import memory_of
from nsl_tools.progress import Work
from nsl_tools.spill.scratch import Spool, read_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from typing_extensions import Buffer

    from nsl_tools.files.shards.manifest import Manifest
    from nsl_tools.options import RunOptions

CHUNK = 1 << 20
"""Bytes that are read, or written, together where nothing else decides about it."""
# Ends a stream whose writer failed. It starts with a newline, since the line before may be cut.
# Read as the header of a record, it has no valid checksum.
INCOMPLETE = b"\n#nsl-tools: incomplete, the program that wrote this failed\n"


class ByteStream(Protocol):
    """Something to read bytes from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty at the end only."""


class Rewindable(ByteStream, Protocol):
    """Something to read bytes from more than once."""

    def seek(self, place: int, /) -> object:
        """Go on from `place`."""


@dataclass(frozen=True)
class Source:
    """A file to read, as often as needed.

    Attributes:
        name: its path, or `<stdin>`.
        max_record_bytes: the longest record to accept in it.
        memory_limit: bytes that the run may use, which bound a record too; None for any.
        noun: what it consists of: records, or rows of a table that became such.
        read: counts the bytes that are read of it, each time.
        spool: its copy, if the file itself can be read only once.
        readings: of the file so far, to which each new one is compared.
    """

    name: str
    spool: Rewindable | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    memory_limit: int | None = None
    noun: str = "record"
    read: Work = field(default_factory=Work, repr=False, compare=False)
    readings: Readings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "readings", Readings(self.name))

    @contextlib.contextmanager
    def open(self) -> Iterator[ByteStream]:
        """Open for reading from the start.

        Yields:
            The bytes of the file. At the end, a shard is compared with its manifest.

        Raises:
            DataError: it cannot be opened or read, or has changed since it was first opened.
        """
        with _os_errors_as_data_errors(self.name):
            if self.spool is not None:
                self.spool.seek(0)
                yield Counted(self.spool, self.read)
            elif self.name == STDIN_NAME:
                if sys.stdin is None:
                    raise DataError(STDIN_NAME, "", "cannot be read: it is closed")
                with self._unchanged(sys.stdin.buffer):
                    yield Counted(sys.stdin.buffer, self.read)
            else:
                with self._opened() as file, self._unchanged(file):
                    manifest = manifest_of(self.name)
                    stream = Counted(file, self.read)
                    yield Compared(stream, self.name, manifest) if manifest else stream

    def _unchanged(self, stream: IO[bytes]) -> contextlib.AbstractContextManager[None]:
        if not hasattr(stream, "state"):  # as the file of a store has
            try:
                stream.fileno()
            except OSError:  # not a file of the system
                return contextlib.nullcontext()
        return self.readings.unchanged(stream)

    def _opened(self) -> Any:
        if not self.readings.begun:
            return open_to_read(self.name)
        try:
            # Its name may by now be that of a pipe.
            return open_to_read(self.name, wait=False)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as err:
            raise self.readings.changed(f"it is gone ({err.strerror})") from err

    def read_spans(self, buffer: Buffer, spans: Iterable[tuple[int, int]]) -> None:
        """Fill the whole of `buffer` with spans of a regular file, end to end.

        Args:
            buffer: as long as all of them together.
            spans: offset and size of each.

        Raises:
            DataError: it cannot be read, or has changed since it was first opened.
        """
        with _os_errors_as_data_errors(self.name), self._opened() as file, self._unchanged(file):
            if is_remote(self.name):
                _read_stored_spans(file, buffer, spans)
            else:
                read_spans(file.fileno(), buffer, spans)

    def size(self) -> int | None:
        """Return the size in bytes of a regular file, else None.

        Raises:
            DataError: it cannot be read.
        """
        if self.name == STDIN_NAME:
            return None
        with _os_errors_as_data_errors(self.name):
            found = state_of(self.name)
        return found.size if found.is_regular else None


def bytes_of(sources: Iterable[Source]) -> int:
    """Return how many bytes one reading of all takes; 0 if one is a stream.

    Raises:
        DataError: one cannot be read.
    """
    every = [s.spool.size if isinstance(s.spool, Spool) else s.size() for s in sources]
    return 0 if None in every else sum(size or 0 for size in every)


def _read_stored_spans(file: Any, buffer: Buffer, spans: Iterable[tuple[int, int]]) -> None:
    out = memoryview(buffer).cast("B")
    for place, size in spans:
        file.seek(place)
        part, out = out[:size], out[size:]
        while part:
            if not (count := file.readinto(part)):
                raise OSError(errno.EIO, "it ends before what is expected there")
            part = part[count:]


STDIN_NAME = "<stdin>"


def source(path: str, options: RunOptions | None = None, read: Work | None = None) -> Source:
    """Return the source for one file or `-`, of records as long as `options` allow.

    What is read of it is counted in `read`.
    """
    found = Source(STDIN_NAME if path == STANDARD_STREAM else path, read=read or Work())
    if options is None:
        return found
    most, limit = options.max_record_bytes, memory_of(options).limit
    return replace(found, max_record_bytes=most, memory_limit=limit)


@contextlib.contextmanager
def rereadable(once: Source, check: Callable[[str, bytes], None]) -> Iterator[Source]:
    """Make a source that can be read several times, by way of a scratch file if it must be.

    Standard input and pipes can be read once only: they are copied.

    Args:
        once: the source.
        check: refuses, by the name and the first few thousand bytes of a stream, what should
            not be copied: a stream may be of any size, or have no end.

    Raises:
        DataError: the source cannot be read. ScratchError: it cannot be copied.
    """
    if once.size() is not None:
        yield once
        return
    with contextlib.ExitStack() as stack:
        with once.open() as stream:
            head = read_exactly(stream, 1 << 12)
            check(once.name, head)
            spool = stack.enter_context(Spool())
            spool.write(head)
            while data := stream.read(CHUNK):
                spool.write(data)
        yield replace(once, spool=spool)


@contextlib.contextmanager
def _os_errors_as_data_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise DataError(name, "", f"cannot be read: {err.strerror or err}") from err


class Counted:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: ByteStream, read: Work) -> None:
        self._stream, self._read = stream, read

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""
        data = self._stream.read(size)
        self._read.add(len(data))
        return data


class Compared:
    """A shard that is compared, at its end, with what its manifest says."""

    def __init__(self, stream: ByteStream, name: str, manifest: Manifest) -> None:
        self._stream = stream
        self._name = name
        self._manifest = manifest
        self._crc = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes.

        Raises:
            DataError: all was read, and it is not what was written.
        """
        data = self._stream.read(size)
        self._crc = google_crc32c.extend(self._crc, data)
        if size and not data:
            self._compare()
        return data

    def _compare(self) -> None:
        found, expected = f"{self._crc:08x}", self._manifest.shard(self._name)
        if expected and found != expected.crc32c:
            others = (shard.name for shard in self._manifest.shards if shard.crc32c == found)
            whose = next((f"that of {name}" for name in others), f"of checksum {found}")
            problem = (
                f"the content is {whose}, expected {expected.records} records of checksum "
                f"{expected.crc32c} as {self._manifest.path} says: {REMEDY}"
            )
            raise DataError(self._name, "", problem)


class Pushback:
    """A stream whose first bytes were read before, to be read again."""

    def __init__(self, head: bytes, rest: ByteStream) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, first those that were read before."""
        if not self._head:
            return self._rest.read(size)
        taken, self._head = self._head[:size], self._head[size:]
        return taken


def read_exactly(stream: ByteStream, size: int, before: bytes = b"") -> bytes:
    """Return `before` and `size` bytes more, or fewer at the end of the stream."""
    parts = [before] if before else []
    while size and (part := stream.read(min(size, CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def without_bom(stream: ByteStream, name: str) -> ByteStream:
    """Return the stream of a text, once it is seen not to start with a byte order mark.

    Raises:
        DataError: it does.
    """
    marks = {codecs.BOM_UTF8: "a byte order mark", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
    head = read_exactly(stream, max(map(len, marks)))
    for bom, what in marks.items():
        if head.startswith(bom):
            raise DataError(name, "line 1", f"starts with {what}: expected plain UTF-8, convert it")
    return Pushback(head, stream)
