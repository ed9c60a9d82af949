"""What a simulated meter tells in clear text (IEC 62056-21): its identification, clock, errors and registers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from dlms_mqtt.cosem.classes import scaler_attribute
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.units import UNITS
from dlms_mqtt.simulator.server.associations import READER, Association
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject

_REGISTERS = (3, 4)
_EXTENDED_REGISTER = 4
_VALUE, _CAPTURE_TIME = 2, 5
_IN_THOUSANDS = frozenset({"Wh", "varh", "VAh", "W", "var", "VA"})
_DIGITS = 6  # before the point, as on a display
_WHOLE = 8  # digits of a number
_READER = Association(client=0, name="readout", level=READER)


def readout_of(meter: Meter) -> bytes:
    """The lines of the data block as it is now, each with its line end."""
    return "".join(f"{line}\r\n" for line in _lines(meter)).encode("ascii")


def _lines(meter: Meter) -> Iterator[str]:
    number, now = meter.name[-_WHOLE:], meter.now()
    yield f"0.0.0({number})"
    yield "F.F(00000000)"
    yield f"0.9.1({now:%H%M%S})"
    yield f"0.9.2({now:%y%m%d})"
    yield f"C.1.0({number})"
    context = Context(meter, _READER)
    for (class_id, obis), item in sorted(meter.objects.items(), key=lambda entry: entry[0][1]):
        if class_id in _REGISTERS and obis[0] == 1 and (class_id, obis) in context.view:
            yield line_of(context, item)


def line_of(context: Context, item: CosemObject) -> str:
    """A register as a line: code, value and unit, and behind a maximum when it was measured."""
    return f"{reduced_code(item.obis)}({_value(context, item)}){_time(context, item)}"


def reduced_code(obis: Obis) -> str:
    """A code as a display shows it."""
    return "{}.{}.{}".format(*obis[2:5]) + (f"*{obis[5]:02d}" if obis[5] != 255 else "")


def _value(context: Context, item: CosemObject) -> str:
    scaler_unit = ScalerUnit.from_data(item.data(context, scaler_attribute(item.class_id, _VALUE) or 0))
    data = item.data(context, _VALUE)
    if not isinstance(data.value, int) or data.type is DataType.BOOLEAN:
        return str(data.value)
    value, unit = in_thousands(scaler_unit, data.value)
    return _number(value) + (f"*{unit}" if unit else "")


def in_thousands(scaler_unit: ScalerUnit, raw: int) -> tuple[Decimal, str]:
    """A value and its unit as lines tell them: kWh, kW, and nothing for a count."""
    unit, value = UNITS.get(scaler_unit.unit_code, ""), scaler_unit.apply(raw)
    if unit in _IN_THOUSANDS:
        return value / 1000, f"k{unit}"
    return value, "" if unit == "count" else unit


def _time(context: Context, item: CosemObject) -> str:
    """When a maximum was measured, behind it."""
    if item.class_id != _EXTENDED_REGISTER:
        return ""
    captured = item.data(context, _CAPTURE_TIME).value
    moment = DateTime.decode(captured).to_datetime() if isinstance(captured, bytes) else None
    return f"({moment:%y%m%d%H%M})" if moment else ""


def _number(value: Decimal) -> str:
    """With the zeros of a display in front."""
    whole, point, decimals = f"{abs(value):f}".partition(".")
    return ("-" if value < 0 else "") + whole.rjust(_DIGITS, "0") + point + decimals
