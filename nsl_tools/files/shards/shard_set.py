"""The output of a run: a file or stream, or a set of shards that comes with its manifest.

Shards are contiguous and even: shard `i` of `N` is about the rows `total * i // N`
up to `total * (i + 1) // N`, so that the shards one after the other are the
single file.

The manifest is renamed into place before the shards, saying that they are not
complete, and again after them: whenever a run is killed, the set is the old one,
the new one, or says that it is neither. What such a run had finished is taken up by
the next one with `--resume`, if that has the same options and inputs (`resume`). Of two
runs that write one set, the second is refused.
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError, printable
from nsl_tools.files.filesystem import exists
from nsl_tools.files.locking import LockFile
from nsl_tools.files.outputs import Outputs, is_stream, write_file
from nsl_tools.files.own_files import destination, is_own_file
from nsl_tools.files.paths import resolve_output, shard_set_of, split_evenly
from nsl_tools.files.preflight import check_place
from nsl_tools.files.publishing import (
    OutputError,
    Staged,
    Written,
    os_errors_as_output_errors,
    publish,
)
from nsl_tools.files.shards import resume
from nsl_tools.files.shards.manifest import Manifest, Shard, manifest_path, read_own_manifest
from nsl_tools.files.shards.provenance import difference, streams_of
from nsl_tools.files.staging import new_name

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from typing_extensions import Self

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.manifest import Provenance
    from nsl_tools.files.staging import StagingDirectory
    from nsl_tools.progress import Progress
    from nsl_tools.statistics import Statistics


class Part:
    """One file of the output while it is written; its writer counts the records."""

    def __init__(self, file: ByteSink) -> None:
        self._file = file
        self.records = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`."""
        self._file.write(data)


class ShardSet:
    """What a run writes to one output path; a context manager, as Outputs are."""

    def __init__(
        self,
        path: str,
        compression: str = "auto",
        run: Provenance | None = None,
        *,
        resume: bool = False,
        report: Report | None = None,
        warnings: Counter[str] | None = None,
    ) -> None:
        """Write to `path`: a file, `base@N` or `-`; the manifest stores the provenance `run`.

        What others put in the folders of the outputs is left alone, and counted in `warnings`.

        Raises:
            UsageError: `resume` is asked for where that cannot be done.
        """
        self._outputs = Outputs(compression, warnings)
        self._path = path
        self._names = resolve_output(path)
        streamed = any(map(is_stream, self._names))
        self._set = None if streamed else shard_set_of(path)
        self._run = run
        self._resume = resume
        self._report = report
        self._shards: dict[str, Shard] = {}
        self._complete = False
        self._lock: LockFile | None = None
        if resume:
            self._check_resumable()

    def _check_resumable(self) -> None:
        if self._set is None or self._run is None:
            raise UsageError(f"{self._path}: --resume needs a set of shards, such as out@8")
        for name in streams_of(self._run):
            raise UsageError(f"{name}: --resume needs inputs that are files")

    def __enter__(self) -> Self:
        if self._set:
            try:
                self._take_lock(*self._set)
                if self._run:
                    self._take_up(self._run)
            except BaseException:
                self.clean_up(done=False)
                raise
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        done = False
        try:
            if failure is None:
                self._publish()
                done = True
        finally:
            self.clean_up(done=done)

    def _take_lock(self, base: str, count: int) -> None:
        """Let no other run write the set until this one ends.

        Raises:
            OutputError: another run does, or the manifest cannot be written.
        """
        manifest = destination(manifest_path(base, count))
        check_place(manifest)
        self._lock = LockFile(os.path.dirname(manifest), self._name)
        with os_errors_as_output_errors(f"{self._path} (its lock {self._lock.name})"):
            if not self._lock.take():
                raise self._is_written()

    def _is_written(self) -> OutputError:
        return OutputError(
            printable(f"{self._path}: another run is writing this set: wait for its end")
        )

    @cached_property
    def _name(self) -> str:
        """Name of the set: the same however its number and its folder are written."""
        base, count = self._set or (self._path, 1)
        return f"{os.path.basename(base)}@{count}"

    @cached_property
    def _folders(self) -> set[str]:
        return {os.path.dirname(destination(name)) for name in self._names}

    def _take_up(self, run: Provenance) -> None:
        """Find what ended runs finished, in staging directories and in place; or remove the former.

        Raises:
            OutputError: there is something of a run with another provenance, or another
                run is writing the set.
        """
        for folder in self._folders:
            for staging, old in resume.find(folder, self._name, self._outputs.warnings):
                if staging.take_over():
                    self._use(staging, old, run)
                elif self._resume and staging.may_live:
                    raise self._is_written()
        if self._resume:
            self._add_in_place(run)

    def _use(self, staging: StagingDirectory, old: Provenance | None, run: Provenance) -> None:
        """Take up what an ended run left, or remove it."""
        unwanted = not self._resume or staging.folder in self._outputs.staging_directories
        if unwanted or not staging.is_private() or not resume.sweep(staging):
            staging.remove()
        else:
            self._outputs.staging_directories[staging.folder] = staging
            self._require_same(old, run)
            self._add_finished(staging)

    def _require_same(self, old: Provenance | None, run: Provenance) -> None:
        if changes := difference(old, run):
            problem = f"{self._path}: there are shards of another run: {changes}: "
            remedy = "repeat that run, or start anew without --resume"
            raise OutputError(printable(problem + remedy))

    def _add_finished(self, staging: StagingDirectory) -> None:
        """Take up the finished shards of a staging directory."""
        with os_errors_as_output_errors(self._path):
            staging.keep()
            found = {shard.name: (shard, at) for shard, at in resume.finished(staging)}
        for name in self._names:
            final = destination(name)
            if os.path.basename(name) in found and os.path.dirname(final) == staging.folder:
                shard, temporary = found[os.path.basename(name)]
                self._shards[name] = shard
                self._outputs.written.append(
                    Staged(name, shard.bytes, shard.crc32c, final, staging, temporary)
                )

    def _add_in_place(self, run: Provenance) -> None:
        """Take up the shards that have their final names already, if they are this user's."""
        manifest = self._own_manifest()
        if manifest is None or (self._shards and manifest.run != run):
            return
        self._require_same(manifest.run, run)
        for name in self._names:
            shard = manifest.shard(name)
            if not shard or name in self._shards:
                continue
            if self._is_intact(name, shard):
                self._shards[name] = shard
        everything = len(self._shards) == len(self._names)
        self._complete = manifest.complete and everything and not self._outputs.written

    def _is_intact(self, name: str, shard: Shard) -> bool:
        return self._is_ours(name) and resume.is_intact(name, shard)

    def _own_manifest(self) -> Manifest | None:
        """Return the manifest of this set if this user wrote it."""
        assert self._set  # noqa: S101 - for the type checker
        path = manifest_path(*self._set)
        if not self._is_ours(path):
            return None
        try:
            return read_own_manifest(path)
        except ValueError as err:
            problem = f"{path}: is not a manifest of shards: {err}: "
            raise OutputError(printable(problem + "start anew without --resume")) from err
        except OSError:
            return None

    def _is_ours(self, path: str) -> bool:
        """Tell whether what is in place is a regular file of this user; warn if it is not."""
        if not exists(path):
            return False
        if not (own := is_own_file(path)):
            reason = f"{self._path}: links and other users' files are not resumed"
            self._outputs.warnings[reason] += 1
        return own

    def all_kept(self, statistics: Statistics, progress: Progress) -> bool:
        """Count and say what is kept of runs before; return whether nothing else is to be done."""
        if self._shards:
            statistics.counts["shards kept"] = len(self._shards)
            kept = f"{len(self._shards)} of {len(self._names)} kept of an earlier run"
            progress.decide("shards", kept)
        if self._complete:
            progress.note(f"{self._path}: is complete already, nothing to do")
        return len(self._shards) == len(self._names)

    def parts(self, total: int) -> list[tuple[str, range]]:
        """Return each file that is to be written, with its rows among all `total`."""
        return [part for part in self._split(total) if part[0] not in self._shards]

    def kept(self, total: int) -> list[range]:
        """Return which rows among all `total` are in shards that are kept."""
        return [rows for name, rows in self._split(total) if name in self._shards]

    def _split(self, total: int) -> list[tuple[str, range]]:
        return list(zip(self._names, split_evenly(total, len(self._names)), strict=True))

    @contextlib.contextmanager
    def open_part(self, name: str) -> Iterator[Part]:
        """Open one of the files.

        Raises:
            OutputError: it cannot be written.
        """
        with os_errors_as_output_errors(name):
            if self._set and self._run:
                self._begin(os.path.dirname(destination(name)), self._run)
            with self._outputs.open(name) as file:
                part = Part(file)
                yield part
            if self._set:
                self._note(self._outputs.written[-1], part.records)

    def _begin(self, folder: str, run: Provenance) -> None:
        """Make the staging directory of a folder one of this set, if there is none yet."""
        if folder not in self._outputs.staging_directories:
            staging = self._outputs.staging(folder)
            resume.begin(staging, self._name, run)
            if self._resume:
                staging.keep()

    def _note(self, written: Written, records: int) -> None:
        """Note a shard that is complete, for the manifest and for the next run."""
        shard = Shard(os.path.basename(written.path), written.bytes, records, written.crc32c)
        if isinstance(written, Staged):
            resume.note(written.staging, written.temporary, shard)
        self._shards[written.path] = shard

    def clean_up(self, *, done: bool) -> None:
        """Remove the staging directories, but for finished shards that the next run is to find."""
        if self._resume and not done:
            for staging in self._outputs.staging_directories.values():
                with contextlib.suppress(OSError):
                    if resume.sweep(staging):
                        staging.leave()
        self._outputs.clean_up()
        if self._lock:
            self._lock.release()

    def _publish(self) -> None:
        """Give all files their final names, and the report its own with them."""
        outputs = self._outputs
        if self._report and (report := self._report.of_success(outputs.written)):
            path, content = report
            with outputs.open(path, "none") as file:
                file.write(content)
        if self._set is None or self._complete:
            publish(outputs.written)
        else:
            before, after = self._manifest(complete=False), self._manifest(complete=True)
            publish([before], outputs.written, [after])

    def _encoded_manifest(self, *, complete: bool) -> tuple[str, bytes]:
        """Return where the manifest is to be, and what is in it."""
        assert self._set  # noqa: S101 - for the type checker
        path = manifest_path(*self._set)
        shards = tuple(self._shards[name] for name in self._names if name in self._shards)
        return path, Manifest(path, shards, complete, self._run).encode()

    def _manifest(self, *, complete: bool) -> Written:
        """Write the manifest to a temporary file."""
        path, content = self._encoded_manifest(complete=complete)
        final = destination(path)
        label = f"{self._path} (its manifest)"
        with os_errors_as_output_errors(label):
            folder, name = os.path.split(final)
            staging, temporary = self._outputs.staging(folder), new_name("manifest")
            write_file(staging, temporary, content, staging.mode_of(name), sync=True)
        return Staged(label, len(content), "", final, staging, temporary)
