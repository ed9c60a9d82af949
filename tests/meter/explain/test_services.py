"""Services in ``decode``: every published vector field by field, and dialogues whose values come in blocks or lists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlms_mqtt.meter.explain.explain import Explainer, explain
from dlms_mqtt.protocol.apdu import Part
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessOutcome, AccessRequest, AccessResponse, AccessSpecification
from dlms_mqtt.protocol.apdu.action import ActionRequestFirstPblock, ActionRequestPblock, ActionResponsePblock
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetRequestWithList, GetResponseBlock
from dlms_mqtt.protocol.apdu.set import SetRequestBlock, SetRequestFirstBlock
from dlms_mqtt.protocol.apdu.short_name import (
    DataBlockResult,
    InformationReportRequest,
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
    WriteRequest,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys
from tests.frames_data import Entry, entries, entry, entry_id
from tests.meter.explain.test_explain import one_message

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
CLOCK = AttributeDescriptor(8, Obis.parse("0.0.1.0.0.255"), 2)
RESET = MethodDescriptor(3, Obis.parse("1.0.1.8.0.255"), 1)
NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 1234)
TEXT = Data(DataType.OCTET_STRING, b"hello")
NOTHING = Data(DataType.NULL_DATA, None)
#: the name of a field here where it is not that of the published entries
OTHER_NAMES = {"last_block": "last", "return_error": "error"}


def parts(*messages: Apdu) -> list[dict[str, Any]]:
    """A dialogue through one explainer."""
    explainer = Explainer()
    shown = [explainer.apdu(Part(message.encode())) for message in messages]
    json.dumps(shown)
    return shown


def dotted(target: dict[str, Any]) -> dict[str, Any]:
    return target | {"obis": str(Obis.parse(target["obis"]))}


@pytest.mark.parametrize("vector", entries("vectors_services"), ids=entry_id)
def test_every_service(vector: Entry) -> None:
    message, expected = one_message(explain(bytes.fromhex(vector["apdu"]))), dict(vector["expected"])
    shown = message["apdu"]
    assert shown["name"] == expected.pop("service")
    invoke = expected.pop("invoke")
    assert {name: shown[name] for name in ("invoke_id", "confirmed", "high_priority")} == {
        name: invoke[name] for name in ("invoke_id", "confirmed", "high_priority")
    }
    for name, value in expected.items():
        check(name, value, shown, message)


def check(name: str, value: Any, shown: dict[str, Any], message: dict[str, Any]) -> None:
    if name in ("attribute", "method"):
        selection = {part: value[part] for part in ("selector", "selection") if part in value}
        assert shown[name] == {part: dotted(value)[part] for part in value if part not in selection}
        assert shown.get("access", {}) == selection
    elif name == "attributes":
        assert shown[name] == [dotted(target) for target in value]
    elif name == "data":
        assert message["tree"] == value
    elif name == "raw_data":
        assert shown["data"] == value
    elif name == "results":
        assert shown[name] == [row["data"] if isinstance(row, dict) else row for row in value]
    elif name == "values":
        assert shown[name] == value
    else:
        assert shown[OTHER_NAMES.get(name, name)] == value


@pytest.mark.parametrize("vector", entries("vectors_association"), ids=entry_id)
def test_every_association(vector: Entry) -> None:
    expected = vector["expected"]
    shown = one_message(explain(bytes.fromhex(vector["apdu"])))["apdu"]
    assert shown["name"] == expected["service"]
    for name in ("application_context", "mechanism", "calling_ap_title", "acse_requirements", "reason"):
        assert shown.get(name) == expected.get(name)
    carried = shown.get("user_information", {})
    initiate = expected.get("initiate_request") or expected.get("initiate_response") or {}
    for name in ("dlms_version", "conformance", "response_allowed", "quality_of_service"):
        assert carried.get(name) == initiate.get(name)
    if "ciphered_initiate" in expected:
        ciphered = expected["ciphered_initiate"]
        names = ("tag", "authenticated", "encrypted", "invocation_counter")
        assert {name: carried["ciphering"][name] for name in names} == {name: ciphered[name] for name in names}
        assert carried["ciphering"]["verified"] is None


def test_a_ciphered_initiate_is_opened() -> None:
    """The Green Book's AARQ and AARE: the keys are those of the ciphered messages of the same example."""
    texts = entry("vectors_ciphered_apdus", "gb-initiate-request-ciphered")["keys"]
    keys = Keys(*(Secret.fromhex(texts[kind]) for kind in ("encryption", "authentication")))
    data = bytes.fromhex(entry("vectors_association", "u9n-aarq-4")["apdu"])
    carried = one_message(explain(data, keys))["apdu"]["user_information"]
    assert carried["name"] == "initiate-request"
    assert carried["ciphering"]["verified"] is True
    assert carried["max_pdu_size"] == 1200
    assert carried["dedicated_key"] == "***"
    document = explain(data, Keys(keys.encryption, Secret(bytes(16))))
    assert one_message(document)["apdu"]["user_information"]["ciphering"]["verified"] is False
    assert [error["code"] for error in document["errors"]] == ["tag"]


@pytest.mark.parametrize("vector", entries("vectors_hdlc", group="hdlc-frame"), ids=entry_id)
def test_parameters_of_the_link(vector: Entry) -> None:
    document = explain(bytes.fromhex(vector["hex"]))
    (frame,) = [*document.get("frames", ()), *(frame for part in document["messages"] for frame in part["frames"])]
    assert (frame["type"], frame["valid"]) == (vector["expected"]["type"], True)
    assert frame.get("parameters") == vector["expected"].get("parameters")


@pytest.mark.parametrize("vector", [v for v in entries("vectors_data") if "tree" in v["expected"]], ids=entry_id)
def test_a_bare_value(vector: Entry) -> None:
    """What somebody cut out of a message, or another program printed."""
    message = one_message(explain(bytes.fromhex(vector["hex"])))
    assert (message["framing"], message["apdu"], message["tree"]) == (
        "raw-data",
        {"name": "data"},
        vector["expected"]["tree"],
    )
    if vector["id"] == "kamstrup-han-list-u9n":
        assert [value.get("obis") for value in message["values"]].count("1.1.1.7.0.255") == 1


@pytest.mark.parametrize("text", ["", "00", "0a05", "0a0561", "02020f01"])
def test_what_is_no_whole_value(text: str) -> None:
    assert explain(bytes.fromhex(text))["messages"] == []


# -- values in blocks --------------------------------------------------------------------------------------------------


def test_a_long_get() -> None:
    body = encode(TEXT)
    blocks = [GetResponseBlock(0xC1, number == 2, number, None, body[at : at + 4]) for number, at in ((1, 0), (2, 4))]
    request, first, last = parts(GetRequestNormal(0xC1, CLOCK), *blocks)
    assert "tree" not in request
    assert "tree" not in first
    assert last["tree"] == ["octet-string", b"hello".hex()]
    (value,) = last["values"]
    assert (value["obis"], value["class"], value["attribute"], value["text"]) == ("0.0.1.0.0.255", 8, 2, "hello")


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 2, 2), (1, 1, 3)], ids=str)
def test_blocks_that_are_missing_or_come_twice_are_not_joined(numbers: tuple[int, ...]) -> None:
    body = encode(TEXT)
    last = len(numbers) - 1
    blocks = [GetResponseBlock(0xC1, at == last, number, None, body[:4]) for at, number in enumerate(numbers)]
    shown = parts(GetRequestNormal(0xC1, CLOCK), *blocks)
    assert not any("tree" in part or "values" in part for part in shown)


def test_a_joined_value_that_is_damaged_leaves_its_block() -> None:
    explainer = Explainer()
    part = explainer.apdu(Part(GetResponseBlock(0xC1, True, 1, None, encode(TEXT)[:-1]).encode()))
    assert part["apdu"]["name"] == "get-response-with-datablock"
    assert "tree" not in part
    assert [error["code"] for error in explainer.errors] == ["decode"]
    refused = explainer.apdu(Part(GetResponseBlock(0xC1, True, 1, 14, b"").encode()))
    assert refused["apdu"]["error"] == "data-block-unavailable"


def test_a_list_in_blocks() -> None:
    body = b"\x02\x00" + encode(NUMBER) + b"\x01\x04"
    request = GetRequestWithList(0xC1, ((ENERGY, None), (CLOCK, None)))
    *_, last = parts(
        request, GetResponseBlock(0xC1, False, 1, None, body[:5]), GetResponseBlock(0xC1, True, 2, None, body[5:])
    )
    (value,) = last["values"]
    assert (value["obis"], value["raw"]) == ("1.0.1.8.0.255", 1234)


def test_an_answer_whose_request_was_not_heard() -> None:
    """Published: the client of a trace sends requests that are cut, the meter answers them all the same."""
    wanted = ["octet-string", b"12000017".hex()]
    (item,) = entries("conversations_gmac", id="gocosem-hls-gmac-encryption")
    keys = Keys(*(Secret.fromhex(item["keys"][kind]) for kind in ("encryption", "authentication")))
    document = explain(b"".join(bytes.fromhex(octets) for _, octets in item["frames"]), keys)
    *_, last = document["messages"]
    assert (last["apdu"]["name"], last["tree"], last["values"]) == ("get-response-normal", wanted, [])
    assert all("ciphered service needs" in error["message"] for error in document["errors"])


def test_a_long_set() -> None:
    body = encode(TEXT)
    first, last = parts(
        SetRequestFirstBlock(0xC1, CLOCK, None, False, 1, body[:3]), SetRequestBlock(0xC1, True, 2, body[3:])
    )
    assert "tree" not in first
    assert (last["tree"][1], last["values"][0]["obis"]) == (b"hello".hex(), "0.0.1.0.0.255")


def test_a_long_action() -> None:
    body = encode(TEXT)
    first, last, answer = parts(
        ActionRequestFirstPblock(0xC1, RESET, False, 1, body[:3]),
        ActionRequestPblock(0xC1, True, 2, body[3:]),
        ActionResponsePblock(0xC1, True, 1, encode(NUMBER)),
    )
    assert "tree" not in first
    assert (last["tree"], last["values"]) == (["octet-string", b"hello".hex()], [])
    assert (answer["tree"], answer["values"]) == (["double-long-unsigned", 1234], [])


# -- short names and ACCESS --------------------------------------------------------------------------------------------


def test_short_names() -> None:
    names = (VariableName(0xFA08), ParameterisedAccess(0xFA10, 1, NUMBER))
    request, answer = parts(ReadRequest(names), ReadResponse((NUMBER, TEXT)))
    assert request["apdu"]["variables"] == [
        {"name": 0xFA08},
        {"name": 0xFA10, "selector": 1, "parameter": ["double-long-unsigned", 1234]},
    ]
    assert [(value["variable_name"], value["raw"]) for value in answer["values"]] == [
        (0xFA08, 1234),
        (0xFA10, b"hello".hex()),
    ]
    _, single = parts(ReadRequest(names[:1]), ReadResponse((NUMBER,)))
    assert single["tree"] == ["double-long-unsigned", 1234]
    _, refused = parts(ReadRequest(names[:1]), ReadResponse((4,)))
    assert (refused["values"], "tree" in refused) == ([], False)
    (written,) = parts(WriteRequest(names[:1], (NUMBER,)))
    assert written["values"][0]["variable_name"] == 0xFA08
    (report,) = parts(InformationReportRequest(None, names[:1], (TEXT,)))
    assert report["values"][0]["text"] == "hello"


def test_a_long_read() -> None:
    body = encode(TEXT)
    results = [DataBlockResult(number == 2, number, body[at : at + 4]) for number, at in ((1, 0), (2, 4))]
    _, first, last = parts(ReadRequest((VariableName(8),)), *(ReadResponse((result,)) for result in results))
    assert "tree" not in first
    assert (last["tree"][1], last["values"][0]["variable_name"]) == (b"hello".hex(), 8)


def test_access() -> None:
    wanted = (
        AccessSpecification(AccessKind.GET, ENERGY),
        AccessSpecification(AccessKind.SET, CLOCK),
        AccessSpecification(AccessKind.ACTION, RESET),
    )
    outcomes = tuple(AccessOutcome(entry.kind, 0) for entry in wanted)
    request, answer = parts(
        AccessRequest(1, None, wanted, (NOTHING, TEXT, NOTHING)),
        AccessResponse(1, None, None, (NUMBER, NOTHING, NOTHING), outcomes),
    )
    assert [value["obis"] for value in request["values"]] == ["0.0.1.0.0.255"]
    assert [(value["obis"], value["raw"]) for value in answer["values"]] == [("1.0.1.8.0.255", 1234)]
