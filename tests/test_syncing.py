"""`nsl_tools.syncing`: what is written reaches the disk on the way, and failures come up."""

import os
from pathlib import Path

import pytest

from nsl_tools.syncing import Syncer

MANY = 1 << 26


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)


def test_it_syncs_once_much_was_written(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with Syncer(descriptor) as syncer:
        for _ in range(10):
            syncer.note(100)
        assert synced == []
        syncer.note(MANY)
    assert synced == [descriptor]


def fail(_: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_sync_that_fails_is_an_error_at_the_end(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would not tell the last sync of it."""
    monkeypatch.setattr(os, "fdatasync", fail)
    syncer = Syncer(descriptor)
    with pytest.raises(OSError, match="Input/output"), syncer:  # noqa: PT012 - it is the leaving that fails
        syncer.note(MANY)
        assert True


def test_an_error_before_it_is_not_replaced(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(KeyError, match="first"), Syncer(descriptor) as syncer:  # noqa: PT012 - of two failures
        syncer.note(MANY)
        raise KeyError("first")
