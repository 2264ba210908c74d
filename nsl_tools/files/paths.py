"""What a path on the command line stands for.

An input is a file, a folder of them, a glob, a shard set `base@16` (`base-00000-of-00016` to
`base-00015-of-00016`), or `-` for standard input. An output is a file, a shard
set, or `-` for standard output. A file that exists under the literal name is
always taken as that file.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, MutableMapping, Sequence
from itertools import pairwise

from nsl_tools.errors import DataError, UsageError, printable
from nsl_tools.files.filesystem import exists, files_within, is_folder, matching, state_of
from nsl_tools.files.shards.manifest import (
    REMEDY,
    Manifest,
    check_complete,
    manifest_path,
    read_manifest,
)

STANDARD_STREAM = "-"

_SHARD_SPEC = re.compile(r"(?P<base>.+)@(?P<count>[0-9]+)")
_SHARD_NAME = re.compile(r"(?P<base>.+)-[0-9]{5,}-of-(?P<count>[0-9]{5,})")


def shard_names(base: str, count: int) -> list[str]:
    """Return the file names of the shard set `base@count`, in order."""
    return [f"{base}-{index:05d}-of-{count:05d}" for index in range(count)]


def resolve_inputs(
    paths: Sequence[str], warnings: MutableMapping[str, int] | None = None
) -> list[str]:
    """Return the files that `paths` stand for, in order.

    Args:
        paths: as they were given.
        warnings: counts shards that are missing where a set was named shard by shard, as
            a shell does that expands `base-*`.

    Raises:
        DataError: a file does not exist or is a folder, a glob matches nothing, a shard
            is missing or is not as long as its manifest says.
        UsageError: a file, or standard input, is named twice, be it by way of a link.
    """
    files = [name for path in paths for name in _resolve_input(path)]
    _refuse_repeats(files)
    refuse_shared_streams(files)
    _refuse_links(files)
    for name in files:
        _refuse_folder(name)
        _check_size(name)
    if warnings is not None:
        warnings.update(_missing_shards(paths))
    return files


def _missing_shards(paths: Sequence[str]) -> dict[str, int]:
    """Return how many shards are missing of sets of which more than one was named."""
    named = Counter((m["base"], int(m["count"])) for m in map(_SHARD_NAME.fullmatch, paths) if m)
    missing = {}
    for (base, count), some in named.items():
        if 1 < some < count:
            first = next(name for name in shard_names(base, count) if name not in paths)
            reason = f"shards not named, {first} the first: for all of them name {base}@{count}"
            missing[reason] = count - some
    return missing


def _refuse_folder(path: str) -> None:
    if path != STANDARD_STREAM and is_folder(path):
        raise DataError(path, "", "cannot be read: Is a directory: expected a file")


def _refuse_repeats(files: Iterable[str]) -> None:
    for name, times in Counter(files).items():
        if times > 1:
            raise UsageError(f"input named {times} times: {name}")


def refuse_shared_streams(files: Iterable[str]) -> None:
    """Raise UsageError if standard input, or a pipe, is named twice, be it by another name."""
    known: dict[object, str] = {}
    for name in files:
        if (stream := _stream(name)) is None:
            continue
        if (same := known.get(stream)) == name:
            raise UsageError(printable(f"input named 2 times: {name}"))
        if same is not None:
            problem = f"{name}: is the same stream as another input ({same}), and read only once"
            raise UsageError(printable(problem))
        known[stream] = name


def _stream(path: str) -> object:
    """Return what all names of one stream have in common, None for a file."""
    known = STANDARD_STREAM if path == STANDARD_STREAM else None
    try:
        found = state_of(0 if known else path)
    except OSError:
        return known
    return found.identity if found.is_pipe else known


def _refuse_links(files: Iterable[str]) -> None:
    """Refuse two names of one file: what is in it would count twice, in place of another."""
    known: dict[tuple[int, int], str] = {}
    for name in files:
        with contextlib.suppress(OSError):
            found = state_of(name)
            same = known.setdefault(found.identity, name)
            if same != name and found.is_regular:
                raise UsageError(printable(f"{name}: is the same file as another input ({same})"))


def named_by(path: str) -> list[str]:
    """Return the files that input or output `path` stands for, right or wrong.

    Raises:
        UsageError: it cannot be the name of a file, or the number of shards is out of range.
    """
    if "\0" in path:
        raise UsageError(f"expected the name of a file, which holds no NUL, received {path!r}")
    if path == STANDARD_STREAM or exists(path):
        return [path]
    if spec := _SHARD_SPEC.fullmatch(path):
        return shard_names(spec["base"], _shard_count(path, spec["count"]))
    found = matching(path)
    return [path] if found is None else found


def split_member(path: str) -> tuple[str, str]:
    """Return the file of a path, and what is named in it: `v.h5:/train`, `t.parquet:id`.

    Returns:
        The path itself and an empty text, unless no file has the whole name and some file
        has the part before the last colon.
    """
    file, mark, member = path.rpartition(":")
    if (
        mark
        and member
        and not member.startswith("//")
        and not exists(path)
        and (exists(file) or matching(file))
    ):
        return file, member
    return path, ""


def one_member(name: str, paths: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the files of some paths, and what is named in all of those that name something.

    Args:
        name: what the paths are, for the message.
        paths: as `split_member` takes them.

    Raises:
        UsageError: they name two.
    """
    pairs = [split_member(path) for path in paths]
    members = sorted({member for _, member in pairs if member})
    if len(members) > 1:
        listed = ", ".join(members)
        raise UsageError(f"{name}: expected the same name in all files, received {listed}")
    return [path for path, _ in pairs], next(iter(members), None)


def inputs_of(path: str) -> list[str]:
    """Return the files that input `path` stands for, right or wrong; of a folder, all in it.

    Raises:
        UsageError: it cannot be the name of a file, or the number of shards is out of range.
    """
    if path == STANDARD_STREAM or not is_folder(path):
        return named_by(path)
    folder = path.rstrip("/")
    # Files beside the data: hidden ones, what describes it, and what `datasets` caches.
    aside = re.compile(r"/[._]|/cache-[^/]*$|\.(json|md|txt|csv|crc|lock|manifest)$")
    return [name for name in files_within(folder or "/") if not aside.search(name[len(folder) :])]


def _resolve_input(path: str) -> list[str]:
    names = inputs_of(path)
    if not names:
        is_pattern = not is_folder(path)
        raise DataError(
            path, "", "no file matches this pattern" if is_pattern else "a folder without data"
        )
    if names != [path]:
        _check_shards(path, names)
    elif path != STANDARD_STREAM and not exists(path):
        raise DataError(path, "", "no such file")
    return names


def _shard_count(path: str, digits: str) -> int:
    count = int(digits)
    most = 99_999  # numbers of shards have five digits
    if not 1 <= count <= most:
        raise UsageError(f"{path}: expected 1 to {most} shards, found {digits}")
    return count


def _check_shards(path: str, names: Sequence[str]) -> None:
    """Refuse an incomplete shard set, and two sets of one base mixed."""
    sets = {(m["base"], int(m["count"])) for m in map(_SHARD_NAME.fullmatch, names) if m}
    counts = Counter(base for base, _ in sets)
    for base, count in sorted(sets):
        if counts[base] > 1:
            raise DataError(path, "", f"two shard sets of {base} are mixed: name one, as base@N")
        for name in shard_names(base, count):
            if not exists(name):
                raise DataError(name, "", f"shard missing from {base}@{count}")


def manifest_of(path: str) -> Manifest | None:
    """Return the manifest that has the shard at `path`, if there is one.

    Raises:
        DataError: it cannot be read, or says that the set is not complete.
    """
    shard = _SHARD_NAME.fullmatch(path)
    manifest = shard and read_manifest(manifest_path(shard["base"], int(shard["count"])))
    if not manifest or not manifest.shard(path):
        return None
    check_complete(manifest)
    return manifest


def _check_size(path: str) -> None:
    """Refuse a shard that is not as long as its manifest says: cut between records, or another."""
    manifest = manifest_of(path)
    shard = manifest and manifest.shard(path)
    if not manifest or not shard:
        return
    try:
        found = state_of(path).size
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror}") from err
    if found != shard.bytes:
        problem = (
            f"{found} bytes long, expected {shard.bytes} ({shard.records} records) "
            f"as {manifest.path} says: {REMEDY}"
        )
        raise DataError(path, "", problem)


def resolve_output(path: str) -> list[str]:
    """Return the files that output `path` stands for, in order.

    Raises:
        UsageError: the number of shards is out of range.
    """
    shards = shard_set_of(path)
    return [path] if shards is None else shard_names(*shards)


def files_of_output(path: str) -> list[str]:
    """Return the files that output `path` stands for, and the manifest that comes with a set.

    Raises:
        UsageError: the number of shards is out of range.
    """
    shards = shard_set_of(path)
    return [path] if shards is None else [*shard_names(*shards), manifest_path(*shards)]


def shard_set_of(path: str) -> tuple[str, int] | None:
    """Return base and number of the shard set that output `path` stands for, if it is one.

    Raises:
        UsageError: the number of shards is out of range.
    """
    spec = _SHARD_SPEC.fullmatch(path)
    if spec is None or exists(path):
        return None
    return spec["base"], _shard_count(path, spec["count"])


def split_evenly(total: int, parts: int) -> list[range]:
    """Split `range(total)` into `parts` contiguous ranges whose sizes differ by at most one."""
    bounds = [total * part // parts for part in range(parts + 1)]
    return [range(start, end) for start, end in pairwise(bounds)]
