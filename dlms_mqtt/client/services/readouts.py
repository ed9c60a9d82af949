"""The values of a clear-text readout as attributes, so that whoever reads DLMS objects reads them alike.

A line is an object: a register where it has a unit, one with a capture time where a time stands behind the value, else
data. A register that stands in no line is asked for in programming mode, where the meter has one. Nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

from dlms_mqtt.client.line.programming import REGISTER, TABLE
from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.refusals import access_refused
from dlms_mqtt.client.services.load_profile import LoadProfile, earlier, parse_load_profile, range_request
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.cosem.classes import scaler_attribute
from dlms_mqtt.cosem.data_lines import DataLine, data_lines, tells_season, with_clock
from dlms_mqtt.cosem.local_names import address_of
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, DlmsMqttError, FramingError, TransportError
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeDescriptor, AttributeWithSelection
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.obis import CLOCK, Obis

_AN_HOUR = timedelta(hours=1)
_BY_RANGE, _PROFILE, _PROFILES = 1, 7, 99  # selector, class and group C of load profiles
_FRESH = 5.0  # s in which one readout answers all questions
_DATA, _REGISTER, _EXTENDED_REGISTER, _DEMAND, _CLOCK, _ASSOCIATION = 1, 3, 4, 5, 8, 15
_LAST_AVERAGE = 3  # attribute of a demand register
_LOGICAL_NAME, _VALUE, _SCALER, _CAPTURE_TIME = 1, 2, 3, 5
_READ_ONLY = 1
_DEVICE_NAME = Obis((0, 0, 42, 0, 0, 255))
_CURRENT_ASSOCIATION = Obis((0, 0, 40, 0, 0, 255))
_NUMBERS = (Obis((0, 0, 96, 1, 0, 255)), Obis((1, 0, 0, 0, 0, 255)), Obis((0, 0, 96, 1, 1, 255)))


ReadSets = Callable[[Sequence[str], Sequence[str]], Awaitable[list[str | AccessRefused]]]


class _Object(NamedTuple):
    class_id: int
    values: dict[int, Data]


class Readouts:
    """Attributes by class, OBIS code and number out of a readout, which is read anew when it has grown old."""

    def __init__(
        self,
        first: Readout,
        memory: Memory,
        read_again: Callable[[], Awaitable[Readout]],
        read_sets: ReadSets | None = None,
    ) -> None:
        """``read_sets``: reads registers or a table in programming mode."""
        self._memory, self._read_again, self._read_sets = memory, read_again, read_sets
        self._columns: dict[tuple[int, Obis], ScalerUnit] = {}
        self._take(first)

    def _take(self, readout: Readout) -> None:
        self._readout, self._objects = readout, objects_of(readout)
        self._failed: dict[Obis, AccessRefused] = {}
        self._has_season = tells_season(readout.text)
        self._read_at = asyncio.get_running_loop().time()
        self._learn_scalers()

    def _learn_scalers(self) -> None:
        for scaler in self._memory.scalers:  # a meter may tell a value in W now and in kW the next time
            if scaler.obis in self._objects and (scaler.class_id, scaler.obis) not in self._columns:
                found = self._objects[scaler.obis].values.get(_SCALER)
                self._memory.scalers[scaler] = ScalerUnit.from_data(found) if found else None

    async def _current(self) -> dict[Obis, _Object]:
        if asyncio.get_running_loop().time() - self._read_at > _FRESH:
            self._take(await self._read_again())
        return self._objects

    async def get(self, item: AttributeWithSelection) -> bytes:
        """One attribute, as encoded data. AccessRefused."""
        (found,) = await self.get_list([item])
        if isinstance(found, AccessRefused):
            raise found.with_traceback(None)  # it may be one that is kept
        return encode(found)

    async def get_list(self, items: Sequence[AttributeWithSelection]) -> list[Data | AccessRefused]:
        """Several attributes: data or refusal for each, in order."""
        answers = []
        objects = await self._current()
        await self._ask_for([attribute.obis for attribute, _ in items if _is_register(attribute)])
        for attribute, access in items:
            if not _is_profile(attribute):
                answers.append(self._find(objects, attribute))
                continue
            try:
                answers.append(await self._of_profile(attribute, access))
            except AccessRefused as error:
                answers.append(error)
        return answers

    async def _ask_for(self, codes: Iterable[Obis]) -> None:
        """Read registers that stand in no line in programming mode (mode C), each meter in its own way to write them.

        One that is refused often is not asked for again; where the line fails, only these fail.
        """
        known = self._objects.keys() | self._columns_of_profiles | self._failed.keys() | self._memory.absent.keys()
        wanted = {code: address_of(code, self._readout.text) for code in codes if code not in known}
        identification = self._readout.identification
        if not wanted or self._read_sets is None or identification is None or identification.mode != "C":
            return
        names = list(dict.fromkeys(wanted.values()))
        try:
            answers = await self._read_sets([f"{name}()" for name in names], REGISTER)
        except AccessRefused as error:
            self._keep(wanted, dict.fromkeys(names, error))
        except (TransportError, FramingError) as error:
            self._failed.update({code: _not_read(code, error) for code in wanted})
        else:
            self._keep(wanted, dict(zip(names, answers, strict=True)))

    def _keep(self, wanted: Mapping[Obis, str], answers: Mapping[str, str | AccessRefused]) -> None:
        for name, answer in answers.items():
            if isinstance(answer, str):
                text = name + answer if answer.startswith("(") else answer
                for line in data_lines(text):
                    self._objects.setdefault(line.obis, _object(line))
        for code, name in wanted.items():
            if code not in self._objects:
                self._refuse_register(code, answers[name])
        self._learn_scalers()

    def _refuse_register(self, code: Obis, answer: str | AccessRefused) -> None:
        undefined = access_refused(DataAccessResult.OBJECT_UNDEFINED, code)
        self._failed[code] = refused = answer if isinstance(answer, AccessRefused) else undefined
        if self._memory.is_lasting(AttributeDescriptor(_REGISTER, code, _VALUE), refused):
            self._memory.absent[code] = refused

    @property
    def _columns_of_profiles(self) -> set[Obis]:
        return {code for _, code in self._columns}

    async def _of_profile(self, attribute: AttributeDescriptor, access: AccessSelector | None) -> Data:
        """An attribute of a load profile; its columns are told by its rows, so the last hour is asked for them."""
        shape = self._memory.tables.get(attribute.obis)
        if attribute.attribute == _VALUE or not isinstance(shape, LoadProfile):
            shape = parse_load_profile(await self._table(attribute, access))
            self._memory.tables[attribute.obis] = replace(shape, rows=())
            for column, scaler in zip(shape.columns[2:], shape.scalers, strict=True):
                self._columns[column.class_id, column.obis] = scaler
        found = shape.attribute(attribute.attribute)
        if found is None:
            raise access_refused(DataAccessResult.OBJECT_UNDEFINED, attribute)
        return found

    async def _table(self, attribute: AttributeDescriptor, access: AccessSelector | None) -> str:
        if self._read_sets is None:
            raise access_refused(DataAccessResult.OBJECT_UNDEFINED, attribute)
        (answer,) = await self._read_sets([await self._table_request(attribute, access)], TABLE)
        if isinstance(answer, AccessRefused):
            raise answer
        return answer

    async def _table_request(self, attribute: AttributeDescriptor, access: AccessSelector | None) -> str:
        table = f"P.{attribute.obis[3]:02d}"
        if access is not None and access[0] == _BY_RANGE:
            start, end = (DateTime.decode(access[1].value[at].value) for at in (1, 2))
            return range_request(table, start, end, self._has_season)
        if access is not None:
            raise access_refused(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED, attribute)
        clock = (await self._current()).get(CLOCK)
        if attribute.attribute == _VALUE or clock is None or clock.class_id != _CLOCK:
            return f"{table}(;)"
        now = DateTime.decode(clock.values[_VALUE].value)
        return range_request(table, earlier(now, _AN_HOUR), now, self._has_season)

    def _find(self, objects: dict[Obis, _Object], attribute: AttributeDescriptor) -> Data | AccessRefused:
        column = self._columns.get((attribute.class_id, attribute.obis))
        if column is not None and attribute.attribute in (_SCALER, _SCALER + 1):
            return column.to_data()
        found = _find(objects, attribute)
        if isinstance(found, AccessRefused) and _is_register(attribute):
            return self._failed.get(attribute.obis) or self._memory.absent.get(attribute.obis) or found
        return found

    async def _refuse(self, item: Any, *_: Any) -> NoReturn:
        error = access_refused(DataAccessResult.READ_WRITE_DENIED, item, "write")
        error.hint = "A clear-text readout (opening: readout) shows values and takes nothing."
        raise error

    set = set_list = invoke = invoke_list = access = tell = _refuse


def _is_profile(attribute: AttributeDescriptor) -> bool:
    return attribute.class_id == _PROFILE and attribute.obis[2] == _PROFILES and attribute.attribute > _LOGICAL_NAME


def _is_register(attribute: AttributeDescriptor) -> bool:
    """The value or the scaler of something measured, as programming mode tells it."""
    class_id, (medium, _, quantity, *_), number = attribute
    measured = medium and quantity and not _is_profile(attribute)
    return bool(measured) and (_is_value(class_id, number) or number == scaler_attribute(class_id, _VALUE))


def _is_value(class_id: int, number: int) -> bool:
    """Is this what the line of a code tells? Of demand the current (1.4.0) or the last average (1.5.0)."""
    return number == _VALUE or (class_id == _DEMAND and number == _LAST_AVERAGE)


def _not_read(code: Obis, error: DlmsMqttError) -> AccessRefused:
    refused = access_refused(DataAccessResult.TEMPORARY_FAILURE, code)
    refused.message, refused.hint = f"{code} was not read in programming mode: {error.message}", error.hint
    return refused


def _find(objects: dict[Obis, _Object], attribute: AttributeDescriptor) -> Data | AccessRefused:
    class_id, obis, number = attribute
    item = objects.get(obis)
    if number == scaler_attribute(class_id, _VALUE):
        number = _SCALER  # whatever the class is that somebody takes the line for
    elif _is_value(class_id, number):
        number = _VALUE
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
    if line.obis == CLOCK and isinstance(line.data.value, DateTime):  # one that was never set may say anything
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
