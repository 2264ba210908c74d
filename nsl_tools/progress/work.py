"""Work that is counted by those who do it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized

S = TypeVar("S", bound="Sized")


class Work:
    """Work that is counted, a batch at a time, by any thread.

    Attributes:
        total: how much there is as far as that is known; 0 if it is not.
        waiting: how many threads can do nothing until more of it is done; None if that never was.
    """

    def __init__(self, total: int = 0) -> None:
        self.total, self._done = total, 0
        self.waiting: int | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Work], tuple[int]]:
        """Let another process count anew."""
        return Work, (self.total,)

    @property
    def done(self) -> int:
        """How much is done."""
        return self._done

    def expect(self, count: int) -> None:
        """Tell that there is so much more to do."""
        with self._lock:
            self.total += count

    def add(self, count: int) -> None:
        """Tell that so much more is done."""
        with self._lock:
            self._done += count

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Tell that this thread waits meanwhile for more of the work: what it does itself rests."""
        with self._lock:
            self.waiting = (self.waiting or 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self.waiting -= 1

    def counted(self, items: Iterable[S]) -> Iterator[S]:
        """Yield `items`; each is as much work as its length, done once the next is asked for."""
        for item in items:
            yield item
            self.add(len(item))
