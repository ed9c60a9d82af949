"""SNRM and UA parameters: every legal form, and what both ends make of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.hdlc.parameters import DEFAULTS, decode_parameters, encode_parameters, negotiate
from dlms_mqtt.protocol.framing.link import LinkParameters

LENGTHS = st.integers(1, 2030)
WINDOWS = st.integers(1, 7)
PARAMETERS = st.builds(LinkParameters, LENGTHS, LENGTHS, WINDOWS, WINDOWS)


@given(PARAMETERS)
def test_round_trip(parameters: LinkParameters) -> None:
    assert decode_parameters(encode_parameters(parameters)) == parameters


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ("", DEFAULTS),
        ("818000", DEFAULTS),
        ("00", DEFAULTS),
        ("8180120501800601800704000000010804000000 01", DEFAULTS),
        ("8180140502008006020080070400000001080400000001", DEFAULTS),
        ("81801805040000010006040000010007040000000308 0400000003", LinkParameters(256, 256, 3, 3)),
        ("81800c0501f80601f8070103080103", LinkParameters(248, 248, 3, 3)),
        ("8180060502010006017f", LinkParameters(256, 127)),
        ("8180120501800601", LinkParameters(128)),  # cut
        ("818006050100080200 02", LinkParameters(window_receive=2)),  # a zero is no length
        ("81800942010905018006 0140", LinkParameters(128, 64)),  # one that is not known
    ],
)
def test_forms(information: str, expected: LinkParameters) -> None:
    assert decode_parameters(bytes.fromhex(information)) == expected


@given(st.binary(max_size=60))
def test_anything(information: bytes) -> None:
    decode_parameters(b"\x81\x80" + information)


@given(PARAMETERS, PARAMETERS)
def test_both_ends_agree(one: LinkParameters, other: LinkParameters) -> None:
    mine, theirs = negotiate(one, other), negotiate(other, one)
    assert mine.max_info_transmit == theirs.max_info_receive <= min(one.max_info_transmit, other.max_info_receive)
    assert mine.window_receive == theirs.window_transmit
