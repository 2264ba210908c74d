"""Reads a file of a store from any place, some blocks ahead of whoever reads it in order.

A store answers after milliseconds, and sends many answers at once: a few blocks on their way
keep the reader busy. A block that comes damaged, short or not at all is asked for again.
"""

from __future__ import annotations

import errno
import io
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nsl_tools.files.stores.store import state_at, store_errors, store_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from nsl_tools.files.stores.file_state import FileState


class StoredFile(io.RawIOBase):
    """A file of a store, opened for reading.

    Attributes:
        block_bytes: what is asked for at once.
        ahead: blocks that are asked for before they are needed, where the file is read in order.
        attempts: how often a block is asked for at most.
        path: its URL.
    """

    block_bytes = 4 << 20
    ahead = 4
    attempts = 5

    def __init__(self, path: str, size: int) -> None:
        """Open a file that is so long.

        Raises:
            OSError: the store cannot be reached.
        """
        self.path = path
        self._fs, self._name = store_of(path)
        self._size = size
        self._place = 0
        self._last = -1
        self._blocks: dict[int, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(self.ahead, "nsl-tools read")

    def state(self) -> FileState:
        """Return what the store says of the file now.

        Raises:
            OSError: it cannot be looked at.
        """
        return state_at(self.path)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return where reading goes on."""
        return self._place

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        """Go on from another place."""
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}
        self._place = max(0, before[whence] + place)
        return self._place

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer, or a part of it at the end of a block; return how much.

        Raises:
            OSError: the store does not send it.
        """
        out = memoryview(buffer).cast("B")
        if self._place >= self._size or not out:
            return 0
        number, first = divmod(self._place, self.block_bytes)
        data = self._block(number)
        count = min(len(out), len(data) - first)
        out[:count] = memoryview(data)[first : first + count]
        self._place += count
        return count

    def _block(self, number: int) -> bytes:
        in_order = number in (self._last, self._last + 1)
        self._last = number
        last = (self._size - 1) // self.block_bytes
        wanted = range(number, min(last, number + self.ahead * in_order) + 1)
        for each in wanted:
            if each not in self._blocks:
                self._blocks[each] = self._pool.submit(self._fetched, each)
        data = self._blocks[number].result()
        # Of those that nobody asked for now, the newest may be asked for again.
        others = [each for each in self._blocks if each not in wanted]
        for each in others[: -self.ahead]:
            self._blocks.pop(each).cancel()
        return data

    def _fetched(self, number: int) -> bytes:
        first = number * self.block_bytes
        end = min(first + self.block_bytes, self._size)
        for attempt in range(self.attempts):
            last = attempt + 1 == self.attempts
            try:
                with store_errors():
                    data = bytes(self._fs.cat_file(self._name, start=first, end=end))
            except (FileNotFoundError, PermissionError):
                raise
            except OSError:
                if last:
                    raise
            else:
                if len(data) == end - first:
                    return data
                if last:
                    problem = f"bytes {first} to {end} came as {len(data)} bytes"
                    raise OSError(errno.EIO, problem)
            time.sleep(0.1 * 2**attempt)  # seconds: a store that is busy needs some time
        raise AssertionError

    def close(self) -> None:
        """Ask for no more."""
        if not self.closed:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._blocks.clear()
        super().close()


def open_stored(path: str) -> Any:
    """Open a file of a store for reading; one whose parts cannot be asked for, from its start on.

    Raises:
        OSError: it cannot be opened.
    """
    found = state_at(path)
    if found.is_folder:
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if found.is_regular:
        return StoredFile(path, found.size)
    fs, name = store_of(path)
    with store_errors():
        return fs.open(name, "rb", block_size=0)
