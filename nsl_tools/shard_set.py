"""The output of a run: a file or stream, or a set of shards that comes with its manifest.

Shards are contiguous and even: shard `i` of `N` is about the rows `total * i // N`
up to `total * (i + 1) // N`, so that the shards one after the other are the
single file.

The manifest is renamed into place before the shards, saying that they are not
complete, and again after them: whenever a run is killed, the set is the old one,
the new one, or says that it is neither.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from nsl_tools.manifest import Manifest, Shard, manifest_path
from nsl_tools.output import (
    Outputs,
    Written,
    is_stream,
    os_errors_as_output_errors,
    publish,
    write_durably,
)
from nsl_tools.shards import resolve_output, shard_set_of, split_evenly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.manifest import Recipe
    from nsl_tools.output import ByteSink


class Part:
    """One file of the output while it is written; whoever writes counts its records."""

    def __init__(self, file: ByteSink) -> None:
        self._file = file
        self.records = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`."""
        self._file.write(data)


class ShardSet(Outputs):
    """What a run writes to one output path; a context manager, as all Outputs."""

    def __init__(self, path: str, compression: str = "auto", run: Recipe | None = None) -> None:
        """Write to `path`: a file, `base@N` or `-`; the manifest tells what the `run` was."""
        super().__init__(compression)
        self._path = path
        self._names = resolve_output(path)
        streamed = any(map(is_stream, self._names))
        self._set = None if streamed else shard_set_of(path)
        self._run = run
        self._shards: dict[str, Shard] = {}
        self._part: Part | None = None

    def parts(self, total: int) -> Iterator[tuple[str, range]]:
        """Yield each file that is to be written, with its rows among all `total`."""
        return zip(self._names, split_evenly(total, len(self._names)), strict=True)

    @contextlib.contextmanager
    def open_part(self, name: str) -> Iterator[Part]:
        """Open one of the files.

        Raises:
            OutputError: it cannot be written.
        """
        with self.open(name) as file:
            self._part = Part(file)
            yield self._part

    def finish(self, written: Written) -> None:
        """Note a file that is complete."""
        super().finish(written)
        if self._set and self._part and written.path in self._names:
            name, records = os.path.basename(written.path), self._part.records
            self._shards[written.path] = Shard(name, written.bytes, records, written.crc32c)

    def publish(self) -> None:
        """Give all files their final names."""
        if self._set is None:
            super().publish()
        else:
            before, after = self._manifest(complete=False), self._manifest(complete=True)
            publish([before], self.written, [after])

    def _manifest(self, *, complete: bool) -> Written:
        """Write the manifest to a temporary file."""
        assert self._set  # noqa: S101 - told to the type checker
        path = manifest_path(*self._set)
        final = os.path.realpath(path)
        shards = tuple(self._shards[name] for name in self._names)
        label = f"{self._path} (its manifest)"
        with os_errors_as_output_errors(label):
            folder = self.workspace(os.path.dirname(final))
            temporary = os.path.join(folder, f"manifest.{secrets.token_hex(8)}")
            write_durably(temporary, Manifest(path, shards, complete, self._run).encode())
        return Written(label, final, temporary)
