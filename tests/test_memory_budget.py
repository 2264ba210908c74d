"""`nsl_tools.memory_budget`: the shares add up, and what needs more goes to scratch files."""

from __future__ import annotations

import pytest

from nsl_tools.memory_budget import HELD_TOGETHER, SHARES, MemoryBudget, sufficient_for
from nsl_tools.tuning import TUNING


@pytest.mark.parametrize("phase", HELD_TOGETHER)
def test_what_is_held_together_is_no_more_than_the_limit(phase: str) -> None:
    assert 0.5 < sum(SHARES[part] for part in HELD_TOGETHER[phase]) <= 1


def test_every_part_is_of_a_phase_or_must_fit_by_itself() -> None:
    held = {part for parts in HELD_TOGETHER.values() for part in parts}
    assert set(SHARES) - held == {"ids", "ranked_ids"}


def test_a_limit_that_is_told_to_be_sufficient_is() -> None:
    for part in SHARES:
        limit = sufficient_for(1_000_000, part)
        assert (
            MemoryBudget(int(limit) + 1).bound(part)
            >= 1_000_000
            > MemoryBudget(int(limit) - 1).bound(part)
        )


def test_without_memory_all_goes_to_scratch_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share is never nothing: it may be divided by."""
    monkeypatch.setattr(TUNING, "memory_share", 0)
    memory = MemoryBudget(10**9)
    assert {memory.share(part) for part in SHARES} == {1.0}
    assert memory.bound("ids") > 1
