"""The output of a run in a store, where nothing can be renamed and no lock is kept.

Without `--resume`, the shards are uploaded and become objects at the end, between the manifest
that says they are not complete and the one that says they are. With it, each becomes an object
as soon as it is complete, and the manifest is written anew with it: from the first shard on, the
set says that it is not complete, and an old one is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.files.filesystem import open_to_read
from nsl_tools.files.paths import files_of_output
from nsl_tools.files.publishing import Written, os_errors_as_output_errors, publish
from nsl_tools.files.shards.manifest import Manifest, manifest_path, read_manifest
from nsl_tools.files.shards.resume import crc32c_of
from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.files.stores.upload import abort_left_uploads

if TYPE_CHECKING:
    from typing_extensions import Self

    from nsl_tools.files.shards.manifest import Provenance, Shard


class StoreSet(ShardSet):
    """What a run writes to one output path of a store; a context manager, as ShardSet is."""

    _begun = False

    def __enter__(self) -> Self:
        with os_errors_as_output_errors(self._path):
            abort_left_uploads(files_of_output(self._path))
        if self._resume and self._run:
            self._add_in_place(self._run)
        return self

    def _own_manifest(self) -> Manifest | None:
        assert self._set  # noqa: S101 - for the type checker
        return read_manifest(manifest_path(*self._set))

    def _is_intact(self, name: str, shard: Shard) -> bool:
        try:
            with open_to_read(name) as file:
                return crc32c_of(file) == shard.crc32c and file.tell() == shard.bytes
        except OSError:
            return False

    def _begin(self, folder: str, run: Provenance) -> None:
        """Let the set say, before its first shard is another one, that it is not complete."""
        del folder, run
        if self._resume and not self._begun:
            publish([self._manifest(complete=False)])
            self._begun = True

    def _note(self, written: Written, records: int) -> None:
        super()._note(written, records)
        if self._resume:
            publish([written], [self._manifest(complete=False)])
            self._outputs.written.remove(written)

    def _manifest(self, *, complete: bool) -> Written:
        path, content = self._encoded_manifest(complete=complete)
        with self._outputs.open(path, "none") as file:
            file.write(content)
        return self._outputs.written.pop()

    def clean_up(self, *, done: bool) -> None:
        """Remove from the store what did not become an object."""
        del done
        self._outputs.clean_up()
