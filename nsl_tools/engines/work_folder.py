"""A folder in which the tasks of one run leave files for each other: all machines see it.

It is a staging directory beside the output, so that what a killed run leaves is removed by the
next one. A file is known by the name that its writer returns: an attempt that failed, or came
second, has written another one, which nobody reads.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.errors import NslToolsError, UsageError, printable
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.staging import StagingDirectory, new_name
from nsl_tools.files.stores.store import is_remote
from nsl_tools.spill.scratch import read_spans

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator
    from typing import IO

    from nsl_tools.options import EngineOptions


class WorkError(NslToolsError):
    """The folder, or a file in it, cannot be used."""


@dataclass(frozen=True)
class WorkFile:
    """A file of numbers in a work folder, complete.

    Attributes:
        path: where it is.
        size: its bytes.
    """

    path: str
    size: int

    def fill(self, array: npt.NDArray[Any], spans: Iterable[tuple[int, int]]) -> None:
        """Fill an array, C order, with spans of the file, end to end.

        Args:
            array: as long as all spans together.
            spans: first row of the array's shape, and how many.

        Raises:
            WorkError: it cannot be read, or is not as long as it was.
        """
        row = array.itemsize * math.prod(array.shape[1:])
        with _errors(self.path), open(self.path, "rb", buffering=0) as file:
            self._check(file)
            read_spans(file.fileno(), _bytes(array), ((row * i, row * count) for i, count in spans))

    def mapped(self, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the array that the whole file is, read where it is touched.

        Raises:
            WorkError: it cannot be read, or is not as long as it was.
        """
        if not self.size:
            return np.empty(shape, kind)
        with _errors(self.path), open(self.path, "rb", buffering=0) as file:
            self._check(file)
            return np.asarray(np.memmap(file, kind, "r", shape=shape))

    def _check(self, file: IO[bytes]) -> None:
        found = os.fstat(file.fileno()).st_size
        if found != self.size:
            raise OSError(f"{found:,} bytes long, expected {self.size:,}")


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def write_work(folder: str, name: str, parts: Iterable[npt.NDArray[Any]]) -> WorkFile:
    """Write arrays to a file of a name that begins so, and return it once it is complete.

    Raises:
        WorkError: it cannot be written.
    """
    path = os.path.join(folder, new_name(name))
    size = 0
    try:
        with _errors(path), open(path, "xb", buffering=0) as file:
            for part in parts:
                left = _bytes(np.ascontiguousarray(part))
                size += len(left)
                while left:
                    left = left[file.write(left) :]
            # A worker's disk may refuse only now what it took.
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return WorkFile(path, size)


@contextlib.contextmanager
def work_folder_of(output: str, options: EngineOptions, warnings: Counter[str]) -> Iterator[str]:
    """Make the work folder of a run, in the folder of its output if `options` name no other.

    Yields:
        Its path; empty if the run has one machine, and needs none.

    Raises:
        UsageError: the output is in no folder that all machines can see. WorkError: it cannot be
            made.
    """
    if options.engine == "local":
        yield ""
        return
    if options.work_dir is None and (output == STANDARD_STREAM or is_remote(output)):
        raise UsageError(
            "--work-dir: expected a folder that all machines see, since the output is in none"
        )
    with work_folder(options.work_dir or os.path.dirname(output) or ".", warnings) as folder:
        yield folder


@contextlib.contextmanager
def work_folder(beside: str, warnings: Counter[str]) -> Iterator[str]:
    """Make a work folder in the folder `beside`, and remove it with all it holds at the end.

    What others put there is left alone, and counted in `warnings`.

    Raises:
        WorkError: it cannot be made.
    """
    staging = StagingDirectory(os.path.realpath(beside), warnings)
    with _errors(beside):
        staging.create()
    try:
        yield staging.path
    finally:
        staging.remove()


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        remedy = "name a folder that all machines see, with enough space, by --work-dir"
        raise WorkError(printable(f"{path}: {err.strerror or err}: {remedy}")) from err
