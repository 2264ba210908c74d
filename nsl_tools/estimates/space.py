"""Whether what a run would write has space, on disks that scratch files and outputs may share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.files.filesystem import state_of
from nsl_tools.files.outputs import is_stream
from nsl_tools.files.preflight import check_space
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.stores.store import is_remote
from nsl_tools.progress import Progress
from nsl_tools.spill.scratch import ScratchError, claim_space, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterable


def disk_seconds(size: float, making: float) -> float:
    """Return by how much a disk takes longer for some output than it takes to make it.

    Nothing is written to try it. The disk writes while more is made.

    Args:
        size: bytes of the output.
        making: seconds that it takes to make it.
    """
    rate = 5e8  # bytes a second, of a common disk
    return max(0.0, size / rate - making)


def space_problems(outputs: Iterable[str], output_bytes: float, scratch_bytes: float) -> list[str]:
    """Return what is said of space that is missing, a line each, as the run itself would.

    Args:
        outputs: the files to write.
        output_bytes: what they take together.
        scratch_bytes: what is in scratch files at once, at most.
    """
    problems, shared = [], 0.0
    files = [path for path in outputs if not is_remote(path) and not is_stream(path)]
    if scratch_bytes:
        try:
            claim_space(int(scratch_bytes), "", Progress())
            device = state_of(scratch_folder()).identity[0]
            folders = {os.path.dirname(path) or "." for path in files}
            if any(state_of(folder).identity[0] == device for folder in folders):
                shared = scratch_bytes
        except ScratchError as err:
            problems.append(str(err))
    try:
        check_space(files, int(output_bytes + shared))
    except OutputError as err:
        problems.append(str(err))
    return problems
