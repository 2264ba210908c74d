"""Reads a file of a store from any place, ahead of whoever reads it in order.

A store answers after milliseconds, and sends many answers at once: a few on their way keep the
reader busy. What comes damaged, short or not at all is asked for again.
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
        page_bytes: what is asked for at least, and at a new place.
        most_pages: what is asked for at once where the file is read in order: each time twice as
            much as before, up to this.
        attempts: how often pages are asked for at most.
        path: its URL.
    """

    page_bytes = 2 << 20
    most_pages = 4
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
        self._pages = range(-1, -1)  # none
        self._answers: dict[range, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(3, "nsl-tools read")

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
        """Fill a buffer, or a part of it at the end of a page; return how much.

        Raises:
            OSError: the store does not send it.
        """
        out = memoryview(buffer).cast("B")
        data = self._some(len(out))
        out[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, or all that follow; fewer at the end of a page.

        Raises:
            OSError: the store does not send them.
        """
        return self.readall() if size < 0 else bytes(self._some(size))

    def _some(self, size: int) -> memoryview:
        if self._place >= self._size or not size:
            return memoryview(b"")
        number, first = divmod(self._place, self.page_bytes)
        data = self._page(number)[first : first + size]
        self._place += len(data)
        return data

    def _page(self, number: int) -> memoryview:
        if number not in self._pages:
            self._look_at(number)
        first = (number - self._pages.start) * self.page_bytes
        return memoryview(self._answers[self._pages].result())[first : first + self.page_bytes]

    def _look_at(self, number: int) -> None:
        """Ask for a page, unless that was done, and for what comes after it in a file in order."""
        in_order = number == self._pages.stop
        self._pages = next((pages for pages in self._answers if number in pages), range(0))
        if not self._pages:
            self._pages = self._ask(number, 1)
        # Of what was asked for, only what comes after it will be needed.
        for pages in [pages for pages in self._answers if pages.start < number]:
            if pages != self._pages:
                self._answers.pop(pages).cancel()
        after = max(self._answers, key=lambda pages: pages.stop)
        while in_order and after and len(self._answers) < 3:  # noqa: PLR2004 - threads
            after = self._ask(after.stop, min(self.most_pages, 2 * len(after)))

    def _ask(self, number: int, count: int) -> range:
        all_pages = -(-self._size // self.page_bytes)
        if pages := range(number, min(all_pages, number + count)):
            self._answers[pages] = self._pool.submit(self._fetched, pages)
        return pages

    def _fetched(self, pages: range) -> bytes:
        first = pages.start * self.page_bytes
        end = min(pages.stop * self.page_bytes, self._size)
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
            self._answers.clear()
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
