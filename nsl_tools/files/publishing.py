"""Complete files get their final names: those of one run together, as far as places allow.

A file in a staging directory is renamed, and the folder synced; if that fails, what was already
renamed is renamed back. A file of a store is an object once its upload is told to be complete.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.errors import NslToolsError, printable
from nsl_tools.files.paths import STANDARD_STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.files.staging import StagingDirectory
    from nsl_tools.files.stores.upload import Upload


class OutputError(NslToolsError):
    """An output cannot be written."""


@dataclass(frozen=True)
class Written(ABC):
    """A complete file that does not have its final name yet.

    Attributes:
        path: as it was asked for.
        bytes: its size.
        crc32c: of its bytes, in hexadecimal.
    """

    path: str
    bytes: int
    crc32c: str

    @abstractmethod
    def publish(self, undo: list[Callable[[], None]]) -> None:
        """Give it its final name.

        Args:
            undo: gets what brings back the file that had the name, if there is such a thing.

        Raises:
            OSError: it cannot be done.
        """

    @property
    @abstractmethod
    def place(self) -> object:
        """What one file of it settles for all of them: a folder."""

    @abstractmethod
    def settle(self) -> None:
        """Make the names in its place durable.

        Raises:
            OSError: it cannot be done.
        """


@dataclass(frozen=True)
class Staged(Written):
    """A file in a staging directory.

    Attributes:
        final: the path with symbolic links followed.
        staging: where it is.
        temporary: its name there.
    """

    final: str
    staging: StagingDirectory
    temporary: str

    def publish(self, undo: list[Callable[[], None]]) -> None:
        """Rename it."""
        undo.append(_restorer(self))
        _rename(self)

    @property
    def place(self) -> object:
        """The staging directory of its folder."""
        return self.staging

    def settle(self) -> None:
        """Sync the folder."""
        os.fsync(self.staging.outer)


@dataclass(frozen=True)
class Uploaded(Written):
    """A file in a store, whose parts are there.

    Attributes:
        upload: what it came by.
    """

    upload: Upload

    def publish(self, undo: list[Callable[[], None]]) -> None:
        """Make an object of the parts; the one before is lost."""
        del undo
        self.upload.commit()

    @property
    def place(self) -> object:
        """The store."""
        return None

    def settle(self) -> None:
        """Do nothing: what a store has confirmed is durable."""


def publish(*stages: Sequence[Written]) -> None:
    """Rename complete files to their final names, stage by stage, each durable: all or none.

    Raises:
        OutputError: a file could not be renamed, or a folder not be synced.
    """
    undo: list[Callable[[], None]] = []
    try:
        for stage in stages:
            for file in stage:
                with os_errors_as_output_errors(file.path):
                    file.publish(undo)
            for last in {file.place: file for file in stage}.values():
                with os_errors_as_output_errors(last.path):
                    last.settle()
    except BaseException:
        for restore in reversed(undo):
            with contextlib.suppress(OSError):
                restore()
        raise


def _rename(file: Staged) -> None:
    inner, outer = file.staging.inner, file.staging.outer
    os.replace(file.temporary, _name_of(file), src_dir_fd=inner, dst_dir_fd=outer)


def _restorer(file: Staged) -> Callable[[], None]:
    """Return a function that brings back the files of the final and the temporary name."""
    inner, outer = file.staging.inner, file.staging.outer
    final, backup = _name_of(file), f"{file.temporary}.old"
    try:
        os.link(final, backup, src_dir_fd=outer, dst_dir_fd=inner, follow_symlinks=False)
    except FileNotFoundError:
        return lambda: os.replace(final, file.temporary, src_dir_fd=outer, dst_dir_fd=inner)
    except OSError:
        # A file system without hard links: what is renamed stays renamed.
        return lambda: None

    def restore() -> None:
        with contextlib.suppress(OSError):
            os.link(
                final, file.temporary, src_dir_fd=outer, dst_dir_fd=inner, follow_symlinks=False
            )
        os.replace(backup, final, src_dir_fd=inner, dst_dir_fd=outer)

    return restore


def _name_of(file: Staged) -> str:
    return os.path.basename(file.final)


@contextlib.contextmanager
def os_errors_as_output_errors(path: str) -> Iterator[None]:
    """Turn an OSError, but for a broken pipe, into an OutputError that names `path`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as err:
        name = "<stdout>" if path == STANDARD_STREAM else path
        problem = f"{name}: cannot be written: {err.strerror or err}"
        raise OutputError(printable(problem)) from err
