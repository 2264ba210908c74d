"""Which format a table has, by its first bytes, else by the suffix of its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsl_tools.files.filesystem import first_bytes
from nsl_tools.formats.tables.arrow_ipc import ArrowTable
from nsl_tools.formats.tables.parquet import ParquetTable
from nsl_tools.formats.tables.text_tables import CsvTable, JsonTable
from nsl_tools.formats.tfrecord.reader import starts_as_tfrecord

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from nsl_tools.formats.tables.table import Table

TABLES: tuple[type[Table], ...] = (ParquetTable, ArrowTable, CsvTable, JsonTable)
"""The formats: the first that knows how a file starts, else the one that knows its suffix."""


def is_table(path: str) -> bool:
    """Tell whether a file is a table, by its first bytes, or else by its name."""
    head = first_bytes(path, 12)  # as long as the header of a record
    return not starts_as_tfrecord(head) and _kind(path) is not None


def opened_table(path: str, texts: Collection[str] = ()) -> AbstractContextManager[Table]:
    """Open a table: Parquet, if neither its start nor its name says otherwise.

    Args:
        path: of the file.
        texts: columns that are texts, where the format does not say so.

    Raises:
        DataError: when it is entered: it cannot be read, or is no table.
    """
    return (_kind(path) or ParquetTable).opened(path, texts)


def _kind(path: str) -> type[Table] | None:
    head, suffix = first_bytes(path, 8), os.path.splitext(path)[1].lower()
    by_content = (kind for kind in TABLES if kind.magic and head.startswith(kind.magic))
    by_suffix = (kind for kind in TABLES if suffix in kind.suffixes)
    return next(by_content, None) or next(by_suffix, None)
