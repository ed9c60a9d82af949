"""Objects that no catalogue knows: prefix, device class and state class come from their unit and M-Bus type."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.api.payload import number_text
from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.bridge.meters.clock import SENSES
from dlms_mqtt.bridge.reading.interpret import Moment, reading_of, rounded, with_class
from dlms_mqtt.bridge.reading.plan import plan_item
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
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
