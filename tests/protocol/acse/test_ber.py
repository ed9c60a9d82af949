"""BER: tags of one and more octets, lengths, integers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.acse.ber import decode_integer, encode_integer, encode_tlv, iter_tlv

ITEMS = st.lists(
    st.tuples(st.sampled_from([0x02, 0x60, 0xA1, 0xBE, 0x5F1F, 0x5F8101]), st.binary(max_size=300)), max_size=5
)


@given(ITEMS)
def test_what_is_written_is_read(items):
    data = b"".join(encode_tlv(tag, value) for tag, value in items)
    assert list(iter_tlv(data)) == items


@given(st.binary(max_size=60))
def test_any_octets_read_or_raise_decode_error(data):
    with contextlib.suppress(DecodeError):
        assert sum(len(value) for _, value in iter_tlv(data)) <= len(data)


@given(st.integers(-(2**62), 2**63 - 1))
def test_integer(value):
    assert decode_integer(encode_integer(value)) == value


@pytest.mark.parametrize(("value", "contents"), [(0, "00"), (127, "7f"), (128, "0080"), (14, "0e"), (-1, "ff")])
def test_integer_is_as_short_as_can_be(value, contents):
    assert encode_integer(value).hex() == contents


@pytest.mark.parametrize("contents", [b"", bytes(9)])
def test_integer_of_no_use(contents):
    with pytest.raises(DecodeError):
        decode_integer(contents)


@pytest.mark.parametrize("data", ["a1", "a103", "a10301", "5f", "5fffffff0100", "a1800000"])
def test_cut_or_odd(data):
    with pytest.raises(DecodeError):
        list(iter_tlv(bytes.fromhex(data)))
