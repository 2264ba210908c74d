"""Files get their names together; what one of them cannot have, the others give back."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nsl_tools.files.publishing import OutputError, Written, publish

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Noted(Written):
    """A file that notes what is done with it."""

    notes: list[str]
    folder: str = "f"
    fails: tuple[str, ...] = ()

    def _do(self, what: str) -> None:
        self.notes.append(f"{what} {self.path}")
        if what in self.fails:
            raise OSError(errno.EIO, "broken")

    def publish(self, undo: list[Callable[[], None]]) -> None:
        """Note it."""
        undo.append(lambda: self._do("restore"))
        self._do("publish")

    @property
    def place(self) -> object:
        """The folder."""
        return self.folder

    def settle(self) -> None:
        """Note it."""
        self._do("settle")


def test_stage_by_stage_each_folder_once() -> None:
    notes: list[str] = []
    names = [("a", "f"), ("b", "g"), ("c", "f")]
    publish([Noted(n, 0, "", notes, f) for n, f in names], [Noted("d", 0, "", notes)])
    assert notes[:3] == ["publish a", "publish b", "publish c"]
    assert sorted(notes[3:5]) == ["settle b", "settle c"]
    assert notes[5:] == ["publish d", "settle d"]


@pytest.mark.parametrize("failing", ["publish", "settle"])
def test_what_fails_is_said_and_all_is_given_back(failing: str) -> None:
    notes: list[str] = []
    files = [
        Noted("a", 0, "", notes, fails=("restore",)),
        Noted("b", 0, "", notes, fails=(failing,)),
    ]
    with pytest.raises(OutputError, match=r"^b: cannot be written: broken$"):
        publish(files, [Noted("c", 0, "", notes)])
    assert notes[-2:] == ["restore b", "restore a"]
    assert "publish c" not in notes
