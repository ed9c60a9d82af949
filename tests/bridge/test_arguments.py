"""Fields of a request: objects in every spelling, times, rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dlms_mqtt.bridge.api.replies import RequestError
from dlms_mqtt.bridge.requests.arguments import moment_in, reference_in
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.protocol.obis import Obis

ENERGY = Obis((1, 0, 1, 8, 0, 255))
DEMAND = Obis((1, 0, 1, 6, 0, 255))


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"obis": "1-0:1.8.0"}, ObjectRef(None, ENERGY)),
        ({"obis": "0100010800FF", "class": 3, "attribute": 3}, ObjectRef(3, ENERGY, 3)),
        ({"obis": "1.8.0:value", "attribute": 3}, ObjectRef(None, ENERGY, 3)),
        ({"obis": "3/1.8.0:2"}, ObjectRef(3, ENERGY, 2)),
        ("3/1.8.0:2", ObjectRef(3, ENERGY, 2)),
        ("energy_import", ObjectRef(None, ENERGY, 2)),
        ({"obis": "demand_max_import_time"}, ObjectRef(4, DEMAND, 5)),
        ({"obis": "demand_max_import_time", "class": 5, "attribute": 6}, ObjectRef(5, DEMAND, 6)),
    ],
)
def test_an_attribute(row: object, found: ObjectRef) -> None:
    assert reference_in(row, "attribute") == found


def test_a_method_is_never_the_attribute_of_a_key() -> None:
    assert reference_in({"obis": "demand_max_import_time"}, "method").is_whole
    assert reference_in({"obis": "energy_import", "method": 1}, "method") == ObjectRef(None, ENERGY, 1)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "bad-request"),
        (7, "bad-request"),
        ({"obis": 7}, "bad-request"),
        ({"obis": "nonsense"}, "invalid-value"),
        ({"obis": "65536/1.8.0"}, "invalid-value"),
        ({"obis": "1.8.0", "class": 65536}, "bad-request"),
        ({"obis": "1.8.0", "attribute": True}, "bad-request"),
    ],
)
def test_nonsense(row: object, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        reference_in(row, "attribute")
    assert caught.value.code == code


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"), [("24h", timedelta(days=1)), ("now", timedelta(0)), ("2026-11-22T10:30", timedelta(minutes=90))]
)
def test_ends_of_a_range(text: str, ago: timedelta) -> None:
    assert moment_in(text, NOW, "from") == NOW - ago


@pytest.mark.parametrize(("text", "name"), [("24h", "set"), ("now", "set"), ("soon", "to"), (7, "from"), ("w", "to")])
def test_what_is_no_time(text: object, name: str) -> None:
    with pytest.raises(RequestError, match=f"'{name}': '{text}' is no time"):
        moment_in(text, NOW, name)
