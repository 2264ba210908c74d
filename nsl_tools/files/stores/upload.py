"""Writes a file of a store: nobody sees it before it is complete, nor any part of it.

An object store takes the parts of an upload, and makes an object of them when it is told to.
What has no such thing, as HDFS, is written under another name, and renamed.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from nsl_tools.files.stores.store import store_errors, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class Upload:
    """A file on its way to a store.

    Attributes:
        part_bytes: of one part. A store takes 10,000, so that a file may have 160 GB.
        path: its URL.
    """

    part_bytes = 16 << 20

    def __init__(self, path: str) -> None:
        """Begin to write a file.

        Raises:
            OSError: the store cannot be reached.
        """
        from fsspec.implementations.arrow import ArrowFSWrapper

        self.path = path
        self._fs, self._name = store_of(path)
        self._is_done = False
        self._renamed = isinstance(self._fs, ArrowFSWrapper)  # HDFS
        folder, base = os.path.split(self._name)
        aside = f"{folder}/.{base}.{os.urandom(8).hex()}.nsl-tools.tmp"
        self._written = aside if self._renamed else self._name
        with store_errors():
            self._file = self._fs.open(
                self._written, "wb", block_size=self.part_bytes, autocommit=False
            )

    def write(self, data: memoryview, /) -> None:
        """Append `data`.

        Raises:
            OSError: the store does not take it.
        """
        with store_errors():
            self._file.write(data)

    def finish(self) -> None:
        """Send what is left.

        Raises:
            OSError: the store does not take it.
        """
        with store_errors():
            self._file.close()

    def commit(self) -> None:
        """Let the file appear under its name.

        Raises:
            OSError: the store refuses.
        """
        with store_errors():
            if self._renamed:
                self._fs.mv(self._written, self._name)
            else:
                self._file.commit()
        self._is_done = True

    def discard(self) -> None:
        """Leave nothing of it in the store, if it did not become a file."""
        if self._is_done:
            return
        with contextlib.suppress(OSError), store_errors():
            if self._renamed:
                self._file.close()
                self._fs.rm(self._written)
            else:
                self._file.closed = True  # else it would send what is left when it is collected
                self._file.discard()
        # A signal may come before the store has told the number of an upload that it has begun.
        with contextlib.suppress(OSError):
            abort_left_uploads([self.path])


def abort_left_uploads(paths: Iterable[str]) -> None:
    """Remove from a store the parts that killed runs left of some files, if it keeps them for ever.

    S3 does. Google's and Microsoft's forget them after a week.

    Raises:
        OSError: the store refuses.
    """
    for path in paths:
        fs, name = store_of(path)
        if not hasattr(fs, "call_s3"):
            continue
        bucket, key, _ = fs.split_path(name)
        with store_errors():
            found = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
            for upload in found.get("Uploads", ()):
                if upload["Key"] == key:
                    ids = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
                    fs.call_s3("abort_multipart_upload", **ids)
