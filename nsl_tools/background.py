"""Iterating in a background thread, so that the main thread stays open to signals.

Python runs signal handlers in the main thread only, and not while that waits
inside a library.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")

_NAME = "nsl-tools background"
_AHEAD = 2
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 0.5


class _End:
    """How the iteration ended: normally, or by an exception."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure


def in_background(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield `items`, which a background thread makes, at most a few ahead.

    Its exceptions are raised here.
    """
    made: queue.Queue[T | _End] = queue.Queue(_AHEAD)
    stopped = threading.Event()
    thread = threading.Thread(target=_make, args=(items, made, stopped), name=_NAME, daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.failure is not None:
            raise item.failure
    finally:
        stopped.set()
        # Not for ever: it may wait for its input.
        thread.join(_SECONDS_TO_END)


def is_waiting() -> bool:
    """Tell whether a background thread still runs: it may wait for its input for ever."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _make(items: Iterable[T], made: queue.Queue[T | _End], stopped: threading.Event) -> None:
    try:
        for item in items:
            if not _put(item, made, stopped):
                return
        end = _End()
    except BaseException as err:  # noqa: BLE001 - raised again in the other thread
        end = _End(err)
    _put(end, made, stopped)


def _put(item: T | _End, made: queue.Queue[T | _End], stopped: threading.Event) -> bool:
    """Hand over an item; False if nobody wants it any more."""
    while not stopped.is_set():
        try:
            made.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Full:
            continue
        return True
    return False
