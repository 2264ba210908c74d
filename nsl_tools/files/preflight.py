"""Checks before the work: whether outputs can be written, and whether there is space for them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections import Counter
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError, printable
from nsl_tools.files.filesystem import exists, is_folder, state_of
from nsl_tools.files.outputs import check_stream, is_stream
from nsl_tools.files.own_files import destination
from nsl_tools.files.paths import STANDARD_STREAM
from nsl_tools.files.publishing import OutputError, os_errors_as_output_errors
from nsl_tools.files.shards.manifest import is_manifest
from nsl_tools.files.stores.store import is_remote
from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Refuse, before any work, outputs that cannot be written or that are an input.

    Raises:
        OutputError: a folder does not exist or cannot be written, or the output is a folder,
            or a file that may not be replaced.
        UsageError: an output has no name, or is the same file as an input or another output.
    """
    known = {_identity(path): path for path in inputs if path != STANDARD_STREAM}
    others: dict[object, str] = {}
    for path in outputs:
        if path == STANDARD_STREAM and sys.stdout is None:
            raise OutputError("<stdout>: cannot be written: it is closed")
        if is_stream(path) and not is_folder(path):
            check_stream(path)
            continue
        check_place(path)
        if same := known.get(_identity(path)):
            raise UsageError(printable(f"{path}: the output is also an input ({same})"))
        for identity in (_identity(path), os.path.realpath(path)):
            if (same := others.setdefault(identity, path)) != path:
                raise UsageError(printable(f"{path}: the output is also another one ({same})"))


def check_report(path: str, others: Iterable[str]) -> None:
    """Refuse a report that is no file, or one of the `others`: the inputs and outputs.

    Raises:
        OutputError: as for outputs.
        UsageError: it is a stream, a manifest, or one of the others.
    """
    if path == STANDARD_STREAM or (is_stream(path) and not is_folder(path)):
        raise UsageError(f"--report: expected the name of a file, received {path}")
    known = {_identity(name): name for name in others}
    if same := known.get(_identity(path)):
        raise UsageError(printable(f"{path}: the report is also an input or output ({same})"))
    if is_manifest(path):
        raise UsageError(printable(f"{path}: the report has the name of a manifest of shards"))
    check_place(path)


def check_place(path: str) -> None:
    """Refuse the name of a file that cannot be made or replaced.

    Raises:
        OutputError: it cannot. UsageError: it is no name.
    """
    if not path:
        raise UsageError("expected the name of the output, received an empty one")
    if is_remote(path):
        check_place_in_store(path)
        return
    try:
        folder = os.path.dirname(destination(path))
    except FileNotFoundError:
        raise OutputError(printable(f"{path}: the working folder was removed")) from None
    except OSError as err:
        raise OutputError(printable(f"{path}: cannot be written: {err.strerror}")) from err
    if is_folder(path) or os.path.basename(path) in ("", ".", ".."):
        raise OutputError(printable(f"{path}: is a folder, expected a file name"))
    if not is_folder(folder):
        raise OutputError(printable(f"{path}: there is no folder {folder}"))
    _check_folder(path, folder)
    with os_errors_as_output_errors(path), contextlib.suppress(FileNotFoundError):
        _check_replaceable(path, os.stat(path), os.stat(folder))


def check_place_in_store(path: str) -> None:
    """Refuse a URL where nothing can be written.

    Raises:
        OutputError: the store refuses, or there is no such bucket. UsageError: it is no name.
    """
    scheme, _, name = path.partition("://")
    if scheme in ("http", "https"):
        raise UsageError(f"{path}: expected a store that takes files, received a web server")
    if not name.partition("/")[2] or name.endswith("/"):
        raise OutputError(printable(f"{path}: is a folder, expected a file name"))
    with os_errors_as_output_errors(path):
        bucket = f"{scheme}://{name.partition('/')[0]}"
        if scheme in ("s3", "gs") and not exists(bucket):
            raise OutputError(printable(f"{path}: there is no bucket {bucket}"))


def _check_folder(path: str, folder: str) -> None:
    if not _is_accessible(folder, os.W_OK | os.X_OK):
        raise OutputError(printable(f"{path}: the folder {folder} is not writable"))
    if not _is_accessible(folder, os.R_OK):
        needed = "which it takes to sync it, and to remove what killed runs leave"
        raise OutputError(printable(f"{path}: the folder {folder} cannot be listed, {needed}"))


def _is_accessible(folder: str, mode: int) -> bool:
    # Of the effective user: a program may run with the rights of another user than started it.
    return os.access(folder, mode, effective_ids=os.access in os.supports_effective_ids)


def _check_replaceable(path: str, found: os.stat_result, folder: os.stat_result) -> None:
    user = os.geteuid()
    if folder.st_mode & stat.S_ISVTX and user not in (0, found.st_uid, folder.st_uid):
        raise OutputError(printable(
            f"{path}: belongs to user {found.st_uid}, who alone may replace it in this folder "
            "(its sticky bit is set): choose another name"
        ))  # fmt: skip


def _folder(path: str) -> str:
    return os.path.dirname(os.path.realpath(path))


def _identity(path: str) -> object:
    try:
        return state_of(path).identity
    except OSError:
        with contextlib.suppress(OSError):
            return os.path.realpath(path)
        return path


def check_space(outputs: Iterable[str], least: int) -> None:
    """Refuse outputs that cannot fit: all together, they have at least `least` bytes.

    An old output keeps its space until the new one is complete. Files of a set
    are about equal in size. A store has space.

    Raises:
        OutputError: a file system has less space.
    """
    files = [path for path in outputs if not is_stream(path) and not is_remote(path)]
    for folder, count in Counter(map(_folder, files)).items():
        path = next(path for path in files if _folder(path) == folder)
        with os_errors_as_output_errors(path):
            found = os.statvfs(folder)
        needed, free = max(1, least * count // len(files)), found.f_bavail * found.f_frsize
        # A file system without a count of blocks says nothing about space.
        if found.f_blocks and free < needed:
            raise OutputError(printable(
                f"{path}: cannot be written: expected at least {shown_size(needed)} of free space "
                f"in {folder}, found {shown_size(free)}: make room, or name another folder"
            ))  # fmt: skip
