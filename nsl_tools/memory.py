"""Sizes in bytes: reading and showing them, how much memory there is, and limiting its use."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_LIMIT = 32_000_000
"""Bytes: the smallest `--memory-limit` that holds the buffers of one input and one output."""

COPIES = 6
"""Bytes of memory that a byte of a record takes at most, as measured, until it is written."""
_BESIDES = 100_000_000
"""Bytes for records on their way, beside half of the memory limit: tables take the other half."""
LIBRARIES = 200_000_000
"""Bytes that Python and the libraries may take beside `--memory-limit`."""

_CGROUPS = "/sys/fs/cgroup"


def parse_size(text: str, option: str) -> int:
    """Return the bytes of `512MB`, `2GB`, `1GiB` or plain `1000000`.

    Raises:
        UsageError: it is none of these; the message names `option`.
    """
    form = r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?:(?P<unit>[KMGT]?)(?P<binary>i?)B?)?"
    match = re.fullmatch(form, text.strip(), re.IGNORECASE)
    if match is None or (match["binary"] and not match["unit"]):
        raise UsageError(f"{option}: expected a size such as 512MB, 2GB or 1GiB, received {text!r}")
    base = 1024 if match["binary"] else 1000
    powers = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
    size = float(match["number"]) * base ** powers[(match["unit"] or "").upper()]
    most = 10**18  # so that any arithmetic on it fits 64 bits
    if size > most:
        raise UsageError(f"{option}: expected at most {shown_size(most)}, received {text[:40]!r}")
    return int(size)


def shown_size(size: float) -> str:
    """Return a number of bytes for a message: three digits and a decimal unit."""
    power, units = 0, ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    while size >= 999.5 and power < len(units) - 1:  # noqa: PLR2004 - what would show as 1000
        size, power = size / 1000, power + 1
    return f"{size:.3g} {units[power]}"


def longest_record(limit: int) -> int:
    """Return the bytes of the longest record, or line, that a `limit` of memory allows."""
    return (limit // 2 + _BESIDES) // COPIES


def sufficient_limit(length: float) -> float:
    """Return a limit of memory, in bytes, that allows a record of `length` bytes."""
    return 2 * COPIES * length


def memory_problem(length: int, limit: int | None) -> str:
    """Return why a record of `length` bytes does not fit a `limit` of memory; empty if it does.

    None stands for no limit.
    """
    if limit is None or length <= longest_record(limit):
        return ""
    needed, room = COPIES * length, limit // 2 + _BESIDES
    return (
        f"which takes {shown_size(needed)} of memory, and --memory-limit {shown_size(limit)} "
        f"leaves {shown_size(room)}: raise it to {shown_size(sufficient_limit(length))}"
    )


def default_limit() -> int:
    """Return half of the memory of this machine, or of this control group if it has less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(LEAST_LIMIT, min([physical, *_cgroup_limits()]) // 2)


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Elsewhere: in KiB, on macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def held_within(limit: int) -> Iterator[None]:
    """Let the system refuse what would take this process beyond `limit` and `LIBRARIES`.

    Memory that is refused raises MemoryError. Where the system does not tell how much there
    is now (it is not Linux), nothing is refused.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = [int(field) for field in file.read().split()]
    except OSError:
        yield
        return
    resident, data = pages[1] * resource.getpagesize(), pages[5] * resource.getpagesize()
    # Bytes of `LIBRARIES` for code that is only loaded later, and of reserves that Arrow has.
    later = 45_000_000
    most = data + limit + max(0, LIBRARIES - later - resident)
    known = [most, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the control groups that hold this process (version 2, then 1)."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:  # not Linux
        return
    for _, controllers, path in lines:
        if not controllers:
            yield from _limits_up(_CGROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_up(f"{_CGROUPS}/memory", path, "memory.limit_in_bytes")


def _limits_up(mount: str, path: str, name: str) -> Iterator[int]:
    while True:
        # In a container the path may be the host's: only the mount's own file exists then.
        with contextlib.suppress(OSError, ValueError), open(f"{mount}{path}/{name}") as file:
            yield int(file.read())  # "max" is no number: no limit
        if path in ("", "/"):
            return
        path = os.path.dirname(path)
