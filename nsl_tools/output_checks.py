"""What is known of outputs before the work: whether they can be written, and will have space."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError, printable
from nsl_tools.manifest import is_manifest
from nsl_tools.memory import shown_size
from nsl_tools.output import OutputError, is_stream, os_errors_as_output_errors
from nsl_tools.shards import STANDARD_STREAM

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Refuse, before any work, outputs that cannot be written or that are an input.

    Raises:
        OutputError: a folder does not exist or is not writable, or the output is a folder.
        UsageError: an output is the same file as an input.
    """
    known = {_identity(path): path for path in inputs if path != STANDARD_STREAM}
    for path in outputs:
        if path == STANDARD_STREAM and sys.stdout is None:
            raise OutputError("<stdout>: cannot be written: it is closed")
        if is_stream(path) and not os.path.isdir(path):
            continue
        _check_place(path)
        if same := known.get(_identity(path)):
            raise UsageError(printable(f"{path}: the output is also an input ({same})"))


def check_report(path: str, others: Iterable[str]) -> None:
    """Refuse a report that is no file, or one of the `others`: the inputs and outputs.

    Raises:
        OutputError: its folder does not exist or is not writable, or it is a folder.
        UsageError: it is a stream, a manifest, or one of the others.
    """
    if path == STANDARD_STREAM or (is_stream(path) and not os.path.isdir(path)):
        raise UsageError(f"--report: expected the name of a file, received {path}")
    known = {_identity(name): name for name in others}
    if same := known.get(_identity(path)):
        raise UsageError(printable(f"{path}: the report is also an input or output ({same})"))
    if is_manifest(path):
        raise UsageError(printable(f"{path}: the report has the name of a manifest of shards"))
    _check_place(path)


def _check_place(path: str) -> None:
    folder = _folder(path)
    if os.path.isdir(path):
        raise OutputError(printable(f"{path}: is a folder, expected a file name"))
    if not os.path.isdir(folder):
        raise OutputError(printable(f"{path}: there is no folder {folder}"))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(printable(f"{path}: the folder {folder} is not writable"))


def _folder(path: str) -> str:
    return os.path.dirname(os.path.realpath(path))


def _identity(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_space(outputs: Iterable[str], least: int) -> None:
    """Refuse outputs that will surely not fit: of `least` bytes or more, all together.

    An old output keeps its space until the new one is complete. Files of a set
    are about equal in size.

    Raises:
        OutputError: a file system has less space.
    """
    files = [path for path in outputs if not is_stream(path)]
    for folder, count in Counter(map(_folder, files)).items():
        path = next(path for path in files if _folder(path) == folder)
        with os_errors_as_output_errors(path):
            found = os.statvfs(folder)
        needed, free = max(1, least * count // len(files)), found.f_bavail * found.f_frsize
        # A file system that counts no blocks tells nothing.
        if found.f_blocks and free < needed:
            raise OutputError(printable(
                f"{path}: cannot be written: expected at least {shown_size(needed)} of free space "
                f"in {folder}, found {shown_size(free)}: make room, or name another folder"
            ))  # fmt: skip
