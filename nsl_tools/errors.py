"""Every error that a user can cause. This module imports nothing of the package.

Messages have one grammar: where (file, record or line), what was expected, what was found,
what to do. Only `cli` turns errors into exit codes.
"""

import re


class NslToolsError(Exception):
    """Base of all expected failures: shown as one line, exit code 1."""


class UsageError(NslToolsError):
    """The command line or an option is wrong: exit code 2."""


class DataError(NslToolsError):
    """An input is wrong at a known place.

    Attributes:
        source: name of the file, `<stdin>` for standard input.
        place: where in the file, such as `record 3 at byte 120` or `line 7`.
        number: of the record, from 0, or of the line, from 1, if it is at one.
        offset: byte where that starts, in the decompressed file.
    """

    def __init__(
        self,
        source: str,
        place: str,
        problem: str,
        number: int | None = None,
        offset: int | None = None,
    ) -> None:
        self.source = source
        self.place = place
        self.number = number
        self.offset = offset
        where = f"{source}: {place}" if place else source
        super().__init__(printable(f"{where}: {problem}"))


def without_secrets(text: str) -> str:
    """Return `text` with `***` for passwords in URLs, and for what signs those of web servers."""
    text = re.sub(r"://[^/\s@:\"']+:[^/\s@\"']*@", "://***@", text)
    return re.sub(r"(https?://[^\s?\"']*\?)[^\s\"')]+?(?=:?(?:[\s\"')]|$))", r"\1***", text)


def printable(text: str) -> str:
    """Return `text` on one line, with control characters escaped and no secrets of URLs."""
    return visible(without_secrets(text) if "://" in text else text)


def visible(text: str) -> str:
    r"""Return `text` with what cannot be seen, or acts on others, as Python writes it: `\x00`."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
