"""Readouts that others published, of fourteen makers: from the octets on the line to the values of objects."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.services.readouts import Readouts
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.object_list import decode_object_list
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, DlmsMqttError, FramingError, ResponseTimeout
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.framing.data_block import find_data_block
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import Identification, block_check, find_identification
from dlms_mqtt.protocol.obis import CLOCK, Obis
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.frames_data import entries

PUBLISHED = entries("readouts")
EVERY = pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case["name"])


def octets(case: dict[str, Any]) -> bytes:
    """The message as it was on the line, with the meter's own check character where that was published."""
    head = case.get("identification", "/XXX5").encode() + b"\r\n"  # it was not published with every one
    lines = case.get("lines", "").replace("\n", "\r\n").encode()
    if case.get("mode_d"):
        return head + b"\r\n" + lines + b"!\r\n"
    body = (case["whole"].encode() if "whole" in case else lines + b"!\r\n") + b"\x03"
    check = bytes.fromhex(case["check"]) if "check" in case else block_check(body)
    return head + b"\x02" + body + check


def text_of(found: Measured, captured: DateTime | None) -> str:
    if found.attribute.class_id == 8:
        return DateTime.decode(found.data.value).iso()
    value = found.value
    text = value.iso() if hasattr(value, "iso") else value.decode() if isinstance(value, bytes) else f"{value}"
    if found.unit is not None:
        text = f"{value:f} {found.unit}".strip()
    return text + (f" at {captured.iso()}" if captured else "")


def makers() -> set[str]:
    return {case["name"].split()[0] for case in PUBLISHED}


def test_there_are_enough() -> None:
    assert len(makers()) >= 10
    assert sum("check" in case for case in PUBLISHED) >= 3
    assert all(case["source"]["where"] and case["source"]["what"] for case in PUBLISHED)


@EVERY
@pytest.mark.parametrize("coded", [bytes, add_parity], ids=["7e1", "8n1"])
def test_the_block_is_found_and_proved(case: dict[str, Any], coded: Any) -> None:
    data = coded(octets(case))
    found = find_data_block(data, final=True)
    assert found is not None
    assert found.checked is not bool(case.get("mode_d"))
    identification = find_identification(data)
    assert identification is not None
    assert identification[0].manufacturer == case.get("identification", "/XXX5")[1:4]


@EVERY
def test_a_changed_digit_is_seen(case: dict[str, Any]) -> None:
    if case.get("mode_d"):
        return  # it has no check character
    data = bytearray(octets(case))
    data[data.index(b"(") + 1] ^= 0x01
    with pytest.raises(FramingError):
        find_data_block(bytes(data), final=True)


async def services(case: dict[str, Any]) -> Readouts:
    data = octets(case)
    block, identification = find_data_block(data, final=True), find_identification(data)
    assert block is not None
    assert identification is not None

    async def again() -> Readout:
        raise AssertionError("it is fresh")

    return Readouts(Readout(identification[0], block.text, block.checked), Memory(), again)


@EVERY
async def test_every_value_with_its_unit_and_time(clock: FakeClock, case: dict[str, Any]) -> None:
    readouts = await services(case)
    listed = decode_object_list(await readouts.get((AttributeDescriptor(15, Obis.parse("0.0.40.0.0.255"), 2), None)))
    classes = {str(item.obis): item.class_id for item in listed}
    for code, expected in case["values"].items():
        assert code in classes, f"{code} is not among {sorted(classes)}"
        shown = await value_of(readouts, classes[code], Obis.parse(code))
        assert shown == str(expected), code


async def value_of(readouts: Readouts, class_id: int, code: Obis) -> str:
    value, scaler, captured = await readouts.get_list(
        [(AttributeDescriptor(class_id, code, number), None) for number in (2, 3, 5)]
    )
    assert isinstance(value, Data)
    measured = Measured(
        AttributeDescriptor(class_id, code, 2),
        value,
        ScalerUnit.from_data(scaler) if isinstance(scaler, Data) else None,
    )
    moment = None if isinstance(captured, AccessRefused) else DateTime.decode(captured.value)
    return text_of(measured, moment)


@EVERY
def test_energies_get_the_keys_of_dlms(case: dict[str, Any]) -> None:
    for code in map(Obis.parse, case["values"]):
        if code[0] == 1 and code[3] == 8 and code[5] == 255:
            assert "energy" in quantity(code, 3).key
            assert not quantity(code, 3).key.startswith("obis_")


async def test_mode_d_over_a_line(clock: FakeClock) -> None:
    """A telegram of EasyMeter, at the speed of its maker, whether or not somebody asks."""
    case = next(case for case in PUBLISHED if case["name"].startswith("EasyMeter"))
    near, far = memory_pair(line=SerialFormat(9600, 7, "even"))
    await far.open()

    async def speak() -> None:
        while True:
            far.write(octets(case))
            await asyncio.sleep(2)

    task = asyncio.create_task(speak())
    settings = ConnectionSettings(opening="readout", baud=9600, retries=0)
    async with DlmsClient(settings, transport=near) as client:
        (energy,) = await client.read([AttributeDescriptor(3, Obis.parse("1.8.0"), 2)])
        assert isinstance(energy, Measured)
        assert energy.value > 26_000_000
    task.cancel()


def test_decode_knows_them() -> None:
    from dlms_mqtt.meter.explain.explain import explain

    for case in PUBLISHED:
        document = explain(octets(case))
        values = {value["obis"] for message in document["messages"] for value in message["values"]}
        wanted = {code for code in case["values"] if code != "0.0.1.0.0.255"}
        assert wanted <= values, case["name"]
        json.dumps(document, default=str)


# -- what stands in no line: programming mode, load profiles, another readout ------------------------------------------

LINES = "0-0:C.1.0(12345678)\r\n1-0:1.8.0*255(000123.4*kWh)\r\n0.9.1(121500)\r\n0.9.2(260504)\r\n"
ENERGY, EXPORT, POWER = (Obis.parse(f"1.0.{code}.255") for code in ("1.8.0", "2.8.0", "16.7.0"))
PROFILE = Obis.parse("1.0.99.1.0.255")


UNKNOWN = AccessRefused("the meter knows no such register", code=4, name="object-undefined")


class Programmed:
    """A meter of mode C in clear text: ``sets`` is what programming mode knows; ``asked``: what was wanted of it."""

    def __init__(self, lines: str = LINES, *, programming: bool = True, **sets: Any) -> None:
        self.lines, self.sets = lines, sets.pop("sets", {})
        self.requests: list[str] = []
        self.read_outs = 0
        self.memory = Memory()
        self.readouts = Readouts(self._readout(), self.memory, self._again, self._read if programming else None)

    def _readout(self) -> Readout:
        return Readout(Identification("DMQ", "5", (), "TEST"), self.lines, True)

    async def _again(self) -> Readout:
        self.read_outs += 1
        return self._readout()

    async def _read(self, names: Any, _kind: Any) -> list[Any]:
        self.requests += names
        found = [self.sets.get(name, UNKNOWN) for name in names]
        for answer in found:
            if isinstance(answer, DlmsMqttError) and not isinstance(answer, AccessRefused):
                raise answer
        return found

    async def get(self, class_id: int, obis: Obis, number: int = 2, access: Any = None) -> Any:
        (answer,) = await self.readouts.get_list([(AttributeDescriptor(class_id, obis, number), access)])
        return answer


def refused(answer: Any) -> str:
    assert isinstance(answer, AccessRefused), answer
    return answer.name


async def test_a_register_that_stands_in_no_line_is_asked_for_once(clock: FakeClock) -> None:
    meter = Programmed(sets={"1-0:2.8.0*255()": "(00000.7*kWh)"})
    assert ScalerUnit.from_data(await meter.get(3, EXPORT, 3)).unit == "Wh"
    assert (await meter.get(3, EXPORT)).value == 7
    assert meter.requests == ["1-0:2.8.0*255()"]


async def test_an_answer_that_repeats_the_code_is_read_alike(clock: FakeClock) -> None:
    meter = Programmed(sets={"1-0:2.8.0*255()": "1-0:2.8.0*255(00000.7*kWh)"})
    assert (await meter.get(3, EXPORT)).value == 7


async def test_a_register_that_is_nowhere_is_soon_no_longer_asked_for(clock: FakeClock) -> None:
    meter = Programmed()
    for _ in range(6):
        assert refused(await meter.get(3, EXPORT)) == "object-undefined"
        await asyncio.sleep(10)  # the readout is old by then, and what failed may be asked for again
    assert 1 < len(meter.requests) < 6
    assert EXPORT in meter.memory.absent
    with pytest.raises(AccessRefused, match="the meter knows no such register"):
        await meter.readouts.get((AttributeDescriptor(3, EXPORT, 2), None))


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (AccessRefused("no", code=3, name="read-write-denied"), "read-write-denied", "no"),
        (FramingError("the block check is wrong", hint="Check the head."), "temporary-failure", "block check is wrong"),
        (ResponseTimeout("silence", hint="Check the head."), "temporary-failure", "silence"),
    ],
)
async def test_where_the_line_fails_only_what_was_asked_for_fails(
    clock: FakeClock, error: DlmsMqttError, name: str, message: str
) -> None:
    meter = Programmed(sets={"1-0:2.8.0*255()": error})
    (energy, export) = await meter.readouts.get_list(
        [(AttributeDescriptor(3, code, 2), None) for code in (ENERGY, EXPORT)]
    )
    assert isinstance(energy, Data) and energy.value == 1234
    assert refused(export) == name
    assert isinstance(export, AccessRefused) and message in export.message
    assert refused(await meter.get(3, EXPORT)) == name
    assert len(meter.requests) == 1, "not again from the same readout"


async def test_a_refusal_of_the_mode_itself_is_that_of_each_register(clock: FakeClock) -> None:
    meter = Programmed()

    async def no(*_: Any) -> list[Any]:
        raise AccessRefused("the password", code=3, name="read-write-denied")

    meter.readouts._read_sets = no
    answers = await meter.readouts.get_list([(AttributeDescriptor(3, code, 2), None) for code in (EXPORT, POWER)])
    assert [refused(answer) for answer in answers] == ["read-write-denied"] * 2


@pytest.mark.parametrize("identification", [None, Identification("DMQ", "A", (), "MODE B")])
async def test_a_meter_without_programming_mode_is_asked_for_nothing(
    clock: FakeClock, identification: Identification | None
) -> None:
    meter = Programmed()
    meter.readouts._take(Readout(identification, LINES, True))
    assert refused(await meter.get(3, EXPORT)) == "object-undefined"
    assert refused(await Programmed(programming=False).get(3, EXPORT)) == "object-undefined"
    assert meter.requests == []


async def test_an_old_readout_is_read_anew_and_a_unit_that_has_changed_is_learned(clock: FakeClock) -> None:
    meter = Programmed()
    meter.memory.scalers[AttributeDescriptor(3, ENERGY, 3)] = ScalerUnit(0, 30)
    assert (await meter.get(3, ENERGY)).value == 1234
    assert meter.read_outs == 0
    meter.lines = LINES.replace("000123.4*kWh", "00000200*Wh")
    await asyncio.sleep(10)
    assert (await meter.get(3, ENERGY)).value == 200
    assert meter.read_outs == 1
    assert meter.memory.scalers[AttributeDescriptor(3, ENERGY, 3)] == ScalerUnit(0, 30)
    meter.lines = LINES.replace("(000123.4*kWh)", "(on)")
    await asyncio.sleep(10)
    await meter.get(3, ENERGY)
    assert meter.memory.scalers[AttributeDescriptor(3, ENERGY, 3)] is None


HEAD = "P.01(1260504120000)(00000000)(15)(1)(1.5)(kW)"
TABLE = HEAD + "\r\n(0.123)\r\n(0.045)\r\n"


async def test_a_load_profile_by_its_range_and_whole(clock: FakeClock) -> None:
    start, end = (DateTime.from_datetime(datetime(2026, 5, 4, hour), deviation=False, status=0) for hour in (10, 12))
    wanted = Data(
        DataType.STRUCTURE,
        (
            Data(DataType.NULL_DATA, None),
            Data(DataType.OCTET_STRING, start.encode()),
            Data(DataType.OCTET_STRING, end.encode()),
        ),
    )
    meter = Programmed(sets={"P.01(2605041000;2605041200)": TABLE, "P.01(;)": TABLE})
    for access in ((1, wanted), None):
        rows = (await meter.get(7, PROFILE, access=access)).value
        assert [row.value[2].value for row in rows] == [123, 45]
    assert refused(await meter.get(7, PROFILE, access=(2, wanted))) == "scope-of-access-violated"
    assert meter.requests == ["P.01(2605041000;2605041200)", "P.01(;)"]


async def test_the_columns_of_a_profile_are_told_by_its_last_hour_and_kept(clock: FakeClock) -> None:
    meter = Programmed(sets={"P.01(2605041115;2605041215)": TABLE})
    assert len((await meter.get(7, PROFILE, 3)).value) == 3
    assert (await meter.get(7, PROFILE, 4)).value == 900
    assert refused(await meter.get(7, PROFILE, 9)) == "object-undefined"
    assert meter.requests == ["P.01(2605041115;2605041215)"]
    column = Obis.parse("1.0.1.5.0.255")
    scaler = ScalerUnit.from_data(await meter.get(5, column, 4))
    assert (scaler.scaler, scaler.unit) == (0, "W")
    without_clock = Programmed("1-0:1.8.0*255(000123.4*kWh)\r\n", sets={"P.01(;)": TABLE})
    assert (await without_clock.get(7, PROFILE, 4)).value == 900


async def test_a_profile_that_cannot_be_had(clock: FakeClock) -> None:
    assert refused(await Programmed(programming=False).get(7, PROFILE)) == "object-undefined"
    denied = AccessRefused("no", code=3, name="read-write-denied")
    assert refused(await Programmed(sets={"P.01(;)": denied}).get(7, PROFILE)) == "read-write-denied"


async def test_nothing_is_written_nor_run(clock: FakeClock) -> None:
    readouts = Programmed().readouts
    for name in ("set", "set_list", "invoke", "invoke_list", "access", "tell"):
        with pytest.raises(AccessRefused, match="read-write-denied") as caught:
            await getattr(readouts, name)((AttributeDescriptor(3, ENERGY, 2), None), Data(DataType.NULL_DATA, None))
        assert "takes nothing" in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("0-0:96.1.0(00012345)\r\n", "DMQ00012345"),
        ("0-0:96.1.0(00000000)\r\n1-0:0.0.0(777)\r\n", "DMQ777"),
        ("1-0:1.8.0(1*kWh)\r\n", "DMQTEST"),
    ],
)
async def test_the_name_of_a_meter_is_its_maker_and_number(clock: FakeClock, lines: str, name: str) -> None:
    assert (await Programmed(lines).get(1, Obis.parse("0.0.42.0.0.255"))).value == name


@pytest.mark.parametrize("clock_line", ["(000000000000W)", "(632525252525)", "(1)(2)(3)(4)", "()", "(soon)", "(7)"])
async def test_a_clock_that_tells_no_time_costs_no_other_value(clock: FakeClock, clock_line: str) -> None:
    meter = Programmed(f"0-0:1.0.0{clock_line}\r\n1-0:1.8.0*255(000123.4*kWh)\r\n", sets={"P.01(;)": TABLE})
    assert (await meter.get(3, ENERGY)).value == 1234
    assert isinstance(await meter.get(1, CLOCK), Data)
    assert (await meter.get(7, PROFILE, 4)).value == 900
