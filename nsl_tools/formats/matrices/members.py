"""Which array of a file that holds several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping


def chosen_member(path: str, members: Mapping[str, bool], asked: str | None) -> str:
    """Return the name of the array to read.

    Args:
        path: of the file.
        members: names of all arrays, and whether each is a matrix.
        asked: the name that was asked for; None takes the only matrix.

    Raises:
        DataError: there is no such array, or more than one matrix and no name.
    """
    listed = ", ".join(sorted(members)[:8]) or "none"
    if asked is not None:
        for name in (asked, asked.strip("/")):
            if name in members:
                return name
        raise DataError(path, "", f"no array {asked!r}, expected one of: {listed}")
    matrices = [name for name, is_matrix in members.items() if is_matrix]
    if len(matrices) != 1:
        problem = f"{len(matrices)} matrices, expected one, or --array; its arrays: {listed}"
        raise DataError(path, "", problem)
    return matrices[0]
