"""What is at a path, in a form that all places have in common."""

from __future__ import annotations

import stat
from dataclasses import dataclass


@dataclass(frozen=True)
class FileState:
    """What the system, or a store, says of a file: equal as long as nobody writes to it.

    Attributes:
        mode: its kind and permissions.
        identity: of the device and of the file on it.
        size: in bytes.
        times: of the last changes of its content, and of that or its names, in nanoseconds;
            of an object in a store, two numbers that are others for each version.
        links: how many names it has.
    """

    mode: int
    identity: tuple[int, int]
    size: int
    times: tuple[int, int]
    links: int

    @property
    def is_regular(self) -> bool:
        """Whether it is a file that holds bytes: no folder, pipe or device."""
        return stat.S_ISREG(self.mode)

    @property
    def is_pipe(self) -> bool:
        """Whether it is a pipe or socket, which gives each byte once."""
        return stat.S_ISFIFO(self.mode) or stat.S_ISSOCK(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)
