"""The values of a clear-text readout as attributes, so that whoever reads DLMS objects reads them alike.

A line is an object: a register where it has a unit, one with a capture time where a time stands behind the value, else
data. Nothing can be written, and what stands in no line is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.refusals import access_refused
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.cosem.classes import scaler_attribute
from dlms_mqtt.cosem.data_lines import CLOCK, DataLine, data_lines, with_clock
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, AttributeWithSelection
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.obis import Obis

_FRESH = 5.0  # s in which one readout answers all questions
_DATA, _REGISTER, _EXTENDED_REGISTER, _CLOCK, _ASSOCIATION = 1, 3, 4, 8, 15
_LOGICAL_NAME, _VALUE, _SCALER, _CAPTURE_TIME = 1, 2, 3, 5
_READ_ONLY = 1
_DEVICE_NAME = Obis((0, 0, 42, 0, 0, 255))
_CURRENT_ASSOCIATION = Obis((0, 0, 40, 0, 0, 255))
_NUMBERS = (Obis((0, 0, 96, 1, 0, 255)), Obis((1, 0, 0, 0, 0, 255)), Obis((0, 0, 96, 1, 1, 255)))


class _Object(NamedTuple):
    class_id: int
    values: dict[int, Data]


class Readouts:
    """Attributes by class, OBIS code and number out of a readout, which is read anew when it has grown old."""

    def __init__(self, first: Readout, memory: Memory, read_again: Callable[[], Awaitable[Readout]]) -> None:
        self._memory, self._read_again = memory, read_again
        self._take(first)

    def _take(self, readout: Readout) -> None:
        self._objects = objects_of(readout)
        self._read_at = asyncio.get_running_loop().time()
        for scaler in self._memory.scalers:  # a meter may tell a value in W now and in kW the next time
            if scaler.obis in self._objects:
                found = self._objects[scaler.obis].values.get(_SCALER)
                self._memory.scalers[scaler] = ScalerUnit.from_data(found) if found else None

    async def _current(self) -> dict[Obis, _Object]:
        if asyncio.get_running_loop().time() - self._read_at > _FRESH:
            self._take(await self._read_again())
        return self._objects

    async def get(self, item: AttributeWithSelection) -> bytes:
        """One attribute, as encoded data. AccessRefused."""
        found = _find(await self._current(), item[0])
        if isinstance(found, AccessRefused):
            raise found
        return encode(found)

    async def get_list(self, items: Sequence[AttributeWithSelection]) -> list[Data | AccessRefused]:
        """Several attributes: data or refusal for each, in order."""
        objects = await self._current()
        return [_find(objects, attribute) for attribute, _ in items]

    async def _refuse(self, item: Any, *_: Any) -> NoReturn:
        error = access_refused(DataAccessResult.READ_WRITE_DENIED, item, "write")
        error.hint = "A clear-text readout (opening: readout) shows values and takes nothing."
        raise error

    set = set_list = invoke = invoke_list = access = tell = _refuse


def _find(objects: dict[Obis, _Object], attribute: AttributeDescriptor) -> Data | AccessRefused:
    class_id, obis, number = attribute
    item = objects.get(obis)
    if number == scaler_attribute(class_id, _VALUE):
        number = _SCALER  # whatever the class is that somebody takes the line for
    if item is None or number not in item.values:
        return access_refused(DataAccessResult.OBJECT_UNDEFINED, attribute)
    return item.values[number]


def objects_of(readout: Readout) -> dict[Obis, _Object]:
    """The objects of a readout by code: its lines, who the meter is, and the list of them all."""
    objects: dict[Obis, _Object] = {}
    for line in with_clock(list(data_lines(readout.text))):
        objects.setdefault(line.obis, _object(line))
    objects.setdefault(
        _DEVICE_NAME, _Object(_DATA, _named(_DEVICE_NAME, _text(_name(readout.identification, objects))))
    )
    objects[_CURRENT_ASSOCIATION] = _Object(_ASSOCIATION, {_VALUE: _list_of(objects)})
    return objects


def _object(line: DataLine) -> _Object:
    values = _named(line.obis, line.data)
    if line.obis == CLOCK:
        return _Object(_CLOCK, values | {_VALUE: Data(DataType.OCTET_STRING, line.data.value.encode())})
    if line.scaler_unit is None:
        return _Object(_DATA, values)
    values[_SCALER] = line.scaler_unit.to_data()
    if line.time is None:
        return _Object(_REGISTER, values)
    return _Object(_EXTENDED_REGISTER, values | {_CAPTURE_TIME: Data(DataType.OCTET_STRING, line.time.encode())})


def _named(obis: Obis, value: Data) -> dict[int, Data]:
    return {_LOGICAL_NAME: Data(DataType.OCTET_STRING, bytes(obis)), _VALUE: value}


def _text(value: str) -> Data:
    return Data(DataType.VISIBLE_STRING, value)


def _name(identification: Identification | None, objects: dict[Obis, _Object]) -> str:
    """Maker and number, as a logical device name has them; without a number the identification."""
    maker = identification.manufacturer.upper() if identification else ""
    for code in _NUMBERS:
        number = objects[code].values[_VALUE].value if code in objects else ""
        text = number.decode("ascii", "replace") if isinstance(number, bytes) else str(number)
        if text.strip("0 "):
            return maker + text.strip()
    return maker + (identification.text.strip() if identification else "")


def _list_of(objects: dict[Obis, _Object]) -> Data:
    """The object list as an association gives it."""
    return Data(DataType.ARRAY, tuple(_element(obis, item) for obis, item in sorted(objects.items())))


def _element(obis: Obis, item: _Object) -> Data:
    rights = Data(DataType.ARRAY, tuple(_right(number) for number in sorted(item.values)))
    access = Data(DataType.STRUCTURE, (rights, Data(DataType.ARRAY, ())))
    fields = (
        Data(DataType.LONG_UNSIGNED, item.class_id),
        Data(DataType.UNSIGNED, 0),
        Data(DataType.OCTET_STRING, bytes(obis)),
        access,
    )
    return Data(DataType.STRUCTURE, fields)


def _right(number: int) -> Data:
    mode = (Data(DataType.INTEGER, number), Data(DataType.ENUM, _READ_ONLY), Data(DataType.NULL_DATA, None))
    return Data(DataType.STRUCTURE, mode)
