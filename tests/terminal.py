"""A terminal of some columns, by a pty, and what is to be seen on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal:
    """What programs wrote to a terminal.

    Attributes:
        stream: to write to it.
        columns: how many it has.
    """

    def __init__(self, stream: TextIO, columns: int) -> None:
        self.stream, self.columns = stream, columns
        self.written = b""

    @property
    def drawn(self) -> list[str]:
        """What was drawn, each time from the first column on, without what is blank."""
        text = self.written.decode().replace("\r\n", "\n")
        return [part.rstrip() for part in text.replace("\n", "\r").split("\r") if part.strip()]

    @property
    def screen(self) -> list[str]:
        """The lines that are to be seen at the end; what is too wide goes on in the next one.

        Raises:
            AssertionError: the cursor is not at the start of an empty one.
        """
        lines, line, column = [], "", 0
        for char in self.written.decode().replace("\r\n", "\n"):
            if char in "\r\n":
                column = 0
                if char == "\n":
                    lines.append(line.rstrip())
                    line = ""
            else:
                line = f"{line:<{column}}"[:column] + char + line[column + 1 :]
                column += 1
                if column == self.columns:
                    lines.append(line)
                    line, column = "", 0
        assert (line.strip(), column) == ("", 0)
        return lines


@contextlib.contextmanager
def terminal(columns: int, encoding: str = "utf-8") -> Iterator[Terminal]:
    """Make a terminal; what it shows is complete once it is closed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    stream = os.fdopen(theirs, "w", encoding=encoding)
    found = Terminal(stream, columns)

    def read() -> None:
        # Linux says EIO once nobody has the other end.
        with contextlib.suppress(OSError):
            while data := os.read(ours, 1 << 16):
                found.written += data

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield found
    finally:
        stream.close()
        reader.join()
        os.close(ours)
