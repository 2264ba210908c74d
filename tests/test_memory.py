"""Sizes as users write them, and the memory that there is."""

import io
import resource
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools import memory
from nsl_tools.errors import UsageError
from nsl_tools.memory import LEAST_LIMIT, default_limit, held_within, parse_size, shown_size
from nsl_tools.options import BuildGraphOptions, PackOptions, memory_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512_000_000),
        ("2GB", 2_000_000_000),
        ("2 gb", 2_000_000_000),
        ("1GiB", 1 << 30),
        ("1.5GiB", 3 << 29),
        ("512M", 512_000_000),
        ("64KiB", 65_536),
        ("0.5TB", 500_000_000_000),
        ("1000000", 1_000_000),
        ("100B", 100),
    ],
)
def test_sizes_are_read_as_users_write_them(text: str, size: int) -> None:
    assert parse_size(text, "--memory-limit") == size


@pytest.mark.parametrize(
    "text", ["", "MB", "1XB", "-1GB", "1e9", "1iB", "1 000", "nan", "\u0661GB"]
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"--memory-limit: expected a size such as .*received"):
        parse_size(text, "--memory-limit")


@given(st.integers(0, 10**14))
def test_a_shown_size_is_read_as_nearly_the_same(size: int) -> None:
    assert parse_size(shown_size(size), "") == pytest.approx(size, rel=0.006)


@pytest.mark.parametrize("options", [BuildGraphOptions, PackOptions])
def test_a_limit_too_small_to_keep_is_a_usage_error(options: Any) -> None:
    with pytest.raises(UsageError, match="--memory-limit: expected at least 32 MB, received 1 MB"):
        options(memory_limit=1_000_000)
    assert memory_of(options(memory_limit=LEAST_LIMIT)).limit == LEAST_LIMIT
    assert memory_of(options()).limit == default_limit()


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/a/b\n", {"/a/memory.max": "400000000\n"}, 200_000_000),
        ("0::/a/b\n", {"/a/b/memory.max": "max\n", "/memory.max": "600000000"}, 300_000_000),
        ("0::/gone/../b\n", {"/memory.max": "600000000"}, 300_000_000),
        ("3:cpu,memory:/x\n", {"/memory/x/memory.limit_in_bytes": "300000000"}, 150_000_000),
        ("0::/\n", {"/memory.max": "1000"}, LEAST_LIMIT),
        ("0::/\n", {}, 4_000_000_000),
    ],
)
def test_the_default_is_half_of_what_the_control_group_may_have(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    groups: str,
    limits: dict[str, str],
    expected: int,
) -> None:
    """A machine of 8 GB, with control groups of version 2 and 1."""
    for name, limit in limits.items():
        (tmp_path / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name[1:]).write_text(limit)

    def opened(path: str, **options: Any) -> IO[Any]:
        return io.StringIO(groups) if path == "/proc/self/cgroup" else open(path, **options)

    monkeypatch.setattr(memory, "_CGROUPS", str(tmp_path))
    monkeypatch.setattr(memory, "open", opened, raising=False)
    pages = {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": 8_000_000}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    assert default_limit() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell how much there is")
def test_memory_beyond_the_limit_is_refused() -> None:
    """As long as that is asked for, even if it was limited before."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with held_within(32_000_000):
        assert bytearray(16_000_000)
        with pytest.raises(MemoryError):
            bytearray(300_000_000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert bytearray(300_000_000)
