"""What pyarrow writes Parquet to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsl_tools.files.compression import ByteSink


class Sink:
    """A file that knows its length, and is closed by others."""

    closed = False

    def __init__(self, file: ByteSink) -> None:
        self._file = file
        self._place = 0

    def write(self, data: Any) -> int:
        """Append bytes."""
        # What pyarrow lends is gone once this returns.
        self._file.write(found := bytes(data))
        self._place += len(found)
        return len(found)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._place

    def flush(self) -> None:
        """Do nothing: what is written is gathered."""

    def close(self) -> None:
        """Do nothing: another one closes the file."""
