"""Every published frame through ``decode``: whole, octet by octet, with octets behind it and rubbish around it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.meter.explain.explain import Explainer, explain
from dlms_mqtt.meter.json_text import dumps, plain
from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.stream.decoder import StreamDecoder
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys
from tests.frames_data import Entry, entries, entry, entry_id

PUSHES = entries("push")
PROVED = [item for item in PUSHES if item["framing"] in ("hdlc", "mbus")]
WITH_OCTETS = entries("push", "malformed", "vectors_services", "vectors_association")
CIPHERED = [item for item in entries("vectors_ciphered_apdus") if "apdu" in item and "keys" in item]
#: keys of an expected value that ``decode`` shows under the same name
SHOWN = ("index", "class", "attribute", "type", "raw", "scaler", "unit", "value", "text", "from_list")


def keys_of(item: Entry) -> Keys | None:
    texts = item.get("keys") or {}
    given_keys = {kind: Secret.fromhex(texts[kind]) for kind in ("encryption", "authentication") if kind in texts}
    if "encryption" not in given_keys:
        return None
    return Keys(given_keys["encryption"], given_keys.get("authentication", Secret()))


def octet_by_octet(data: bytes, keys: Keys | None = None) -> dict[str, Any]:
    stream = StreamDecoder()
    events = [event for at in range(len(data)) for event in stream.feed(data[at : at + 1])]
    return Explainer(keys).document([*events, *stream.finish()])


def one_message(document: dict[str, Any]) -> dict[str, Any]:
    (message,) = document["messages"]
    return message


def frame_octets(item: Entry) -> bytes:
    return bytes.fromhex(item.get("hex") or item.get("apdu") or item.get("frame") or "")


@pytest.mark.parametrize("item", PUSHES, ids=entry_id)
def test_every_push(item: Entry) -> None:
    data, keys, expected = bytes.fromhex(item["hex"]), keys_of(item), item["expected"]
    document = explain(data, keys)
    assert not document["errors"]
    message = one_message(document)
    assert document == octet_by_octet(data, keys)
    dumps(document)
    assert message["framing"] == item["framing"].removesuffix("-udp").removesuffix("-tcp")
    check_message(message, expected)
    check_frames(message["frames"], expected)
    check_blocks(message.get("blocks", []), expected.get("general_block_transfer", []))


def check_message(message: dict[str, Any], expected: dict[str, Any]) -> None:
    for part in ("tree", "plaintext"):
        if part in expected:
            assert message[part] == expected[part]
    assert len(message.get("values", ())) == len(expected.get("values", ()))
    for shown, value in zip(message.get("values", ()), expected.get("values", ()), strict=True):
        check_value(shown, value)
    if "ciphering" in expected:
        check_ciphering(message["ciphering"], expected["ciphering"])
    if ("notification" in expected and "plaintext" in message) or "ciphering" not in message:
        check_notification(message["apdu"], expected["notification"])


def check_frames(shown: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    wanted = expected.get("frames") or [expected.get("wrapper") or {}]
    for frame, row in zip(shown, wanted, strict=True):
        assert frame["valid"]
        if "type" in row:
            assert (frame["type"], frame["segmented"]) == (row["type"], row["segmented"])
            ends = [str(decode_address(bytes.fromhex(row[end]))) for end in ("src", "dst")]
        else:
            ends = [str(row.get(one, row.get(other, ""))) for one, other in ENDS]
        assert [frame["source"], frame["destination"]] == ends


ENDS = (("stsap", "source_wport"), ("dtsap", "destination_wport"))


def check_blocks(shown: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for block, row in zip(shown, expected, strict=True):
        assert (block["number"], block["acknowledged"], block["last"]) == (row["block"], row["ack"], row["last"])
        assert (block["streaming"], block["window"]) == (row["streaming"], row["window"])
        assert len(bytes.fromhex(block["data"])) == row["length"]


def check_time(shown: str | None, expected: dict[str, Any] | None) -> None:
    """Local time as sent, with its offset to UTC where the deviation tells it, and without one where it does not."""
    if expected is None:
        assert shown is None
        return
    assert shown
    moment = datetime.fromisoformat(shown)
    assert moment.replace(tzinfo=None, microsecond=0).isoformat() == expected["local"]
    minutes = expected.get("deviation_minutes")
    assert moment.utcoffset() == (None if minutes is None else -timedelta(minutes=minutes))


def check_value(shown: dict[str, Any], value: dict[str, Any]) -> None:
    assert {name: plain(shown.get(name)) for name in SHOWN if name in value} == {
        name: value[name] for name in SHOWN if name in value
    }
    if "obis" in value:
        assert shown["obis"] == str(Obis.parse(value["obis"]))
        assert shown["name"]
    check_time(shown.get("datetime"), value.get("datetime"))
    assert ("text" in shown) == ("text" in value)
    assert ("scaler" in shown) == ("scaler" in value) or "from_list" in shown


def check_ciphering(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in ("tag", "system_title", "authenticated", "encrypted", "invocation_counter"):
        assert shown[name] == expected[name]
    assert shown["suite"] == expected["security_suite"]
    assert shown["verified"] in (None, True)


def check_notification(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    assert shown["name"] == expected["apdu"]
    assert shown["long_invoke_id_and_priority"] == expected["long_invoke_id_and_priority"]
    if "invoke_id" in expected:
        assert shown["invoke_id"] == expected["invoke_id"]
    check_time(shown.get("date_time"), expected["date_time"])
    assert ("quirk" in shown) == ("quirk" in expected)


@pytest.mark.parametrize("item", PROVED, ids=entry_id)
def test_rubbish_between_messages(item: Entry) -> None:
    data, keys = bytes.fromhex(item["hex"]), keys_of(item)
    wanted = one_message(explain(data, keys))
    for rubbish in (b"\x00", b"~", b"\xff\x13h\x05", b"~\xa0~~\x99"):
        stream = rubbish + data + rubbish + data + rubbish
        document = explain(stream, keys)
        assert document["messages"] == [wanted, wanted]
        assert document["messages"] == octet_by_octet(stream, keys)["messages"]
    assert "ff13" in explain(b"\xff\x13" + data)["rest"]


@pytest.mark.parametrize("item", [item for item in PUSHES if "ciphering" in item["expected"]], ids=entry_id)
def test_without_keys_the_header_alone(item: Entry) -> None:
    document = explain(bytes.fromhex(item["hex"]))
    message = one_message(document)
    check_ciphering(message["ciphering"], item["expected"]["ciphering"])
    assert message["ciphering"]["verified"] is None
    assert not document["errors"]
    assert "plaintext" not in message
    assert "values" not in message


@pytest.mark.parametrize("item", [item for item in PUSHES if keys_of(item)], ids=entry_id)
def test_a_wrong_key_is_said(item: Entry) -> None:
    authenticated = item["expected"]["ciphering"]["authenticated"]
    document = explain(bytes.fromhex(item["hex"]), Keys(Secret(bytes(16)), Secret(bytes(16))))
    message = one_message(document)
    assert message["ciphering"]["verified"] is (False if authenticated else None)
    assert document["errors"]
    assert "values" not in message


@pytest.mark.parametrize(
    "item",
    [item for item in PUSHES if keys_of(item) and not item["expected"]["ciphering"]["authenticated"]],
    ids=entry_id,
)
@pytest.mark.parametrize("key", range(20))
def test_no_wrong_key_is_called_a_damaged_message(item: Entry, key: int) -> None:
    """Without a tag, a wrong key decrypts to anything; that may begin like an APDU."""
    document = explain(bytes.fromhex(item["hex"]), Keys(Secret(bytes([key] * 16))))
    assert [error["code"] for error in document["errors"]] == ["key"]


def test_a_tag_is_verified_with_the_authentication_key() -> None:
    items = [item for item in PUSHES if (item.get("keys") or {}).get("authentication")]
    verified = [one_message(explain(bytes.fromhex(item["hex"]), keys_of(item)))["ciphering"] for item in items]
    assert verified
    assert all(ciphering["verified"] is (True if ciphering["authenticated"] else None) for ciphering in verified)


@pytest.mark.parametrize("item", CIPHERED, ids=entry_id)
def test_ciphered_apdus(item: Entry) -> None:
    title = bytes.fromhex(item.get("originator_system_title") or item.get("system_title") or "")
    document = explain(bytes.fromhex(item["apdu"]), keys_of(item), title)
    message = one_message(document)
    expected = item.get("expected", {})
    if item["group"] == "ciphered-apdu-must-fail":
        assert document["errors"]
        assert message["ciphering"]["verified"] is False
        assert "plaintext" not in message
    elif expected.get("plaintext"):
        assert message["plaintext"] == expected["plaintext"]
        assert message["ciphering"]["verified"] is (True if expected["authenticated"] else None)


@pytest.mark.parametrize("item", entries("conversations"), ids=entry_id)
def test_conversations(item: Entry) -> None:
    data = b"".join(bytes.fromhex(text) for _, text in item["frames"])
    document = explain(data)
    assert not document["rest"]
    assert not document["errors"]
    assert document == octet_by_octet(data)
    names = Counter(message["apdu"]["name"] for message in document["messages"])
    assert names == Counter(item["expected"]["services"])
    check_reads(document, item["expected"].get("reads", ()))
    dumps(document)


def check_reads(document: dict[str, Any], reads: Any) -> None:
    """Each value that was read is labelled with the object that was asked for."""
    found = [
        (value["class"], value["obis"], value["attribute"], value["type"])
        for message in document["messages"]
        for value in message.get("values", ())
    ]
    wanted = [
        (read["class"], str(Obis.parse(read["obis"])), read["attribute"], read["data"][0])
        for read in reads
        if "data" in read and "class" in read
    ]
    for read in wanted:
        assert read in found
        found.remove(read)


@pytest.mark.parametrize("item", entries("malformed", "malformed_published"), ids=entry_id)
def test_malformed(item: Entry) -> None:
    data, expected = bytes.fromhex(item["hex"]), item["expected"]
    document = explain(data)
    frames = [*document.get("frames", ()), *(f for m in document["messages"] for f in m["frames"])]
    valid = [frame for frame in frames if frame["valid"]]
    assert all(frame["reason"] for frame in frames if not frame["valid"])
    for count in ("frames", "mbus_frames"):
        assert len(valid) == expected.get(count, len(valid))
    if expected.get("complete_message") is False or expected.get("complete") is False:
        assert document["messages"] == []
    sound = expected.get("frames") != 0 and expected.get("fcs_ok", True) and expected.get("checksum_ok", True)
    assert bool(valid) == sound
    assert not any("values" in message or "tree" in message for message in document["messages"])
    if valid:  # a valid frame of which nothing comes is explained
        assert document["errors"] or all(frame.get("reason") for frame in document["frames"])
    assert document["messages"] == octet_by_octet(data)["messages"]
    dumps(document)


@pytest.mark.parametrize("item", [item for item in WITH_OCTETS if frame_octets(item)], ids=entry_id)
@pytest.mark.parametrize("behind", [b"\x00", b"\xff" * 9, b"\x7e\xa0\x07"], ids=["one", "nine", "beginning"])
def test_octets_behind(item: Entry, behind: bytes) -> None:
    document = explain(frame_octets(item) + behind, keys_of(item))
    dumps(document)
    if item["kind"] == "push" and item["framing"] != "raw-apdu":
        assert one_message(document) == one_message(explain(frame_octets(item), keys_of(item)))


@pytest.mark.parametrize("item", PROVED[::5], ids=entry_id)
def test_cut_anywhere(item: Entry) -> None:
    """Never an exception, and never a value that is not in the whole message."""
    data = bytes.fromhex(item["hex"])
    for length in range(0, len(data), 7):
        document = explain(data[:length])
        assert not any(message.get("values") for message in document["messages"]) or length > len(data) // 2


@given(st.binary(max_size=300))
def test_any_octets(data: bytes) -> None:
    dumps(explain(data))
    dumps(explain(data, Keys(Secret(bytes(16)), Secret(bytes(16))), bytes(8)))


@given(st.binary(max_size=120), st.sampled_from(sorted({0x0F, *range(0xC0, 0xCD), 0x60, 0x61, 0xDB, 0xE0, 0xC8})))
def test_any_content_of_a_valid_frame(data: bytes, tag: int) -> None:
    frame = encode_frame(0x13, b"\x02\x23", b"\x21", b"\xe6\xe7\x00" + bytes([tag]) + data)
    document = explain(frame)
    dumps(document)
    assert document["messages"] or document.get("frames")


def test_secrets_are_stars() -> None:
    item = entry("conversations", "wirenboard-lls-temperature")
    document = explain(b"".join(bytes.fromhex(text) for _, text in item["frames"]))
    aarq = next(message["apdu"] for message in document["messages"] if message["apdu"]["name"] == "aarq")
    assert aarq["authentication_value"] == "***"
    assert b"111111".hex() not in dumps(document)
