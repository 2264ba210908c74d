"""Threads for work that leaves Python's lock: products, and what is made of them."""

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
        products: the pool for products, which may have a long queue.
        others: the pool for what must not wait behind that queue.
    """

    count: int
    products: Executor
    others: Executor

    def ahead(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield `function` of each item, in order, made by `others` a few items ahead."""
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
