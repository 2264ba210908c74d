"""Apache Spark as an engine. It takes `pyspark`, and Java.

Spark distributes tasks, tries them again, and tells where it is. What tasks say to each other is
in files: nothing large goes through the driver, or through Python objects.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from nsl_tools import __version__
from nsl_tools.errors import NslToolsError, UsageError, printable
from nsl_tools.progress import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.options import EngineOptions

Task = TypeVar("Task")
Result = TypeVar("Result")


class EngineError(NslToolsError):
    """The engine cannot be started, or a task failed again and again."""


class SparkEngine:
    """Runs tasks in a Spark session, which starts with the first ones.

    Args:
        session: a `pyspark.sql.SparkSession`, or None for the one that is active, or its own.
        master: URL of the master for its own session; None for what Spark is configured for, as
            by `spark-submit`.
        progress: how to report progress.

    Raises:
        UsageError: PySpark is not installed.
    """

    name = "spark"

    def __init__(
        self,
        session: Any = None,
        master: str | None = None,
        progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    ) -> None:
        self._progress = progress
        self._sessions: Any = None if session else _session_class()
        self._given, self._master = session, master
        self._own: Any = None

    @cached_property
    def session(self) -> Any:
        """The session.

        Raises:
            EngineError: it cannot be started.
        """
        return self._given or self._sessions.getActiveSession() or self._started()

    def _started(self) -> Any:
        # Executors would take the first `python3` that they find.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = self._sessions.builder.appName("nsl-tools")
        # Its bar would be written over what this program says.
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        try:
            self._own = (builder.master(self._master) if self._master else builder).getOrCreate()
        except Exception as err:
            raise EngineError(printable(f"spark: cannot be started: {_reason(err)}")) from err
        return self._own

    @property
    def slots(self) -> int:
        """How many tasks run at a time.

        Raises:
            EngineError: a session cannot be started.
        """
        return int(self.session.sparkContext.defaultParallelism)

    def stop(self) -> None:
        """End its own session, if it has one."""
        if self._own is not None:
            self._own.stop()

    def run(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], what: str
    ) -> list[Result]:
        """Return what a function of a module returns for each task, in order.

        Raises:
            EngineError: a task failed as often as Spark tries one.
        """
        if not tasks:
            return []
        context = self.session.sparkContext
        context.setJobDescription(f"nsl-tools: {what}")
        try:
            distributed = context.parallelize(tasks, len(tasks))
            finished = context.accumulator(0)
            with self._progress.phase(what, _Finished(len(tasks), finished), "tasks"):
                return list(distributed.map(_Guarded(function, finished)).collect())
        except Exception as err:
            raise EngineError(printable(f"spark, {what}: {_reason(err)}")) from err
        finally:
            context.setJobDescription(None)


class _Guarded:
    """A function that looks first whether its machine has the same version of this package.

    Its calls that return are counted by `finished`, an accumulator.
    """

    def __init__(self, function: Callable[[Any], Any], finished: Any) -> None:
        self._function, self._version, self._finished = function, __version__, finished

    def __call__(self, task: Any) -> Any:
        if __version__ != self._version:
            problem = f"nsl-tools {__version__} on an executor, {self._version} on the driver"
            raise EngineError(problem)
        found = self._function(task)
        self._finished.add(1)
        return found


class _Finished(Work):
    """Tasks, whose ends are counted by an accumulator of Spark."""

    def __init__(self, total: int, finished: Any) -> None:
        super().__init__(total)
        self._finished = finished

    @property
    def done(self) -> int:
        """How many have ended, those counted that were tried again."""
        return int(self._finished.value)


def _reason(error: Exception) -> str:
    """Return the one line that matters of what Spark says: what Python raised, or else its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception|Exit)\b: ", line)]
    own = [line for line in raised if line.startswith("nsl_tools.")]
    line = (own or raised or lines or [type(error).__name__])[-1 if own or raised else 0]
    return re.sub(r"^(\w+\.)+(\w+: )?", "", line) if own else line


@contextlib.contextmanager
def engine_of(
    options: EngineOptions,
    session: Any = None,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> Iterator[SparkEngine | None]:
    """Use the engine that `options` name; None for this process.

    Args:
        options: of the run.
        session: a `pyspark.sql.SparkSession` of the caller, or None.
        progress: how to report progress.

    Raises:
        UsageError: PySpark is not installed.
    """
    if options.engine == "local":
        yield None
        return
    engine = SparkEngine(session, options.spark_master, progress)
    try:
        yield engine
    finally:
        engine.stop()


def _session_class() -> Any:
    try:
        with warnings.catch_warnings():
            # It warns of versions of pandas, which is not used here.
            warnings.simplefilter("ignore", FutureWarning)
            from pyspark.sql import SparkSession
    except ModuleNotFoundError as err:
        problem = f"--engine spark: takes {err.name}, which is not installed"
        raise UsageError(f"{problem}: pip install 'nsl-tools[spark]'") from err
    return SparkSession
