"""`nsl_tools.background`: the same items, exceptions and laziness as iterating here."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from nsl_tools.background import Background, in_background, is_waiting

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_items_come_in_order() -> None:
    assert list(in_background(range(1000))) == list(range(1000))
    assert list(in_background([])) == []


def test_an_exception_is_raised_where_the_items_are_taken() -> None:
    """After the items before it."""

    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("made")

    taken = in_background(failing())
    assert next(taken) == 1
    with pytest.raises(KeyError, match="made"):
        next(taken)


def test_few_items_are_made_ahead_and_none_after_the_end() -> None:
    """What is not taken is not made, and closing ends the thread."""
    made = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    taken = in_background(endless())
    assert next(taken) == 0
    taken.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "nsl-tools background":
            thread.join(timeout=60)
    assert not is_waiting()
    assert len(made) < 6


def test_a_thread_that_waits_is_noticed() -> None:
    """Until it has its input."""
    given = threading.Event()

    def waiting() -> Iterator[int]:
        given.wait(60)
        yield 1

    taken = in_background(waiting())
    starter = threading.Timer(0.05, given.set)
    starter.start()
    assert next(taken) == 1
    assert list(taken) == []
    while is_waiting():
        time.sleep(0.01)


def test_making_begins_at_once_and_closing_ends_whoever_waits() -> None:
    """Also a thread that waits for items which will not come."""
    begun, given = threading.Event(), threading.Event()

    def waiting() -> Iterator[int]:
        begun.set()
        given.wait(60)
        yield 1

    source = Background(waiting())
    assert begun.wait(60)
    second = Background(source)
    source.close()
    assert list(second) == []
    given.set()


def test_closing_leaves_nothing_made_behind() -> None:
    source = Background(range(100))
    source.close()
    assert list(source) == []
