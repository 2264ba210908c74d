"""Spellings of options as NSL 1.4 has them: on a command of its own."""

from __future__ import annotations

from typing import Any

import click
import pytest

from nsl_tools.cli.absl_flags import AbslCommand, normalize

_COMMAND = AbslCommand(
    "command",
    params=[
        click.Option(["--add-edges/--no-add-edges"], default=False),
        click.Option(["-q", "--quiet"], is_flag=True),
        click.Option(["--max-nbrs"], type=int),
        click.Option(["--name"]),
        click.Argument(["paths"], nargs=-1),
    ],
    context_settings={"token_normalize_func": normalize},
)
_DEFAULTS: dict[str, Any] = {
    "add_edges": False, "quiet": False, "max_nbrs": None, "name": None, "paths": (),
}  # fmt: skip


def parsed(*words: str) -> dict[str, Any]:
    """Return what a command line says that is no default."""
    found = _COMMAND.make_context("command", list(words)).params
    return {name: value for name, value in found.items() if value != _DEFAULTS[name]}


@pytest.mark.parametrize("value", ["true", "t", "1", "yes", "y", "True", "YES"])
@pytest.mark.parametrize("name", ["--add-edges", "--add_edges"])
def test_a_flag_that_is_given_a_value_is_on(name: str, value: str) -> None:
    assert parsed(name) == parsed(f"{name}={value}") == {"add_edges": True}
    assert parsed(f"--no{name[2:]}", f"{name}={value}") == {"add_edges": True}


@pytest.mark.parametrize("value", ["false", "f", "0", "no", "n", "False", "NO"])
@pytest.mark.parametrize("name", ["--add-edges", "--add_edges"])
def test_a_flag_that_is_given_another_value_is_off(name: str, value: str) -> None:
    """The last of several spellings counts."""
    assert parsed(name, f"{name}={value}") == {}
    assert parsed(f"{name}={value}", name) == {"add_edges": True}


@pytest.mark.parametrize("off", ["--noadd_edges", "--noadd-edges", "--no-add-edges"])
def test_a_flag_may_be_switched_off_by_its_name(off: str) -> None:
    assert parsed("--add_edges", off) == {}


@pytest.mark.parametrize("off", ["--noquiet", "--quiet=false", "--quiet=0"])
def test_a_flag_without_an_opposite_is_off_anyway(off: str) -> None:
    assert parsed(off) == {}
    assert parsed("--quiet=1") == parsed("-q") == {"quiet": True}


@pytest.mark.parametrize("value", ["maybe", "", "2", "truefalse"])
def test_other_values_of_flags_are_refused(value: str) -> None:
    """By the name of the option, in hyphens."""
    problem = rf"^Option '--add-edges' takes true or false, received '{value}'\.$"
    with pytest.raises(click.BadOptionUsage, match=problem):
        parsed(f"--add_edges={value}")


def test_other_options_take_their_values_as_they_are() -> None:
    """Be these underscores, or what looks like a flag."""
    assert parsed("--max_nbrs=5", "--name=a_b=true") == {"max_nbrs": 5, "name": "a_b=true"}
    assert parsed("--max_nbrs", "5", "--name", "my_name") == {"max_nbrs": 5, "name": "my_name"}


def test_what_follows_two_hyphens_is_left_alone() -> None:
    words = ("a_b", "--quiet=false", "--noquiet", "--")
    assert parsed("--quiet", "--", *words) == {"quiet": True, "paths": words}
    assert parsed("a_b", "x=true") == {"paths": ("a_b", "x=true")}


@pytest.mark.parametrize("word", ["--nope", "--nomax_nbrs", "--nope=true", "--no"])
def test_what_is_no_option_is_refused(word: str) -> None:
    """Only flags have an opposite."""
    with pytest.raises(click.NoSuchOption):
        parsed(word)


def test_names_are_hyphenated() -> None:
    assert [normalize(word) for word in ("pack_nbrs", "--a_b", "a-b")] == [
        "pack-nbrs", "--a-b", "a-b",
    ]  # fmt: skip
