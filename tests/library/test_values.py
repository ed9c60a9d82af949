"""Values on their way into a meter: in its type, unscaled, or refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.library.values import argument_of, type_named, written
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

VIENNA = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize(
    ("value", "kind", "scaled", "made"),
    [
        (5, DataType.LONG_UNSIGNED, None, 5),
        ("5", DataType.LONG_UNSIGNED, None, 5),
        (1.5, DataType.LONG, ScalerUnit(-1, 30), 15),
        ("1.23", DataType.LONG, ScalerUnit(-2, 30), 123),
        (Decimal("0.1"), DataType.DOUBLE_LONG, ScalerUnit(-3, 30), 100),
        (5000, DataType.UNSIGNED, ScalerUnit(3, 30), 5),
        (1.5, DataType.FLOAT64, None, 1.5),
        ("abc", DataType.OCTET_STRING, None, b"abc"),
        (b"\x00", DataType.OCTET_STRING, None, b"\x00"),
        (True, DataType.BOOLEAN, None, True),
    ],
)
def test_values(value: Any, kind: DataType, scaled: ScalerUnit | None, made: Any) -> None:
    assert written(value, kind, scaled, UTC) == Data(kind, made)


@pytest.mark.parametrize(
    ("value", "kind", "scaled"),
    [
        (1.5, DataType.LONG, None),
        (0.001, DataType.LONG, ScalerUnit(-2, 30)),
        (300, DataType.UNSIGNED, None),
        (-1, DataType.LONG_UNSIGNED, None),
        ("many", DataType.LONG, None),
        (float("nan"), DataType.LONG, None),
        (float("inf"), DataType.DOUBLE_LONG, None),
    ],
)
def test_what_does_not_fit(value: Any, kind: DataType, scaled: ScalerUnit | None) -> None:
    with pytest.raises(ConfigError) as caught:
        written(value, kind, scaled, UTC)
    assert caught.value.key == "value"


@pytest.mark.parametrize(
    ("moment", "hour"), [(datetime(2026, 7, 1, 12), 12), (datetime(2026, 7, 1, 12, tzinfo=UTC), 14)]
)
def test_times_are_the_meters(moment: datetime, hour: int) -> None:
    octets = written(moment, DataType.OCTET_STRING, None, VIENNA).value
    assert octets[5] == hour
    assert int.from_bytes(octets[9:11], "big", signed=True) == -120


def test_types_by_name() -> None:
    assert (type_named(None), type_named("long-unsigned")) == (None, DataType.LONG_UNSIGNED)
    with pytest.raises(ConfigError, match="'word' is no DLMS type"):
        type_named("word")


DISCONNECT = MethodDescriptor(70, Obis.parse("0.0.96.3.10.255"), 1)
UNKNOWN = MethodDescriptor(9999, Obis.parse("0.0.96.3.10.255"), 1)


def test_arguments_of_methods() -> None:
    given = Data(DataType.LONG, 7)
    assert argument_of(UNKNOWN, given, None) is given
    assert argument_of(DISCONNECT, None, None) == argument_of(UNKNOWN, None, None) == Data(DataType.INTEGER, 0)
    assert argument_of(UNKNOWN, 5, DataType.UNSIGNED) == Data(DataType.UNSIGNED, 5)
    assert argument_of(UNKNOWN, None, DataType.LONG) == Data(DataType.LONG, 0)
    with pytest.raises(ConfigError, match="is not known") as caught:
        argument_of(UNKNOWN, 5, None)
    assert caught.value.key == "type"
