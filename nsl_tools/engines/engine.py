"""What runs tasks: functions of arrays and of files that all machines see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Task = TypeVar("Task")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs tasks, each once or, where an attempt fails or is slow, again.

    Attributes:
        name: of the engine, for messages.
    """

    name: str

    @property
    def slots(self) -> int:
        """How many tasks run at a time."""

    def run(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], what: str
    ) -> list[Result]:
        """Return what a function of a module returns for each task, in order.

        Tasks and results are small: they travel by way of the driver.

        Args:
            function: called on any machine; it may be called again for the same task.
            tasks: what to call it with.
            what: the tasks do, for people.

        Raises:
            EngineError: a task failed again and again.
        """
