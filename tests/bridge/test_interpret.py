"""Objects that no catalogue knows: prefix, device class and state class come from their unit and M-Bus type."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.api.payload import number_text
from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.bridge.meters.clock import SENSES
from dlms_mqtt.bridge.reading.interpret import Moment, bits_of, reading_json, reading_of, rounded, with_class
from dlms_mqtt.bridge.reading.plan import make_plan, plan_item
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.planned import item_of, said
from tests.bridge.rig import VIENNA


def _read(obis, class_id, raw, scaler, unit):
    attribute = AttributeDescriptor(class_id, Obis.parse(obis), 2)
    item = plan_item(attribute, quantity(attribute.obis, class_id, 2), None, 30, VIENNA)
    measured = Measured(attribute, Data(DataType.DOUBLE_LONG_UNSIGNED, raw), ScalerUnit(scaler, unit))
    reading = reading_of(item, measured, Moment(datetime(2026, 1, 1, tzinfo=UTC), VIENNA, SENSES["standard"]))
    return reading, with_class(item, reading.unit)


@pytest.mark.parametrize(
    ("obis", "class_id", "raw", "scaler", "unit", "value", "published", "device_class", "state_class"),
    [
        ("1.0.128.8.0.255", 3, 12345678, 0, 30, "12345.678", "kWh", "energy", "total_increasing"),
        ("1.0.130.8.0.255", 3, 230, 3, 32, "230", "kvarh", "reactive_energy", "total_increasing"),
        ("1.0.128.7.0.255", 3, 230, 0, 27, "230", "W", "power", "measurement"),
        ("1.0.129.7.0.255", 3, 230, 0, 35, "230", "V", "voltage", "measurement"),
        ("0.1.24.2.1.255", 4, 1234567, -3, 13, "1234.567", "m³", "volume", "total_increasing"),
        ("0.2.24.2.1.255", 4, 987654, 3, 30, "987654", "kWh", "energy", "total_increasing"),
        ("0.3.24.2.1.255", 4, 5, 9, 25, "5000", "MJ", "energy", "total_increasing"),
        ("1.0.128.29.0.255", 3, 500, 0, 30, "0.5", "kWh", "energy", ""),  # of an interval
        ("1.0.128.8.0.1", 3, 500, 0, 30, "0.5", "kWh", "energy", ""),  # of a billing period
        ("0.1.24.2.2.255", 4, 210, -1, 9, "21", "°C", "temperature", "measurement"),
    ],
)
def test_by_its_unit(obis, class_id, raw, scaler, unit, value, published, device_class, state_class):
    reading, item = _read(obis, class_id, raw, scaler, unit)
    assert (reading.value, reading.unit) == (Decimal(value), published)
    assert (item.quantity.device_class, item.quantity.state_class) == (device_class, state_class)


@pytest.mark.parametrize(
    ("value", "decimals", "result"),
    [
        ("2.5", 0, "3"),
        ("-2.5", 0, "-3"),
        ("0.125", 2, "0.13"),
        ("1e435", 9, "1e435"),
        ("-1e308", 0, "-1e308"),
        ("1e-435", 3, "0"),
    ],
)
def test_rounded_however_large(value, decimals, result):
    assert rounded(Decimal(value), decimals) == Decimal(result)


FLOATS = st.one_of(
    st.tuples(st.just(DataType.FLOAT64), st.floats()),
    st.tuples(st.just(DataType.FLOAT32), st.floats(width=32)),
    st.tuples(st.just(DataType.LONG64_UNSIGNED), st.integers(0, 2**64 - 1)),
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "decimals": st.integers(0, 9),
        "transform": st.sampled_from(["value * 1e300", "value / 1e-200", "value // 7", "-value"]).map(parse_transform),
        "unit": st.sampled_from(["kWh", "m³"]),
    },
)


@given(FLOATS, st.integers(-128, 127), st.integers(0, 255), CONFIGS)
def test_no_number_that_a_meter_may_send_ends_a_cycle(data, scaler, unit, config):
    """A garbled float has up to 436 digits before the point."""
    attribute = AttributeDescriptor(3, Obis.parse("1.0.128.8.0.255"), 2)
    config = Item(obis=attribute.obis, **config)
    item = plan_item(attribute, quantity(attribute.obis, 3, 2), config, 30, VIENNA)
    measured = Measured(attribute, Data(*data), ScalerUnit(scaler, unit))
    try:
        reading = reading_of(item, measured, Moment(datetime(2026, 1, 1, tzinfo=UTC), VIENNA, SENSES["standard"]))
    except ConfigError:
        assert config.transform
        return
    assert reading.value is None or len(number_text(reading.value)) < 1000


AT = Moment(datetime(2026, 1, 1, tzinfo=UTC), VIENNA, SENSES["standard"])


def configured(code, data, scaler_unit=None, class_id=1, **config):
    attribute = AttributeDescriptor(class_id, Obis.parse(code), 2)
    row = Item(obis=attribute.obis, **config)
    item = plan_item(attribute, quantity(attribute.obis, class_id, 2), row, 30, VIENNA)
    return item, reading_of(item, Measured(attribute, data, scaler_unit), AT)


def test_the_users_scaler_and_unit_go_before_those_of_the_meter():
    number = Data(DataType.DOUBLE_LONG_UNSIGNED, 12345)
    item, reading = configured("1.0.1.8.0.255", number, ScalerUnit(0, 30), 3, scaler=3)
    assert (reading.value, reading.unit) == (Decimal("12345"), "kWh")  # thousands of the meter's Wh
    _, reading = configured("1.0.128.8.0.255", number, None, 3, scaler=-2, unit="m³")
    assert (reading.value, reading.unit, reading.quality) == (Decimal("123.45"), "m³", "good")
    assert with_class(item, reading.unit) is not None


TEXT = "0.0.96.1.5.255"


@pytest.mark.parametrize(
    ("kind", "octets", "value"),
    [
        ("date-time", "07ea0105010c0000ff800000", "2026-01-05T12:00:00+01:00"),
        ("date", "07ea0105ff", "2026-01-05"),
        ("time", "0c1e0000", "12:30:00"),
    ],
)
def test_octets_are_the_time_that_the_user_says_they_are(kind, octets, value):
    _, reading = configured(TEXT, Data(DataType.OCTET_STRING, bytes.fromhex(octets)), type=kind)
    assert reading_json("house", reading)["text"] == value


def test_octets_that_are_no_time_stay_what_they_are():
    _, damaged = configured(TEXT, Data(DataType.OCTET_STRING, b"\x07"), type="date-time")
    _, plain = configured(TEXT, Data(DataType.OCTET_STRING, b"\x07"))
    assert damaged.value == plain.value
    _, number = configured(TEXT, Data(DataType.LONG_UNSIGNED, 7), type="date-time")
    assert number.raw == 7


def test_the_bits_of_a_word_by_their_names():
    item, reading = configured("0.0.96.3.1.255", Data(DataType.UNSIGNED, 5), bits={0: "door", 1: "lid", 2: "magnet"})
    names = [f"{item.key}_{name}" for name in ("door", "lid", "magnet")]
    assert bits_of(item, reading) == dict(zip(names, (True, False, True), strict=True))
    number, energy = configured("1.0.1.8.0.255", Data(DataType.UNSIGNED, 5), ScalerUnit(0, 30), 3)
    assert bits_of(number, energy) == {}


def test_the_message_of_a_reading():
    """``value`` is always a number, text goes in ``text``; an enum has both, what could not be read neither."""
    _, energy = configured("1.0.1.8.0.255", Data(DataType.DOUBLE_LONG_UNSIGNED, 1500), ScalerUnit(0, 30), 3)
    assert reading_json("house", energy) == {
        "meter": "house",
        "time": "2026-01-01T00:00:00+00:00",
        "key": "energy_import",
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "value": Decimal("1.5"),
        "unit": "kWh",
        "raw": "1500",
        "quality": "good",
    }
    _, tariff = configured("0.0.96.14.0.255", Data(DataType.UNSIGNED, 2), values={1: "day", 2: "night"})
    assert {key: reading_json("house", tariff).get(key) for key in ("value", "text")} == {"value": 2, "text": "night"}
    _, name = configured("0.0.42.0.0.255", Data(DataType.OCTET_STRING, b"DMQ1"))
    assert reading_json("house", name)["text"] == "DMQ1" and "value" not in reading_json("house", name)
    nothing = reading_json("house", replace(name, value=None, raw=None))
    assert nothing["raw"] == "" and not {"value", "text"} & set(nothing)


def _at(*parts):
    return datetime(*parts, tzinfo=VIENNA)


def test_readings_as_the_user_says():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)
    said = Item(
        obis=Obis.parse("1.0.15.8.0.255"), class_=3, key="odd", transform=parse_transform("value / 1000"), unit="kWh"
    )
    item = make_plan(Meter(read=Read(set="none", also=(said,))), (), VIENNA).items[0]
    reading = reading_of(item, Measured(item.attribute, Data(DataType.DOUBLE_LONG_UNSIGNED, 1234567), None), moment)
    assert (reading.value, reading.unit) == (Decimal("1234.567"), "kWh")
    json = reading_json("h", reading)
    assert json["raw"] == "1234567" and json["value"] == Decimal("1234.567") and json["key"] == "odd"


def test_a_register_without_scaler_is_called_so_also_where_its_quantity_has_no_unit():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)

    def quality(scaler_unit: ScalerUnit | None = None, **said: Any) -> str:
        code = Obis.parse("1.0.13.7.0.255")  # 980 is a power factor of 0.98
        item = make_plan(Meter(read=Read(set="none", also=(Item(obis=code, **said),))), (), VIENNA).items[0]
        return reading_of(item, Measured(item.attribute, Data(DataType.LONG, 980), scaler_unit), moment).quality

    assert quality() == "unscaled"
    assert quality(ScalerUnit(-3, 255)) == quality(scaler=-3) == quality(unit="") == "good"
    assert quality(class_=1) == "good"  # plain data has no scaler


def test_words_and_bits():
    moment = Moment(_at(2026, 6, 1, 12), VIENNA)
    item = item_of(said(values={2: "night"}))
    reading = reading_of(item, Measured(item.attribute, Data(DataType.UNSIGNED, 2), None), moment)
    json = reading_json("h", reading)
    assert (json["value"], json["text"]) == (2, "night")
    bits = item_of(said(key="flags", bits={0: "open", 3: "low"}))
    reading = reading_of(bits, Measured(bits.attribute, Data(DataType.UNSIGNED, 8), None), moment)
    assert bits_of(bits, reading) == {"flags_open": False, "flags_low": True}
