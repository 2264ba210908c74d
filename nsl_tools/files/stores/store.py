"""What is at a URL: one file, or all below it.

fsspec knows how to reach each kind of store, and its packages know where credentials are:
none of them pass through here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import stat
from typing import TYPE_CHECKING, Any

from nsl_tools.errors import NslToolsError, UsageError
from nsl_tools.files.stores.file_state import FileState

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_remote(path: str) -> bool:
    """Tell whether a path is a URL."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def store_of(path: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the name that the file has there.

    Raises:
        UsageError: there is no such kind of store, or its package is not installed.
        OSError: it cannot be reached.
    """
    scheme = path.partition("://")[0]
    extra = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}.get(scheme)
    if scheme in ("file", "local"):
        raise UsageError(f"{path}: expected the path of a local file, without {scheme}://")
    try:
        from fsspec.core import url_to_fs  # here, since it is an extra, and slow to import
        from fsspec.registry import get_filesystem_class

        get_filesystem_class(scheme)
    except ImportError as err:
        install = f"pip install 'nsl-tools[{extra or 'stores'}]'"
        problem = f"{path}: {scheme}:// takes a package that is not installed"
        raise UsageError(f"{problem}: {install} ({err})") from err
    except ValueError as err:
        raise UsageError(f"{path}: expected s3, gs, az, hdfs or https, received {scheme}") from err
    with store_errors():
        # What changes meanwhile must be seen.
        fs, name = url_to_fs(path, use_listings_cache=False)
    return fs, name


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever the package of a store raises into an OSError."""
    try:
        yield
    except (OSError, NslToolsError, MemoryError):
        raise
    except Exception as err:  # each package has errors of its own
        text = str(err).strip() or type(err).__name__
        raise OSError(errno.EIO, text.splitlines()[0]) from err


def state_at(path: str) -> FileState:
    """Return the state of what is at a URL.

    Raises:
        OSError: nothing is there, or it cannot be looked at.
    """
    fs, name = store_of(path)
    with store_errors():
        found = fs.info(name)
    # Of a web server that does not send parts of a file, each byte comes once, as of a pipe.
    is_web = path.startswith(("http://", "https://"))
    once = found.get("size") is None or (is_web and found.get("partial") is not True)
    kind = stat.S_IFIFO if once else stat.S_IFREG
    if found["type"] == "directory":
        kind = stat.S_IFDIR
    changing = ("ETag", "etag", "VersionId", "version_id", "generation", "LastModified",
                "last_modified", "Last-Modified", "mtime", "created")  # fmt: skip
    version = repr([found.get(name) for name in changing])
    return FileState(kind, (-1, _number(path)), found.get("size") or 0, (_number(version), 0), 1)


def _number(text: str) -> int:
    """Return a number that is another one for any other text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def files_below(path: str) -> list[str]:
    """Return the URLs of all files below one, sorted."""
    fs, name = store_of(path)
    with store_errors():
        return _urls(path, name, fs.find(name))


def files_like(pattern: str) -> list[str]:
    """Return the URLs that a pattern matches, sorted."""
    fs, name = store_of(pattern)
    with store_errors():
        return _urls(pattern, name, fs.glob(name))


def _urls(path: str, name: str, found: list[str]) -> list[str]:
    before = path.rstrip("/").removesuffix(name.rstrip("/"))
    return sorted(each if "://" in each else before + each for each in found)
