"""Pushed messages: the head of every published one, its oddities, and several in one buffer."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import decode_apdu, decode_prefix, split_apdus
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer, GeneralGloCiphering
from dlms_mqtt.protocol.apdu.notification import (
    TAGGED_DATE_TIME,
    DataNotification,
    DataNotificationConfirm,
    EventNotification,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from tests.frames_data import entries, entry, entry_id
from tests.octets import strip_llc
from tests.protocol.apdu.drive import drive, frames

# Their link layer is other people's task: M-Bus and wrapper are joined in the framing room.
PUSHES = [push for push in entries("push") if "notification" in push["expected"] and push["framing"] != "wrapper-udp"]


def plain_apdu(push: dict[str, Any]) -> bytes:
    """The notification as an APDU: deciphered where the entry says how, out of frames and blocks."""
    if "plaintext" in push["expected"]:
        return bytes.fromhex(push["expected"]["plaintext"])
    if push["framing"] == "raw-apdu":
        return strip_llc(bytes.fromhex(push["hex"]))
    found = [strip_llc(frame.information) for frame in frames(push["hex"])]
    if found[0][0] != GeneralBlockTransfer.TAG:
        return b"".join(found)
    blocks = [drive(part) for part in found]
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    return b"".join(block.data for block in blocks)


@pytest.mark.parametrize("push", PUSHES, ids=entry_id)
def test_head_and_body_of_a_push(push: dict[str, Any]) -> None:
    data, expected = plain_apdu(push), push["expected"]["notification"]
    message = decode_apdu(data)
    assert isinstance(message, DataNotification)
    assert message.encode() == data
    assert f"{message.long_invoke:08x}" == expected["long_invoke_id_and_priority"]
    time = expected["date_time"]
    assert (message.date_time.hex() if message.date_time else None) == (time and time["raw"])
    assert (message.time.raw if message.time else None) == message.date_time
    assert bool(message.quirk) == ("quirk" in expected)
    # One published body is no A-XDR (attribute descriptors without tags): the head must not mind.
    if "tree" in push["expected"]:
        assert message.value.tree() == push["expected"]["tree"]
        assert message.trailing == b""


@pytest.mark.parametrize("push", [push for push in PUSHES if "tree" in push["expected"]][::6], ids=entry_id)
def test_push_cut_at_every_octet(push: dict[str, Any]) -> None:
    drive(plain_apdu(push))


def test_a_notification_that_ends_early() -> None:
    broken = entry("malformed", "mal-nodedsmr-iskra-1")
    (frame,) = frames(broken["hex"])
    data = strip_llc(frame.information)
    with pytest.raises(DecodeError):
        decode_prefix(data)
    message = decode_apdu(data)
    assert isinstance(message, DataNotification)
    with pytest.raises(DecodeError):
        _ = message.value


FIRST = DataNotification(1, None, b"\x12\x00\x07").encode()
SECOND = DataNotification(2, bytes.fromhex("07e60810ff0f211bff800000"), b"\x02\x01\x11\x05").encode()
THIRD = GeneralGloCiphering(b"KFM\0\0\0\0\x01", b"\x30\0\0\0\x01").encode()


def split(data: bytes) -> list[bytes]:
    """What the parts are; each is decoded as if it had come alone."""
    parts = split_apdus(data)
    assert all(part.message is None or part.message == decode_apdu(part.octets) for part in parts)
    return [part.octets for part in parts]


def test_several_in_one_buffer() -> None:
    assert split(FIRST + SECOND + THIRD + FIRST) == [FIRST, SECOND, THIRD, FIRST]


@pytest.mark.parametrize("llc", [b"\xe6\xe7\x00", b"\xe6\xe6\x00"])
def test_each_behind_llc_octets(llc: bytes) -> None:
    assert split(llc + FIRST + llc + SECOND + THIRD) == [FIRST, SECOND, THIRD]


def test_octets_that_are_no_message_stay_with_the_one_before() -> None:
    assert split(FIRST + b"\0\0\0") == [FIRST + b"\0\0\0"]
    assert split(FIRST + SECOND[:-1]) == [FIRST + SECOND[:-1]]
    assert split(b"\xff\xfd") == [b"\xff\xfd"]
    assert split(b"") == []


def test_a_flood_of_messages_is_bounded() -> None:
    parts = split(FIRST * 10_000)
    assert len(parts) == 64
    assert b"".join(parts) == FIRST * 10_000


def test_date_time_as_tagged_octet_string() -> None:
    data = bytes.fromhex("0f40000000" + "090c07e40119060e000aff800000" + "1105")
    message = drive(data)
    assert isinstance(message, DataNotification)
    assert message.quirk == TAGGED_DATE_TIME
    assert message.time is not None
    assert message.time.year == 2020
    assert message.value == Data(DataType.UNSIGNED, 5)


def test_a_date_time_of_another_length_is_kept() -> None:
    message = drive(bytes.fromhex("0f00000001" + "0507e80b15ff" + "1105"))
    assert isinstance(message, DataNotification)
    assert message.date_time == bytes.fromhex("07e80b15ff")
    assert message.time is None


def test_octets_after_the_value() -> None:
    message = decode_apdu(FIRST + b"\0\0")
    assert isinstance(message, DataNotification)
    assert message.value == Data(DataType.LONG_UNSIGNED, 7)
    assert message.trailing == b"\0\0"


def test_event_notification() -> None:
    message = drive(bytes.fromhex("c2 010c07e60810ff0f211bff800000 00010000600b00ff02 1103"))
    assert isinstance(message, EventNotification)
    assert str(message.attribute) == "1/0.0.96.11.0.255:2"
    assert message.time is not None
    assert message.value == Data(DataType.UNSIGNED, 3)
    untimed = drive(bytes.fromhex("c20000010000600b00ff021103"))
    assert isinstance(untimed, EventNotification)
    assert untimed.time is None


def test_confirmation() -> None:
    assert drive(bytes.fromhex("100000000100")) == DataNotificationConfirm(1, None)
