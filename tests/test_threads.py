"""Workers: results in order, a few ahead, and nothing left behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 5, 50])
def test_results_come_in_order(count: int, items: int) -> None:
    with workers(count) as pools:
        assert pools.count == count
        assert list(pools.ahead(lambda item: item * item, range(items))) == [
            item * item for item in range(items)
        ]


@pytest.mark.parametrize("count", [1, 3])
def test_only_a_few_items_are_taken_ahead(count: int) -> None:
    """So that what was made of them does not fill the memory."""
    taken = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    with workers(count) as pools:
        for done, _ in enumerate(pools.ahead(str, items())):
            assert len(taken) <= done + 1 + count
        assert len(taken) == 20


def test_work_is_done_at_once() -> None:
    """By as many threads as there are; the one pool does not wait for the other."""
    together = threading.Barrier(4)
    with workers(2) as pools:
        products = [pools.products.submit(together.wait, 10) for _ in range(2)]
        assert len(list(pools.ahead(lambda _: together.wait(10), range(2)))) == 2
        assert len({future.result() for future in products}) == 2


def test_a_failure_is_raised_where_its_result_would_be() -> None:
    with workers(2) as pools:
        results = pools.ahead(lambda item: 1 // item, [1, 1, 0, 1])
        assert [next(results), next(results)] == [1, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_work_that_has_not_begun_is_dropped() -> None:
    """At the end, however that comes; no thread is left."""
    begun, going_on = threading.Event(), threading.Event()
    before, done = threading.active_count(), []

    def wait() -> None:
        begun.set()
        going_on.wait(10)

    def run() -> None:
        with workers(1) as pools:
            pools.others.submit(wait)
            for number in range(9):
                pools.others.submit(done.append, number)
            begun.wait(10)
            threading.Timer(0.05, going_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == []
    assert going_on.is_set()
    assert threading.active_count() <= before + 1  # the timer may be about to end
