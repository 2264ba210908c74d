"""`nsl_tools.formats.protobuf.wire` at the limits that protobuf's parser has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import NEEDS_PROTOBUF_7

from nsl_tools.formats.protobuf.wire import (
    WireError,
    fields,
    read_varint,
    write_field,
    write_varint,
)

_START_GROUP, _END_GROUP = b"\x2b", b"\x2c"

_MESSAGES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\x20" + b"\x80" * 9 + b"\x01", id="varint of ten bytes"),
    pytest.param(b"\x20" + b"\xff" * 9 + b"\x7f", id="varint above 64 bits"),
    pytest.param(b"\xa0\x80\x80\x80\x00\x01", id="tag padded to five bytes"),
    pytest.param(b"\x22\x80\x80\x80\x80\x00", id="length padded to five bytes"),
    pytest.param(b"\xf8\xff\xff\xff\x0f\x01", id="largest field number"),
    pytest.param(b"\x23\x24", id="empty group"),
    pytest.param(b"\x23\x00\x01\x24", id="field number 0 inside a group", marks=NEEDS_PROTOBUF_7),
    pytest.param(_START_GROUP * 100 + _END_GROUP * 100, id="groups 100 deep"),
]
_NOT_MESSAGES = [
    pytest.param(b"\x20", id="no value"),
    pytest.param(b"\x20\x80", id="varint cut"),
    pytest.param(b"\x20" + b"\x80" * 10 + b"\x01", id="varint of eleven bytes"),
    pytest.param(b"\xa0\x80\x80\x80\x80\x00\x01", id="tag padded to six bytes"),
    pytest.param(
        b"\x22\x80\x80\x80\x80\x80\x00", id="length padded to six bytes", marks=NEEDS_PROTOBUF_7
    ),
    pytest.param(b"\xf8\xff\xff\xff\x1f\x01", id="tag above 32 bits"),
    pytest.param(b"\x22\xff\xff\xff\xff\x0f", id="length above 2 GiB"),
    pytest.param(b"\x22\x02a", id="content cut"),
    pytest.param(b"\x25abc", id="fixed32 cut"),
    pytest.param(b"\x21abcdefg", id="fixed64 cut"),
    pytest.param(b"\x00\x01", id="field number 0"),
    pytest.param(b"\x24", id="group closed but not open"),
    pytest.param(b"\x23", id="group not closed"),
    pytest.param(b"\x23\x2c", id="group closed as another"),
    pytest.param(b"\x26", id="wire type 6"),
    pytest.param(b"\x27", id="wire type 7"),
    pytest.param(_START_GROUP * 101 + _END_GROUP * 101, id="groups 101 deep"),
]


@pytest.mark.parametrize("message", _MESSAGES)
def test_messages_that_protobuf_accepts(tf: Any, message: bytes) -> None:
    """Every legal form of a field is walked to the end of the message."""
    tf.train.Example.FromString(message)
    walked = list(fields(message, 0, len(message)))
    assert (walked[-1][2] if walked else 0) <= len(message)


@pytest.mark.parametrize("message", _NOT_MESSAGES)
def test_messages_that_protobuf_rejects(tf: Any, message: bytes) -> None:
    """Every illegal form of a field is an error."""
    with pytest.raises(Exception, match="Error parsing"):
        tf.train.Example.FromString(message)
    with pytest.raises(WireError):
        list(fields(message, 0, len(message)))


@given(st.integers(0, 2**64 - 1))
def test_varints_come_back(value: int) -> None:
    """A varint is read back with the position after it."""
    encoded = write_varint(value)
    assert read_varint(b"\xff" + encoded + b"\xff", 1, len(encoded) + 1) == (
        value,
        len(encoded) + 1,
    )


@given(st.integers(0, 2**64 - 1))
def test_cut_varints_are_errors(value: int) -> None:
    """A varint that passes the end of its span is refused, even if bytes follow."""
    encoded = write_varint(value)
    with pytest.raises(WireError, match="cut or too long"):
        read_varint(encoded, 0, len(encoded) - 1)


@given(st.binary(max_size=300))
def test_delimited_fields_come_back(content: bytes) -> None:
    """The span of a delimited field is its content."""
    field = write_field(0x0A, content)
    assert [field[start:end] for _, start, end in fields(field, 0, len(field))] == [content]
