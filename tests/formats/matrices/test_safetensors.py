"""`.safetensors` files."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix_files import rows_of

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.safetensors import SafetensorsEmbeddings

MATRIX = np.random.default_rng(0).integers(0, 100, (7, 3)).astype(np.float32)


def write(path: Path, header: Any, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tensor(kind: str, shape: list[int], start: int, size: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, start + size]}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("F32", "<f4"), ("F16", "<f2"), ("F64", "<f8"), ("I8", "i1"), ("U8", "u1"), ("I64", "<i8")],
)
def test_numbers_of_every_type(tmp_path: Path, name: str, kind: str) -> None:
    """Behind another tensor, of another shape."""
    data = MATRIX.astype(kind).tobytes()
    header = {
        "__metadata__": {"format": "pt"},
        "scale": tensor("F32", [1], 0, 4),
        "x": tensor(name, [7, 3], 4, len(data)),
    }
    path = write(tmp_path / "v", header, bytes(4) + data)
    np.testing.assert_array_equal(rows_of(SafetensorsEmbeddings, path), MATRIX)


def test_bfloat16_and_a_name(tmp_path: Path) -> None:
    halves = (MATRIX.view(np.uint32) >> 16).astype("<u2")
    header = {"a": tensor("BF16", [7, 3], 0, 42), "b": tensor("BF16", [7, 3], 42, 42)}
    path = write(tmp_path / "v", header, bytes(42) + halves.tobytes())
    np.testing.assert_array_equal(rows_of(SafetensorsEmbeddings, path, array="b"), MATRIX)
    with pytest.raises(DataError, match="2 matrices, expected one, or --array"):
        rows_of(SafetensorsEmbeddings, path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"", "its header is not what it should be"),
        (b"[1]", "its header is not what it should be"),
        (b"{" * 10_000, "its header is not what it should be"),
        ({"x": {"dtype": "F32", "shape": [7, 3]}}, "its header is not what it should be"),
        ({"x": tensor("F32", [7, -3], 0, 84)}, "its header is not what it should be"),
        ({"x": tensor("F32", [7, 3.0], 0, 84)}, "its header is not what it should be"),  # type: ignore[list-item]
        ({"x": tensor("F8_E4M3", [7, 12], 0, 84)}, "of object, expected a matrix of numbers"),
        ({"x": tensor("F32", [7, 3], 0, 80)}, "80 bytes of numbers, expected 84"),
        ({"x": tensor("F32", [7, 3], 4, 84)}, "80 bytes of numbers, expected 84"),
        ({"x": tensor("F32", [7, 3], 1 << 60, 84)}, "0 bytes of numbers, expected 84"),
        ({"x": tensor("F32", [21], 0, 84)}, "0 matrices, expected one"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, header: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        rows_of(SafetensorsEmbeddings, write(tmp_path / "v", header, MATRIX.tobytes()))


def test_a_header_longer_than_the_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(struct.pack("<Q", 1 << 50) + b"{}")
    with pytest.raises(DataError, match="a header of 1125899906842624 bytes, expected at most 2"):
        rows_of(SafetensorsEmbeddings, tmp_path / "v")


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tensors")
    header = {"x": tensor("F32", [7, 3], 0, 84)}
    path = write(folder / "v", header, MATRIX.tobytes())
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, 70))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        found = rows_of(SafetensorsEmbeddings, path)
    except DataError:
        return
    assert found.size <= len(whole)
