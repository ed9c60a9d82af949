"""What a meter tells in clear text: who it is, its time, registers in thousands with the zeros of a display."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter, make, named
from dlms_mqtt.simulator.household.household import scaled
from dlms_mqtt.simulator.lines.readout import in_thousands, line_of, readout_of, reduced_code
from tests.simulator.bench import frozen_meter
from tests.simulator.reference import value_of


@pytest.fixture
def meter() -> Meter:
    return frozen_meter()


def test_the_data_block(meter: Meter) -> None:
    text = readout_of(meter).decode("ascii")
    assert text.endswith("\r\n")
    lines = text.splitlines()
    number = meter.name[-8:]
    assert lines[:5] == [f"0.0.0({number})", "F.F(00000000)", "0.9.1(130000)", "0.9.2(260105)", f"C.1.0({number})"]
    energy = Decimal(value_of(meter, 3, "1.0.1.8.0.255")) / 1000
    (line,) = [line for line in lines if line.startswith("1.8.0(")]
    assert Decimal(line[6:].removesuffix("*kWh)")) == energy
    assert lines.index(line) < next(at for at, line in enumerate(lines) if line.startswith("2.8.0("))


def test_a_maximum_has_its_time_behind_it(meter: Meter) -> None:
    (line,) = [line for line in readout_of(meter).decode().splitlines() if line.startswith("1.6.0(")]
    assert line.count("(") == 2 and line.split("(")[1].endswith("*kW)")
    assert len(line.split("(")[2]) == len("2601051200)")


@pytest.mark.parametrize(("code", "text"), [("1.0.1.8.0.255", "1.8.0"), ("1.0.1.6.1.3", "1.6.1*03")])
def test_codes_as_a_display_shows_them(code: str, text: str) -> None:
    assert reduced_code(Obis.parse(code)) == text


@pytest.mark.parametrize(
    ("scaler", "unit", "raw", "expected"),
    [
        (0, 30, 12345, (Decimal("12.345"), "kWh")),
        (-1, 35, 2301, (Decimal("230.1"), "V")),
        (0, 255, 7, (Decimal(7), "")),
        (3, 27, -5, (Decimal(-5), "kW")),
    ],
)
def test_in_thousands(scaler: int, unit: int, raw: int, expected: tuple[Decimal, str]) -> None:
    assert in_thousands(ScalerUnit(scaler, unit), raw) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (named("double-long", -1500), "1.8.0(-000001.5*kWh)"),
        (named("double-long", 1234567890), "1.8.0(1234567.89*kWh)"),
        (named("visible-string", "n/a"), "1.8.0(n/a)"),
        (named("boolean", True), "1.8.0(True)"),
    ],
)
def test_a_register_is_a_line(meter: Meter, value: object, text: str) -> None:
    item = make(3, "1.0.1.8.0.255", value, scaled(0, 30))  # type: ignore[arg-type]
    assert line_of(Context(meter, meter.associations[17]), item) == text


def test_a_maximum_that_was_never_captured_has_no_time(meter: Meter) -> None:
    item = make(4, "1.0.1.6.0.255", named("long", 1), scaled(0, 27), named("null-data", None), named("null-data", None))
    assert line_of(Context(meter, meter.associations[17]), item) == "1.6.0(000000.001*kW)"
