"""Readouts that others published, of fourteen makers: from the octets on the line to the values of objects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.readout import Readout
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.services.readouts import Readouts
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.object_list import decode_object_list
from dlms_mqtt.errors import AccessRefused, FramingError
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.framing.data_block import find_data_block
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import block_check, find_identification
from dlms_mqtt.protocol.obis import Obis
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


def told(found: Measured, captured: DateTime | None) -> str:
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
    said = find_identification(data)
    assert said is not None
    assert said[0].manufacturer == case.get("identification", "/XXX5")[1:4]


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
    block, said = find_data_block(data, final=True), find_identification(data)
    assert block is not None
    assert said is not None

    async def again() -> Readout:
        raise AssertionError("it is fresh")

    return Readouts(Readout(said[0], block.text, block.checked), Memory(), again)


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
    from dlms_mqtt.cosem.structures import ScalerUnit

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
    return told(measured, moment)


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
