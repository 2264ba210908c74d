"""Iterating in a background thread, so that the main thread can handle signals.

Python runs signal handlers in the main thread only, and not while it waits inside a library.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

T = TypeVar("T")

_NAME = "nsl-tools background"
_SECONDS_BETWEEN_LOOKS = 0.1  # at whether a signal came, or the other thread ended


class _End:
    """How the iteration ended: normally, or by an exception."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure


class Background(Generic[T]):
    """Items that a background thread makes from now on. Iterate over it once, then close it."""

    def __init__(self, items: Iterable[T], ahead: int = 2) -> None:
        """Let at most `ahead` items wait to be taken, 2 or more, while the next one is made."""
        self._made: queue.Queue[T | _End] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make, args=(items,), name=_NAME, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        """Yield the items; raise the exception that ended them."""
        while not isinstance(item := self._taken(), _End):
            yield item
        if item.failure is not None:
            raise item.failure

    def _taken(self) -> T | _End:
        while True:
            with contextlib.suppress(queue.Empty):
                # With a timeout: a signal that comes just before a wait is handled only after it.
                return self._made.get(timeout=_SECONDS_BETWEEN_LOOKS)

    def close(self) -> None:
        """End the thread, and the iteration, in whichever thread that is."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._made.get_nowait()
        # The thread may hand over one more item, but not two.
        self._made.put_nowait(_End())
        # With a timeout of half a second: the thread may wait for its input.
        self._thread.join(0.5)

    def _make(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
            end = _End()
        except BaseException as err:  # noqa: BLE001 - raised again in the other thread
            end = _End(err)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        """Hand over an item; False if nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self._made.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Full:
                continue
            return True
        return False


def in_background(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield `items`, which a background thread makes, at most a few ahead.

    It begins when the first is asked for. Its exceptions are raised here.
    """
    with contextlib.closing(Background(items)) as made:
        yield from made


def is_waiting() -> bool:
    """Tell whether a background thread still runs: it may wait for input that never comes."""
    return any(thread.name == _NAME for thread in threading.enumerate())
