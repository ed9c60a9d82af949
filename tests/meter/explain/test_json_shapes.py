"""APDUs and values as JSON: every field by its own name, secrets as stars, what octets say beside them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.meter.explain.json_shapes import apdu_json, pushed_json, readings_json, value_json
from dlms_mqtt.meter.push.layouts import PushValue
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext, Mechanism
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessRequest, AccessSpecification
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetRequestWithList, GetResponseWithList
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import ReadRequest, VariableName
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
SHOWN = {"class": 3, "obis": "1.0.1.8.0.255", "attribute": 2}
SEVEN = Data(DataType.UNSIGNED, 7)
INVOKED = {"invoke_id": 1, "confirmed": True, "high_priority": True}


def test_a_request_and_its_selection() -> None:
    assert apdu_json(GetRequestNormal(0xC1, ENERGY)) == {**INVOKED, "attribute": SHOWN}
    selected = apdu_json(GetRequestNormal(0x41, ENERGY, (2, SEVEN)))
    assert (selected["access"], selected["high_priority"]) == ({"selector": 2, "selection": ["unsigned", 7]}, False)
    listed = apdu_json(GetRequestWithList(0xC1, ((ENERGY, None), (ENERGY, (1, SEVEN)))))
    assert listed["attributes"] == [SHOWN, {**SHOWN, "access": {"selector": 1, "selection": ["unsigned", 7]}}]


def test_results_are_shown_even_where_there_are_none() -> None:
    shown = apdu_json(GetResponseWithList(0xC1, (SEVEN, DataAccessResult.OBJECT_UNDEFINED, 99)))
    assert shown["results"] == [["unsigned", 7], "object-undefined", 99]
    assert apdu_json(GetResponseWithList(0xC1, ()))["results"] == []


def test_names_of_fields_of_what_is_carried() -> None:
    method = MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)
    shown = apdu_json(AccessRequest(5, bytes(3), (AccessSpecification(AccessKind.ACTION, method),), (SEVEN,)))
    assert (shown["long_invoke_id_and_priority"], shown["invoke_id"], shown["date_time"]) == ("00000005", 5, "000000")
    assert shown["specifications"][0]["target"] == {"class": 70, "obis": "0.0.96.3.10.255", "method": 1}
    assert apdu_json(ReadRequest((VariableName(8),)))["variables"] == [{"name": 8}]


def test_an_initiate_request_is_opened_and_its_key_is_a_star() -> None:
    initiate = InitiateRequest(Secret(b"k" * 16), conformance=Conformance.GET).encode()
    shown = apdu_json(
        Aarq(
            ApplicationContext.LN,
            mechanism=Mechanism.LLS,
            authentication_value=Secret(b"12345678"),
            user_information=initiate,
        )
    )
    assert shown["authentication_value"] == "***"
    assert shown["user_information"]["name"] == "initiate-request"
    assert shown["user_information"]["dedicated_key"] == "***"
    assert shown["user_information"]["conformance"] == ["get"]
    assert "12345678" not in json.dumps(shown) and "kkkk" not in json.dumps(shown)
    assert apdu_json(Aarq(ApplicationContext.LN, user_information=b"\xff"))["user_information"] == "ff"


def test_what_is_no_message_has_no_fields() -> None:
    assert apdu_json("text") == {}  # type: ignore[arg-type]


TIME = bytes.fromhex("07ea0b1e010c000000ffc400")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (PushValue(SEVEN, place=0), {"index": 0, "type": "unsigned", "raw": 7}),
        (
            PushValue(Data(DataType.LONG, -15), ENERGY.obis, None, 3, 2, ScalerUnit(-1, 30)),
            {"obis": "1.0.1.8.0.255", "class": 3, "attribute": 2, "raw": -15, "scaler": -1, "unit": "Wh"},
        ),
        (
            PushValue(Data(DataType.LONG64_UNSIGNED, 2**64 - 1), ENERGY.obis, None, 3, 2, ScalerUnit(-1, 30)),
            {"value": Decimal("1844674407370955161.5")},
        ),
        (PushValue(Data(DataType.OCTET_STRING, b"KFM_001"), place=2), {"text": "KFM_001"}),
        (PushValue(Data(DataType.OCTET_STRING, TIME), place=3), {"datetime": "2026-11-30T12:00:00+01:00"}),
        (PushValue(Data(DataType.OCTET_STRING, b"\xff"), place=4), {"raw": "ff"}),
    ],
)
def test_pushed_values(value: PushValue, shown: dict[str, Any]) -> None:
    found = value_json(value)
    assert found | shown == found
    assert ("text" in found) is ("text" in shown)


def test_containers_have_no_raw_value() -> None:
    assert "raw" not in value_json(PushValue(Data(DataType.ARRAY, (SEVEN,)), place=0))


def test_readings_as_they_are_published() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    reading = Reading(ENERGY.obis, 3, 2, "energy_import", 7, 0, Decimal(7), "kWh", moment)
    (row,) = readings_json([reading], UTC)
    assert (row["key"], row["value"], row["time"]) == ("energy_import", Decimal(7), "2026-01-01T00:00:00+00:00")
    assert readings_json([reading], UTC, timed=False)[0]["time"] is None


def test_a_push_is_as_old_as_it_says() -> None:
    code, five = Data(DataType.OCTET_STRING, ENERGY.obis), Data(DataType.DOUBLE_LONG_UNSIGNED, 5)
    body = encode(Data(DataType.STRUCTURE, (code, five)))
    for time, told in ((TIME, "2026-11-30T11:00:00+00:00"), (None, None)):
        (row,) = pushed_json(PushedValues(DataNotification(1, time, body)), UTC)
        assert (row["obis"], row["time"]) == ("1.0.1.8.0.255", told)
