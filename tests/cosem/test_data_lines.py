"""Lines of readouts: reduced and whole codes, units with and without prefix, times, two values, local names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.cosem.data_lines import DataLine, data_code, data_lines, tells_season, with_clock
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.obis import CLOCK


def one(line: str) -> DataLine:
    (found,) = data_lines(line)
    return found


def shown(line: DataLine) -> Any:
    if line.scaler_unit is not None:
        return line.scaler_unit.apply(line.data.value), line.scaler_unit.unit
    value = line.data.value
    return value.iso() if hasattr(value, "iso") else value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.8.0", "1.0.1.8.0.255"),
        ("1.8", "1.0.1.8.0.255"),
        ("1-0:1.8.0*255", "1.0.1.8.0.255"),
        ("1.8.1*01", "1.0.1.8.1.1"),
        ("1.8.1&12", "1.0.1.8.1.12"),
        ("1.8.1.03", "1.0.1.8.1.3"),
        ("1-0:1.8.0*00", "1.0.1.8.0.0"),
        ("C.1.0", "0.0.96.1.0.255"),
        ("0-0:C.1.0*255", "0.0.96.1.0.255"),
        ("C.7.0", "0.0.96.7.0.255"),
        ("F.F", "0.0.97.97.0.255"),
        ("0-0:F.F.0*255", "0.0.97.97.0.255"),
        ("0.0.0", "1.0.0.0.0.255"),
        ("0.9.1", "1.0.0.9.1.255"),
        ("P.01", "1.0.99.1.0.255"),
        ("96.1.0", "0.0.96.1.0.255"),
    ],
)
def test_codes(text: str, code: str) -> None:
    assert str(data_code(text)) == code


@pytest.mark.parametrize("text", ["", "1", "1.8.0.0.0", "X.1.0", "1.999.0", "abc", "1-0:1.8.0*999", "ET0PE", "20*02"])
def test_no_codes(text: str) -> None:
    assert data_code(text) is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("1.8.0(000123.4*kWh)", (Decimal("123400"), "Wh")),
        ("1.8.0(000123.4kWh)", (Decimal("123400"), "Wh")),
        ("1.8.0(000123456*Wh)", (Decimal(123456), "Wh")),
        ("1.8.0(0.5*MWh)", (Decimal("500000"), "Wh")),
        ("3.8.0(0002580.099*kVArh)", (Decimal("2580099"), "varh")),
        ("1.7.0(-01.25*kW)", (Decimal("-1250"), "W")),
        ("32.7.0(229,9*V)", (Decimal("229.9"), "V")),
        ("31.7.0(0.00 * A)", (Decimal("0"), "A")),
        ("14.7.0(50.0*Hz)", (Decimal("50"), "Hz")),
        ("33.7.0(0.98)", (Decimal("0.98"), "")),
        ("0.1.0(12)", 12),
        ("0.0.0(00310578)", "00310578"),
        ("C.1.0(62810711)", "62810711"),
        ("F.F(00000000)", 0),
        ("F.F(00A0)", 0xA0),
        ("0.2.0(V1.25)", "V1.25"),
        ("0.9.1(215658)", "21:56:58"),
        ("0.9.1(21:56)", "21:56:00"),
        ("0.9.1(1215658)", "21:56:58"),
        ("0.9.2(210528)", "2021-05-28"),
        ("0.9.2(21-05-28)", "2021-05-28"),
        ("0.9.2(1250901)", "2025-09-01"),
        ("0.9.2(04.07.20)", "2020-07-04"),
        ("0.9.2(999999)", 999999),
        ("0.1.2*05(2107010000)", "2021-07-01T00:00:00"),
        ("1.8.0(12.3*furlong)", "12.3*furlong"),
        ("1.8.0()", ""),
    ],
)
def test_values(line: str, value: Any) -> None:
    assert shown(one(line)) == value


@pytest.mark.parametrize(
    "stamp",
    ["2107010015", "210701001500", "0210701001500", "21-07-01 00:15", "21-07-01 00:15:00", "21-07-01)(00:15"],
)
def test_a_value_before_its_time(stamp: str) -> None:
    found = one(f"1.6.1(01.234*kW)({stamp})")
    assert shown(found) == (Decimal("1234"), "W")
    assert found.time is not None
    assert found.time.iso() == "2021-07-01T00:15:00"


def test_the_season_before_a_time() -> None:
    assert (winter := one("1.6.1(1*kW)(0210701001500)").time) is not None
    assert (summer := one("1.6.1(1*kW)(1210701001500)").time) is not None
    assert winter != summer


def test_a_line_that_goes_on_and_several_in_one() -> None:
    (held,) = data_lines("1.6.1*04(0.1*kW)\r\n(2107010015)\r\n")
    assert str(held.obis) == "1.0.1.6.1.4"
    assert held.time is not None
    found = list(data_lines("6.8(0002937*MWh)6.26(02195.17*m3)9.21(65678901)\r\n"))
    assert [str(line.obis) for line in found] == ["6.0.6.8.0.255", "6.0.6.26.0.255", "6.0.9.21.0.255"]


def test_names_of_energomera() -> None:
    found = list(data_lines("ET0PE(00012.34)\r\n(00010.00)\r\n(00002.34)\r\nVOLTA(230.1)(229.8)(231.0)\r\nSNUMB(0123)"))
    assert [(str(line.obis), shown(line)) for line in found] == [
        ("1.0.1.8.0.255", (Decimal("12340"), "Wh")),
        ("1.0.1.8.1.255", (Decimal("10000"), "Wh")),
        ("1.0.1.8.2.255", (Decimal("2340"), "Wh")),
        ("1.0.32.7.0.255", (Decimal("230.1"), "V")),
        ("1.0.52.7.0.255", (Decimal("229.8"), "V")),
        ("1.0.72.7.0.255", (Decimal("231.0"), "V")),
        ("0.0.96.1.0.255", "0123"),
    ]


def test_a_clock_out_of_date_and_time() -> None:
    *_, clock = with_clock(list(data_lines("0.9.1(10:00:01)\r\n0.9.2(21-05-28)")))
    assert clock.obis == CLOCK
    assert clock.data.type is DataType.DATE_TIME
    assert clock.data.value.iso() == "2021-05-28T10:00:01"
    alone = list(data_lines("0.9.1(10:00:01)"))
    assert with_clock(alone) == alone


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with_clock(list(data_lines(text)))


@given(st.text(alphabet="0123456789.-:*&()CFLPkWhV \r\n", max_size=120))
def test_no_line_breaks_it(text: str) -> None:
    with_clock(list(data_lines(text)))


def test_a_running_value_that_is_numbered_0() -> None:
    """Pafal; where the running value stands too, 0 is a stored one."""
    assert [str(line.obis) for line in data_lines("1.8.0*00(1*kWh)")] == ["1.0.1.8.0.255"]
    both = data_lines("1.8.0(2*kWh)\r\n1.8.0*00(1*kWh)")
    assert [str(line.obis) for line in both] == ["1.0.1.8.0.255", "1.0.1.8.0.0"]


def test_a_stored_value_has_the_unit_of_the_running_one() -> None:
    running, stored = data_lines("1.8.0(000002.5*kWh)\r\n1.8.0*01(000001.5)")
    assert (shown(running), shown(stored)) == ((Decimal(2500), "Wh"), (Decimal(1500), "Wh"))


def test_energy_without_a_unit_is_what_displays_show_and_a_number_alone_is_no_energy() -> None:
    energy, reactive, number = data_lines("1.8.0(000002.5)\r\n3.8.0(1.0)\r\n2.8.0(25)")
    assert (shown(energy), shown(reactive), shown(number)) == ((Decimal(2500), "Wh"), (Decimal(1000), "varh"), 25)


def test_what_is_said_twice_is_one_value() -> None:
    assert shown(one("1.8.0(1*kWh)(1*kWh)")) == (Decimal(1000), "Wh")


@pytest.mark.parametrize("stamp", ["210701001500S", "210701001500W", "210701001500"])
def test_a_time_before_its_value(stamp: str) -> None:
    found = one(f"0-1:24.2.1({stamp})(00012.345*m3)")
    assert (shown(found), found.time and found.time.iso()) == ((Decimal("12.345"), "m³"), "2021-07-01T00:15:00")


@pytest.mark.parametrize("line", ["0-0:98.1.0(1)(2)(3)(4)", "1-0:99.97.0(2)(0-0:96.7.19)(x)", "1.6.1(01.2*kW)(991399)"])
def test_several_values_without_a_time_stay_text(line: str) -> None:
    found = one(line)
    assert found.data.type is DataType.STRUCTURE and found.time is None
    assert [part.value for part in found.data.value] == line.partition("(")[2][:-1].split(")(")


@pytest.mark.parametrize(
    ("line", "kind", "value"),
    [
        ("0-0:96.1.0(3030313233)", DataType.OCTET_STRING, b"00123"),
        ("0-0:96.1.0(00ff)", DataType.VISIBLE_STRING, "00ff"),
        ("0-0:96.1.0(SERIAL1)", DataType.VISIBLE_STRING, "SERIAL1"),
        ("0-0:96.13.0()", DataType.OCTET_STRING, b""),
        ("96.1.0(3030313233)", DataType.VISIBLE_STRING, "3030313233"),
        ("F.F(123456789)", DataType.DOUBLE_LONG_UNSIGNED, 123456789),
        ("1.0.0(abc)", DataType.VISIBLE_STRING, "abc"),
        ("0-0:1.0.0(211301000000S)", DataType.VISIBLE_STRING, "211301000000S"),
        ("0-0:1.0.0(000000000000W)", DataType.VISIBLE_STRING, "000000000000W"),
        ("0-0:1.0.0(632525252525)", DataType.VISIBLE_STRING, "632525252525"),
        ("1.0.0(12*kW)", DataType.DOUBLE_LONG_UNSIGNED, 12),
        ("1.7.0(000000000012W)", DataType.DOUBLE_LONG_UNSIGNED, 12),
        ("0.9.2(21-13-40)", DataType.VISIBLE_STRING, "21-13-40"),
        ("0.9.1(25:61)", DataType.VISIBLE_STRING, "25:61"),
        ("0.1.0(5000000000)", DataType.LONG64_UNSIGNED, 5_000_000_000),
        ("16.7.0(-5*W)", DataType.DOUBLE_LONG, -5),
        ("16.7.0(-3000000000*W)", DataType.LONG64, -3_000_000_000),
        ("1.8.0(1234567890123456789*Wh)", DataType.VISIBLE_STRING, "1234567890123456789*Wh"),
    ],
)
def test_the_type_of_a_value(line: str, kind: DataType, value: Any) -> None:
    found = one(line).data
    assert (found.type, found.value) == (kind, value)


@pytest.mark.parametrize(
    ("readout", "season"), [("0.9.2(210528)", False), ("0.9.2*255(1210528)", True), ("1.8.0(1*kWh)", True)]
)
def test_whether_times_are_written_with_their_season(readout: str, season: bool) -> None:
    assert tells_season(readout) is season


def test_codes_of_heat_meters_are_of_their_medium() -> None:
    assert [str(line.obis) for line in data_lines("6.8(1*GJ)\r\nC.1.0(123)")] == ["6.0.6.8.0.255", "0.0.96.1.0.255"]
