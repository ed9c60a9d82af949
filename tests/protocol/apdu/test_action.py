"""ACTION: lists, joined outcomes, and the two octets that meters leave out of an answer."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.action import (
    ActionOutcome,
    ActionRequestFirstPblock,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestPblock,
    ActionRequestWithList,
    ActionRequestWithListFirstPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponsePblock,
    ActionResponseWithList,
    decode_outcomes,
    encode_outcomes,
)
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.apdu.results import (
    ActionResult,
    DataAccessResult,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from tests.protocol.apdu.drive import drive

SEVEN = Data(DataType.UNSIGNED, 7)


def test_action_answer_without_presence_flag() -> None:
    assert decode_apdu(bytes.fromhex("c701c100")) == ActionResponseNormal(0xC1, ActionResult.SUCCESS)


def test_action_answer_without_choice_octet() -> None:
    message = decode_apdu(bytes.fromhex("c701c100" + "01" + "0902abcd"))
    assert isinstance(message, ActionResponseNormal)
    assert message.value == Data(DataType.OCTET_STRING, b"\xab\xcd")
    assert message.encode().hex() == "c701c10001000902abcd"


def test_action_list() -> None:
    message = drive(bytes.fromhex("c703c103" + "0000" + "00010011 07" + "030101fa"))
    assert isinstance(message, ActionResponseWithList)
    assert message.results == (
        ActionOutcome(ActionResult.SUCCESS),
        ActionOutcome(ActionResult.SUCCESS, SEVEN),
        ActionOutcome(ActionResult.READ_WRITE_DENIED, DataAccessResult.OTHER_REASON),
    )


SWITCH = MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)
NAME = "0046 0000 60030aff 01"
DONE = ActionResult.SUCCESS


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (f"c301c1 {NAME} 00", ActionRequestNormal(0xC1, SWITCH, None)),
        (f"c301c1 {NAME} 01 0f00", ActionRequestNormal(0xC1, SWITCH, b"\x0f\x00")),
        ("c302c1 00000001", ActionRequestNextPblock(0xC1, 1)),
        (f"c303c1 01 {NAME} 01 1107", ActionRequestWithList(0xC1, (SWITCH,), (SEVEN,))),
        (f"c304c1 {NAME} 00 00000001 01 0f", ActionRequestFirstPblock(0xC1, SWITCH, False, 1, b"\x0f")),
        (f"c305c1 01 {NAME} 00 00000001 01 01", ActionRequestWithListFirstPblock(0xC1, (SWITCH,), False, 1, b"\x01")),
        ("c306c1 01 00000002 01 00", ActionRequestPblock(0xC1, True, 2, b"\x00")),
        ("c701c1 00 00", ActionResponseNormal(0xC1, DONE)),
        ("c701c1 00 01 00 1107", ActionResponseNormal(0xC1, DONE, None, b"\x11\x07")),
        ("c701c1 01 01 01 03", ActionResponseNormal(0xC1, ActionResult(1), DataAccessResult.READ_WRITE_DENIED)),
        ("c702c1 01 00000001 02 1107", ActionResponsePblock(0xC1, True, 1, b"\x11\x07")),
        ("c703c1 01 00 00", ActionResponseWithList(0xC1, (ActionOutcome(DONE),))),
        ("c704c1 00000001", ActionResponseNextPblock(0xC1, 1)),
    ],
)
def test_every_form_by_its_octets(octets: str, message: Apdu) -> None:
    assert drive(bytes.fromhex(octets)) == message
    assert message.encode() == bytes.fromhex(octets)


def test_a_value_that_is_announced_and_missing() -> None:
    for octets in ("c701c10001", "c701c1000100"):
        with pytest.raises(DecodeError):
            decode_apdu(bytes.fromhex(octets))


def test_joined_outcomes() -> None:
    outcomes = (ActionOutcome(DONE), ActionOutcome(ActionResult.HARDWARE_FAULT, SEVEN))
    assert decode_outcomes(encode_outcomes(outcomes)) == outcomes
    assert [outcome.ok for outcome in outcomes] == [True, False]
    with pytest.raises(DecodeError):
        decode_outcomes(encode_outcomes(outcomes)[:-1])
