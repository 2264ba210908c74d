"""Which format a table has, by its first bytes, else by the suffix of its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.files.filesystem import first_bytes
from nsl_tools.formats.tables import arrow_ipc, parquet
from nsl_tools.formats.tables.text_tables import CSV_SUFFIXES, JSON_SUFFIXES, opened_text
from nsl_tools.formats.tfrecord.frames import HEADER_BYTES
from nsl_tools.formats.tfrecord.reader import starts_as_tfrecord

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from nsl_tools.formats.tables.table import Table

PARQUET_SUFFIXES = (".parquet", ".pq")
"""Suffixes of Parquet files."""
ARROW_SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
"""Suffixes of Arrow files and streams."""
SUFFIXES = PARQUET_SUFFIXES + ARROW_SUFFIXES + CSV_SUFFIXES + JSON_SUFFIXES
"""Suffixes of tables."""
MAGIC = (parquet.MAGIC, arrow_ipc.FILE_MAGIC, arrow_ipc.STREAM_MAGIC)
"""How tables start."""


def is_table(path: str) -> bool:
    """Tell whether a file is a table, by its first bytes, or else by its name."""
    head, suffix = first_bytes(path, HEADER_BYTES), os.path.splitext(path)[1]
    named = suffix.lower() in SUFFIXES and not starts_as_tfrecord(head)
    return head.startswith(MAGIC) or named


def opened_table(path: str, texts: Collection[str] = ()) -> AbstractContextManager[Table]:
    """Open a table.

    Args:
        path: of the file.
        texts: columns that are texts, where the format does not say so.

    Raises:
        DataError: when it is entered: it cannot be read, or is no table.
    """
    head, suffix = first_bytes(path, 8), os.path.splitext(path)[1].lower()
    if not head.startswith(MAGIC) and suffix in CSV_SUFFIXES + JSON_SUFFIXES:
        return opened_text(path, texts)
    is_arrow = head.startswith((arrow_ipc.FILE_MAGIC, arrow_ipc.STREAM_MAGIC))
    if is_arrow or (suffix in ARROW_SUFFIXES and not head.startswith(parquet.MAGIC)):
        return arrow_ipc.opened_arrow(path)
    return parquet.opened_parquet(path)
