"""Kamstrup meters behind current transformers: the currents that fit voltage and power."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.meter.push.current_transformers import behind_transformers
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

# Body of a push that was published in UtilitechAS/amsreader-firmware#216 (233 V, 63.4 kvar: 90.7 A a phase).
BODY = bytes.fromhex(
    "022f0a0e4b616d73747275705f563030303109060101010800ff0600c2d17009060101020800ff06013bd29509060101030800ff06089d28be"
    "09060101040800ff060001351d09060101000001ff060000000109060101010700ff060000000009060101020700ff0600000a190906010103"
    "0700ff060000f78409060101040700ff060000000009060001010000ff090c07e6020102091114ff80000009060101200700ff1200e9090601"
    "01340700ff1200e909060101480700ff1200e9090601011f0700ff060001637709060101330700ff0600016f0309060101470700ff06000169"
    "e509060101150700ff060000000009060101290700ff0600000000090601013d0700ff060000000009060101210700ff120002090601013507"
    "00ff12000509060101490700ff120004090601010d0700ff120004"
)


def test_a_published_push():
    """The simple meters of the same list have the currents ten times as large."""
    apdu = DataNotification(1, None, BODY)
    found = {row.key: row.value for row in PushedValues(apdu).readings(datetime(2022, 2, 1, tzinfo=UTC))}
    assert [found[f"current_l{phase}"] for phase in (1, 2, 3)] == [
        Decimal(text) for text in ("90.999", "93.955", "92.645")
    ]
    assert found["voltage_l1"] == 233


def _rows(current, power, volts=230, scaler=-2):
    def row(c, value, scaler_unit):
        data = Data(DataType.DOUBLE_LONG_UNSIGNED, value)
        return Measured(AttributeDescriptor(3, Obis((1, 1, c, 7, 0, 255)), 2), data, scaler_unit)

    return [
        row(31, current, ScalerUnit(scaler, 33)),
        row(32, volts, ScalerUnit(0, 35)),
        row(1, power, ScalerUnit(0, 27)),
    ]


@pytest.mark.parametrize(
    ("name", "rows", "amperes"),
    [
        ("Kamstrup_V0001", _rows(1000, 2300), "10"),  # 10 A at 230 V
        ("Kamstrup_V0001", _rows(10000, 2300), "10"),  # the same in mA
        ("Kamstrup_V0001", _rows(1000, 700), "10"),  # much reactive power that is not told
        ("Kamstrup_V0001", _rows(1000, 0), "10"),
        ("Kamstrup_V0001", _rows(0, 0), "0"),
        ("other", _rows(10000, 2300), "100"),
    ],
)
def test_the_power_decides(name, rows, amperes):
    assert behind_transformers(name, rows)[0].value == Decimal(amperes)


def test_without_voltages_nothing_is_said():
    rows = _rows(10000, 2300)[::2]
    assert behind_transformers("Kamstrup_V0001", rows) == rows
