"""Which array of several."""

import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.members import chosen_member


def test_the_only_matrix_or_the_one_that_is_named() -> None:
    members = {"x": True, "ids": False}
    assert chosen_member("f", members, None) == "x"
    assert chosen_member("f", members | {"y": True}, "y") == "y"
    assert chosen_member("f", {"g/y": True, "g/x": True}, "/g/y") == "g/y"
    assert chosen_member("f", {"/": True}, "/") == "/"


@pytest.mark.parametrize(
    ("members", "asked", "problem"),
    [
        ({}, None, "f: 0 matrices, expected one, or --array; its arrays: none"),
        ({"b": True, "a": True}, None, "f: 2 matrices, expected one, or --array; its arrays: a, b"),
        ({"a": True}, "b", "f: no array 'b', expected one of: a"),
    ],
)
def test_none_or_more_than_one(members: dict[str, bool], asked: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        chosen_member("f", members, asked)
