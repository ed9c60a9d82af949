from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.languages.texts import titled
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.catalogue.quantity import Kind, Quantity
from dlms_mqtt.meter.readings import (
    Quality,
    bit_word,
    convert,
    make_reading,
    number_of,
    number_text,
    octets_text,
    plausible_date_time,
    read,
    text_of,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import Entry, entries, entry_id

T = DataType
ENERGY = quantity(Obis.parse("1.0.1.8.0.255"))
NOW = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)

CONVERTED = [
    # raw, scaler, unit code, OBIS, value, unit, quality
    (1234567, 0, 30, "1.0.1.8.0.255", "1234.567", "kWh", Quality.GOOD),
    (1, 2, 30, "1.0.1.8.0.255", "0.1", "kWh", Quality.GOOD),
    (0, 0, 30, "1.0.1.8.0.255", "0", "kWh", Quality.GOOD),
    (123, 0, 32, "1.0.3.8.0.255", "0.123", "kvarh", Quality.GOOD),
    (5, 3, 27, "1.0.1.7.0.255", "5000", "W", Quality.GOOD),
    (-250, 0, 27, "1.0.16.7.0.255", "-250", "W", Quality.GOOD),
    (2301, -1, 35, "1.0.32.7.0.255", "230.1", "V", Quality.GOOD),
    (987, -3, 255, "1.0.13.7.0.255", "0.987", "", Quality.GOOD),
    (98, 0, 56, "1.0.13.7.0.255", "0.98", "", Quality.GOOD),
    (15, 0, 6, "1.0.0.8.0.255", "900", "s", Quality.GOOD),
    (7_200_000, 0, 25, "6.0.1.0.0.255", "2", "kWh", Quality.GOOD),
    (1, 0, 25, "6.0.1.0.0.255", "0.000000278", "kWh", Quality.GOOD),
    (4200, 0, 19, "7.0.3.0.0.255", "4.2", "m³", Quality.GOOD),
    (7, 0, 13, "1.0.1.8.0.255", "7", "m³", Quality.OTHER_UNIT),
    (7, 3, 30, "0.1.24.2.1.255", "7", "kWh", Quality.GOOD),
    (7, -2, 13, "0.1.24.2.1.255", "0.07", "m³", Quality.GOOD),
]


@pytest.mark.parametrize(("raw", "scaler", "code", "obis", "value", "unit", "quality"), CONVERTED)
def test_numbers(raw: int, scaler: int, code: int, obis: str, value: str, unit: str, quality: Quality) -> None:
    data = Data(T.DOUBLE_LONG, raw)
    found = read(quantity(Obis.parse(obis)), data, ScalerUnit(scaler, code))
    assert found == (Decimal(value), unit, quality)
    assert isinstance(found[0], Decimal)
    assert number_text(found[0]) == value


def test_without_scaler_and_unit_a_number_stays_as_sent() -> None:
    assert read(ENERGY, Data(T.DOUBLE_LONG_UNSIGNED, 5), None) == (Decimal(5), "", Quality.UNSCALED)
    counter = quantity(Obis.parse("0.0.96.7.21.255"))
    assert read(counter, Data(T.LONG_UNSIGNED, 5), None) == (Decimal(5), "", Quality.GOOD)


@pytest.mark.parametrize("kind", [T.NULL_DATA, T.DONT_CARE])
def test_no_value_is_no_zero(kind: DataType) -> None:
    assert read(ENERGY, Data(kind, None), ScalerUnit(0, 30)) == (None, "kWh", Quality.NOT_SPECIFIED)


@given(st.integers(-(2**63), 2**64 - 1), st.integers(-9, 9))
def test_conversion_is_exact(raw: int, scaler: int) -> None:
    value, unit, _ = read(ENERGY, Data(T.LONG64, raw), ScalerUnit(scaler, 30))
    assert unit == "kWh"
    assert isinstance(value, Decimal)
    assert value.scaleb(3 - scaler) == raw
    assert Decimal(number_text(value)) == value


@pytest.mark.parametrize(("unit", "wanted", "published"), [("Wh", None, "kWh"), ("W", None, "W"), ("W", "kWh", "W")])
def test_units(unit: str, wanted: str | None, published: str) -> None:
    assert convert(Decimal(1), unit, wanted)[1] == published


TEXTS = [
    ("0.0.96.1.0.255", Data(T.OCTET_STRING, b"12345678"), "12345678"),
    ("0.0.96.1.0.255", Data(T.OCTET_STRING, b"KFM_001\0\0"), "KFM_001"),
    ("0.0.96.1.0.255", Data(T.OCTET_STRING, b"\x01\x02\xfe"), "0102fe"),
    ("0.0.96.1.0.255", Data(T.VISIBLE_STRING, "6970631401234567"), "6970631401234567"),
    ("0.0.96.1.0.255", Data(T.DOUBLE_LONG_UNSIGNED, 12345678), "12345678"),
    ("0.0.96.14.0.255", Data(T.OCTET_STRING, b"\x00\x01"), "0001"),
    ("0.0.96.14.0.255", Data(T.UNSIGNED, 2), "2"),
    ("0.0.96.13.0.255", Data(T.OCTET_STRING, "Grüße".encode()), "Grüße"),
    ("0.0.96.13.0.255", Data(T.BOOLEAN, True), "true"),
    ("0.0.96.13.0.255", Data(T.OCTET_STRING, b""), ""),
    ("0.0.96.13.0.255", Data(T.ARRAY, ()), None),
    ("1.0.1.8.0.255", Data(T.OCTET_STRING, b"abc"), "abc"),
]


@pytest.mark.parametrize(("obis", "data", "text"), TEXTS)
def test_texts(obis: str, data: Data, text: str | None) -> None:
    assert read(quantity(Obis.parse(obis)), data, None)[0] == text


def test_words() -> None:
    state = quantity(Obis.parse("0.0.96.3.10.255"), 70, 3)
    assert read(state, Data(T.ENUM, 2), None) == ("ready_for_reconnection", "", Quality.GOOD)
    assert read(state, Data(T.ENUM, 9), None)[0] == "9"
    output = quantity(Obis.parse("0.0.96.3.10.255"), 70, 2)
    assert read(output, Data(T.BOOLEAN, True), None)[0] == "on"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (Data(T.DOUBLE_LONG_UNSIGNED, 0x10), 0x10),
        (Data(T.OCTET_STRING, b"\x01\x00"), 0x100),
        (Data(T.BIT_STRING, "10100000"), 0b101),
        (Data(T.BIT_STRING, ""), 0),
        (Data(T.INTEGER, -1), None),
        (Data(T.VISIBLE_STRING, "x"), None),
    ],
)
def test_bits(data: Data, word: int | None) -> None:
    assert bit_word(data) == word
    quality = Quality.UNREADABLE if word is None else Quality.GOOD
    assert read(quantity(Obis.parse("0.0.97.97.0.255")), data, None) == (word, "", quality)


CLOCK = quantity(Obis.parse("0.0.1.0.0.255"))


@pytest.mark.parametrize(
    ("octets", "value", "quality"),
    [
        ("07e60810020f211b00ffc400", "2022-08-16T15:33:27+01:00", Quality.GOOD),
        ("07e60810020f211b00800000", "2022-08-16T15:33:27+02:00", Quality.GOOD),
        ("ffff0810020f211b00800000", None, Quality.NOT_SPECIFIED),
        ("00", "00", Quality.UNREADABLE),
    ],
)
def test_times(octets: str, value: str | None, quality: Quality) -> None:
    found = read(CLOCK, Data(T.OCTET_STRING, bytes.fromhex(octets)), None, ZoneInfo("Europe/Vienna"))
    assert found[2] == quality
    assert value is None or found[0] == value


def test_date_time_type() -> None:
    moment = DateTime.decode(bytes.fromhex("07e60810020f211b00800000"))
    assert read(CLOCK, Data(T.DATE_TIME, moment), None, UTC)[0] == "2022-08-16T15:33:27+00:00"
    assert text_of(Data(T.DATE_TIME, moment), UTC) == "2022-08-16T15:33:27+00:00"


@pytest.mark.parametrize("entry", entries("vectors_data", group="date-time"), ids=entry_id)
def test_published_date_times_are_plausible(entry: Entry) -> None:
    assert plausible_date_time(bytes.fromhex(entry["hex"])[-12:])


@pytest.mark.parametrize(
    "octets", [b"", b"12 charactrs", b"\xff" * 12, b"\0" * 12, bytes.fromhex("07e60d10020f211b00800000")]
)
def test_other_octets_are_no_date_time(octets: bytes) -> None:
    assert not plausible_date_time(octets)


@given(st.binary(max_size=14))
def test_any_octets_have_a_text(octets: bytes) -> None:
    text = text_of(Data(T.OCTET_STRING, octets))
    assert text is not None
    assert octets_text(octets) is None or octets_text(octets).isprintable()  # type: ignore[union-attr]


@given(st.floats(width=32))
def test_floats_are_told_as_people_write_them(value: float) -> None:
    number = number_of(Data(T.FLOAT32, value))
    assert (number is None) == (not math.isfinite(value))


def test_plain_numbers() -> None:
    assert number_of(Data(T.FLOAT32, 0.10000000149011612)) == Decimal("0.1")
    assert number_of(Data(T.FLOAT64, 0.1)) == Decimal("0.1")
    assert number_of(Data(T.BOOLEAN, True)) == 1
    assert number_of(Data(T.VISIBLE_STRING, "1")) is None
    assert [number_text(Decimal(text)) for text in ("1E+3", "1.500", "-0.10", "100")] == ["1000", "1.5", "-0.1", "100"]


def test_make_reading() -> None:
    obis = Obis.parse("1.0.1.8.0.255")
    found = make_reading(
        ENERGY, Data(T.DOUBLE_LONG_UNSIGNED, 1500), NOW, obis=obis, class_id=3, scaler_unit=ScalerUnit(0, 30)
    )
    assert (found.key, found.raw, found.scaler, found.value) == ("energy_import", 1500, 0, Decimal("1.5"))
    assert (found.unit, found.time, found.quality, found.obis, found.attribute) == ("kWh", NOW, "good", obis, 2)


def value_cases() -> list[Any]:
    """Readings in published messages that carry scaler and unit."""
    return [
        pytest.param(value, id=f"{entry['id']}-{value['obis']}-{n}")
        for entry in entries("push")
        for n, value in enumerate(entry.get("expected", {}).get("values", ()))
        if "scaler" in value and "obis" in value and "from_list" not in value
    ]


def test_published_values() -> None:
    """All readings of the published messages: our value in the published unit is theirs in the meter's."""
    cases = [case.values[0] for case in value_cases()]
    assert len(cases) > 100
    for value in cases:
        data, scaler_unit = Data(T.DOUBLE_LONG, value["raw"]), ScalerUnit(value["scaler"], value["unit_code"])
        found, unit, quality = read(quantity(Obis.parse(value["obis"])), data, scaler_unit)
        factor = 1000 if unit in ("kWh", "kvarh", "kVAh") else 1
        assert isinstance(found, Decimal)
        assert float(found * factor) == pytest.approx(value["value"]), value
        assert quality is Quality.GOOD, value


def test_kinds() -> None:
    assert Quantity("a", titled("A")).kind is Kind.NUMBER


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_its_shortest_decimal(value: float) -> None:
    number = number_of(Data(DataType.FLOAT32, value))
    assert number is not None and struct.pack(">f", float(number)) == struct.pack(">f", value)
    assert len(number.as_tuple().digits) <= 9 or number == number.to_integral_value()


@pytest.mark.parametrize(("value", "text"), [(123456.78125, "123456.78"), (8388607.5, "8388607.5"), (0.1, "0.1")])
def test_no_digit_of_a_float32_is_lost_and_none_is_made_up(value: float, text: str) -> None:
    assert str(number_of(Data(DataType.FLOAT32, struct.unpack(">f", struct.pack(">f", value))[0]))) == text


ENDS = [
    (DataType.LONG_UNSIGNED, 0xFFFF),
    (DataType.LONG, 0x7FFF),
    (DataType.LONG, -0x8000),
    (DataType.DOUBLE_LONG_UNSIGNED, 0xFFFF_FFFF),
    (DataType.DOUBLE_LONG, 0x7FFF_FFFF),
    (DataType.DOUBLE_LONG, -0x8000_0000),
    (DataType.LONG64, 2**63 - 1),
    (DataType.LONG64_UNSIGNED, 2**64 - 1),
]
FLOWS = ["1.0.1.7.0.255", "1.0.16.7.0.255", "1.0.32.7.0.255", "1.0.31.7.0.255", "1.0.14.7.0.255", "1.0.13.7.0.255"]


@pytest.mark.parametrize(("kind", "raw"), ENDS)
@pytest.mark.parametrize("obis", FLOWS)
def test_the_ends_of_a_type_are_no_power_voltage_or_current(kind: DataType, raw: int, obis: str) -> None:
    found = quantity(Obis.parse(obis), 3)
    assert read(found, Data(kind, raw), ScalerUnit(0, 27))[::2] == (None, Quality.NOT_SPECIFIED)
    assert read(found, Data(kind, raw - 1 if raw > 0 else raw + 1), ScalerUnit(0, 27))[0] is not None


@pytest.mark.parametrize(("kind", "raw"), ENDS)
def test_a_counter_comes_by_these_numbers_honestly(kind: DataType, raw: int) -> None:
    assert read(quantity(Obis.parse("1.0.1.8.0.255"), 3), Data(kind, raw), ScalerUnit(0, 30))[0] == Decimal(raw) / 1000


@pytest.mark.parametrize(
    ("kind", "raw"), [(DataType.UNSIGNED, 255), (DataType.INTEGER, 127), (DataType.FLOAT32, 65535.0)]
)
def test_small_types_and_floats_have_no_such_codes(kind: DataType, raw: float) -> None:
    assert read(quantity(Obis.parse("1.0.32.7.0.255"), 3), Data(kind, raw), ScalerUnit(0, 35))[0] is not None


@pytest.mark.parametrize("kind", [DataType.FLOAT32, DataType.FLOAT64])
@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value(kind: DataType, raw: float) -> None:
    found = read(quantity(Obis.parse("1.0.1.8.0.255"), 3), Data(kind, raw), ScalerUnit(0, 30))
    assert found[::2] == (None, Quality.NOT_SPECIFIED)
