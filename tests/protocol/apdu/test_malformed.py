"""Published messages with odd contents, and octets that are no message: a DecodeError in words, nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError, DlmsMqttError
from dlms_mqtt.protocol.apdu import TABLE, decode_apdu, decode_prefix, split_apdus
from dlms_mqtt.protocol.apdu.general import CipheredApdu, GeneralBlockTransfer
from tests.frames_data import entries, entry, entry_id
from tests.octets import strip_llc
from tests.protocol.apdu.drive import frames


@pytest.mark.parametrize("broken", entries("malformed", framing="hdlc"), ids=entry_id)
def test_contents_of_broken_traffic(broken: dict[str, Any]) -> None:
    for frame in frames(broken["hex"]):
        for part, _ in split_apdus(frame.information):
            try:
                message, _ = decode_prefix(part)
            except DecodeError:
                continue
            assert isinstance(message, GeneralBlockTransfer)  # whose first blocks are missing


@pytest.mark.parametrize("name", ["gocosem-glo-length-cb", "gocosem-glo-length-c8"])
def test_ciphered_service_shorter_than_it_says(name: str) -> None:
    broken = entry("malformed", name)
    (frame,) = frames(broken["hex"])
    declared, present = broken["expected"]["declared"], broken["expected"]["present"]
    with pytest.raises(DecodeError, match=f"needs {declared} bytes, {present} left"):
        decode_apdu(strip_llc(frame.information))


def test_unknown_tag_is_named() -> None:
    (frame,) = frames(entry("malformed", "natris-ff-fd")["hex"])
    with pytest.raises(DecodeError, match="tag ff is not known"):
        decode_apdu(strip_llc(frame.information))


@pytest.mark.parametrize(
    ("hex_text", "words"),
    [
        ("", "empty"),
        ("c0", "no known form"),
        ("c009c1", "c0 09 begins no known form"),
        ("c401c102", "get-data-result 2 is not known"),
        ("c401c100", "value is missing"),
        ("c101c100080000010000ff0200", "value is missing"),
        ("c701c10001", "value is missing"),
        ("0f0000000100", "ends before its body"),
        ("0501090000", "variable-access-specification 9 is not known"),
        ("0c01090000", "read-result 9 is not known"),
        ("d9000000010001 06 000000000000000000", "access-request-specification 6 is not known"),
        ("dd0000000000 01 05", "key-info 5 is not known"),
    ],
)
def test_reason(hex_text: str, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode_apdu(bytes.fromhex(hex_text))


@pytest.mark.parametrize("head", ["c003c1", "c403c1", "c104c1", "c505c1", "c303c1", "c703c1", "05", "0c", "06", "0d"])
def test_a_count_is_believed_only_as_far_as_there_are_octets(head: str) -> None:
    start = time.process_time()
    with pytest.raises(DecodeError, match="items announced"):
        decode_apdu(bytes.fromhex(head) + b"\x84\xff\xff\xff\xff" + bytes(1000))
    assert time.process_time() - start < 1


def test_wrong_class_for_the_octets() -> None:
    with pytest.raises(DecodeError, match="does not begin a general-block-transfer"):
        GeneralBlockTransfer.decode(b"\xdb\x00\x00")
    with pytest.raises(DecodeError, match="no ciphered service"):
        CipheredApdu.decode(b"\xc0\x00")


HEADS = st.sampled_from(sorted(TABLE))


@given(st.one_of(st.binary(max_size=60), st.builds(bytes.__add__, HEADS, st.binary(max_size=80))))
def test_any_octets_decode_or_raise(data: bytes) -> None:
    try:
        message, end = decode_prefix(data)
    except DecodeError:
        return
    assert 0 < end <= len(data)
    again = decode_apdu(message.encode())
    assert again.encode() == message.encode()


@given(st.lists(st.one_of(HEADS, st.binary(max_size=12)), max_size=20).map(b"".join))
@example(b"\xe6\xe6\x00")
def test_splitting_never_fails_and_loses_nothing(data: bytes) -> None:
    parts = [part.octets for part in split_apdus(data)]
    assert sum(map(len, parts)) <= len(data)
    assert all(parts)
    if b"\xe6" not in data:
        assert b"".join(parts) == data


@given(st.binary(max_size=200))
def test_only_errors_of_the_tree(data: bytes) -> None:
    for head in (b"", b"\xc4\x01", b"\x0f", b"\x61", b"\xc7\x01\x01\x00\x01"):
        try:
            message = decode_apdu(head + data)
            _ = getattr(message, "value", None), getattr(message, "trailing", None), message.encode(), repr(message)
        except DlmsMqttError:
            pass
