"""Work: counts that any thread may add to."""

from __future__ import annotations

import pickle
import threading
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.progress import Work


def test_no_count_of_any_thread_is_lost() -> None:
    work = Work()

    def count() -> None:
        for number in range(5000):
            work.add(number % 3)
            work.expect(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (work.done, work.total) == (8 * sum(number % 3 for number in range(5000)), 40_000)


@given(st.lists(st.lists(st.integers(), max_size=5), max_size=8), st.integers(0, 10))
def test_items_are_counted_once_they_are_used(items: list[list[int]], taken: int) -> None:
    """That is when the next is asked for; none is taken before."""
    work, left = Work(), iter(items)
    found = work.counted(left)
    for number, item in enumerate(islice(found, taken)):
        assert item is items[number]
        assert work.done == sum(map(len, items[:number]))
    assert list(left) == items[taken:]


def test_another_process_counts_anew() -> None:
    work = Work(3)
    work.add(2)
    other = pickle.loads(pickle.dumps(work))  # noqa: S301 - its own
    other.add(1)
    assert (other.total, other.done, work.done) == (3, 1, 2)


def test_whoever_waits_says_so() -> None:
    """Even where it waits in vain."""
    work = Work(3)
    assert work.waiting is None
    with work.awaited():
        with work.awaited():
            assert work.waiting == 2
        assert work.waiting == 1
    with pytest.raises(RuntimeError), work.awaited():
        raise RuntimeError
    assert work.waiting == 0
