"""Threads for work that releases Python's global lock: products, and what follows them."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """Two pools of `count` threads each.

    Attributes:
        count: threads of a pool.
        products: the pool for products, whose queue may be long.
        others: the pool for work that must not wait in that queue.
    """

    count: int
    products: Executor
    others: Executor

    def ahead(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield `function` of each item, in order; `others` compute it for a few items ahead."""
        waiting: deque[Future[T]] = deque()
        for item in items:
            waiting.append(self.others.submit(function, item))
            if len(waiting) > self.count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Run threads; work that has not begun is dropped at the end.

    Yields:
        The pools.
    """
    products, others = ThreadPoolExecutor(count), ThreadPoolExecutor(count)
    try:
        yield Workers(count, products, others)
    finally:
        for pool in (products, others):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (products, others):
            pool.shutdown()
