"""`inspect` of examples: features, lengths, labels and neighbours, counted one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.feature_names import neighbor_feature, neighbor_weight
from nsl_tools.inspect.examples import inspect_examples
from nsl_tools.options import InspectOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

_VALUE = st.one_of(
    st.lists(st.binary(max_size=5), min_size=1, max_size=4),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4),
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4),
)
_EXAMPLES = st.lists(
    st.dictionaries(st.sampled_from(["x", "words", "label"]), _VALUE), min_size=1, max_size=12
)


def inspected(path: Path) -> dict[str, Any]:
    return inspect_examples([str(path)], InspectOptions(), Statistics(100)).as_json()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=_EXAMPLES)
def test_features_are_counted(examples: list[dict[str, Any]], tmp_path: Path) -> None:
    support.write_examples(str(tmp_path / "e"), examples)
    found = inspected(tmp_path / "e")
    assert found["kind"] == "examples"
    assert found["overview"]["examples"] == len(examples)
    rows = {row["feature"]: row for row in found["features"]["features"]}
    assert rows.keys() == {name for one in examples for name in one}
    for name, row in rows.items():
        values = [one[name] for one in examples if name in one]
        kinds = {type(v[0]).__name__.replace("int", "int64") for v in values}
        assert row["kind"] == " or ".join(sorted(kinds))
        assert row["share"] == pytest.approx(len(values) / len(examples))
        assert (row["least"], row["most"]) == (min(map(len, values)), max(map(len, values)))
        assert row["mean"] == pytest.approx(sum(map(len, values)) / len(values))


def packed(counts: list[int]) -> list[dict[str, Any]]:
    found = []
    for number, count in enumerate(counts):
        one: dict[str, Any] = {
            "id": [b"%d" % number],
            "NL_num_nbrs": [count],
            "label": [number % 2],
        }
        for rank in range(count):
            one[neighbor_feature(rank, "x")] = [0.5, 0.25]
            one[neighbor_weight(rank)] = [1.0]
        found.append(one)
    return found


def test_packed_examples_tell_of_their_neighbours(tmp_path: Path) -> None:
    support.write_examples(str(tmp_path / "m"), packed([0, 0, 3, 0, 1]))
    found = inspected(tmp_path / "m")
    assert found["kind"] == "packed examples"
    neighbors = found["neighbors"]
    assert (neighbors["neighbors"], neighbors["neighbors_an_example"]) == (4, 0.8)
    assert neighbors["without"] == 3
    assert {row["neighbors"]: row["examples"] for row in neighbors["counts"]} == {0: 3, 1: 1, 3: 1}
    assert neighbors["advice"][0].startswith("60 % of the examples have no neighbour")
    rows = {row["feature"]: row for row in found["features"]["features"]}
    assert rows.keys() == {"id", "label", "NL_num_nbrs", "NL_nbr_*_x", "NL_nbr_*_weight"}
    assert (rows["NL_nbr_*_x"]["share"], rows["NL_nbr_*_x"]["most"]) == (1, 2)
    assert {row["label"]: row["examples"] for row in found["labels"]["counts"]} == {"0": 3, "1": 2}


def test_the_first_examples_are_shown_and_long_values_cut(tmp_path: Path) -> None:
    examples = [{"id": [b"a"], "v": [float(i) for i in range(100)], "b": [b"\xff" * 500]}] * 5
    support.write_examples(str(tmp_path / "e"), examples)
    rows = inspected(tmp_path / "e")["first"]["values"]
    assert [row["example"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    values = {row["feature"]: row["value"] for row in rows[:3]}
    assert values["id"] == "'a'"
    assert values["v"] == "0, 1, 2, 3, ... (100 values)"
    assert len(values["b"]) < 250


def test_tables_have_columns(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "n": [1, None], "v": [[1.0, 2.0], [3.0]]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = {
        row["feature"]: row for row in inspected(tmp_path / "t.parquet")["features"]["features"]
    }
    assert rows["n"]["share"] == 0.5
    assert (rows["v"]["least"], rows["v"]["most"]) == (1, 2)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"")
    with pytest.raises(DataError, match="e: no record, expected some"):
        inspected(tmp_path / "e")
