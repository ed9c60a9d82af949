"""What a client has learned: the scaler of every class that has one is read with the value, whatever the class."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.client.procedures.objects import type_of
from dlms_mqtt.client.services.memory import Measured, Memory, scaler_of
from dlms_mqtt.cosem.classes import CLASSES, SCALERS, VALUES
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, AttributeFailed, ResponseTimeout
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import bare_meter, make
from dlms_mqtt.simulator.description import describe
from dlms_mqtt.simulator.server.meter import Meter
from tests.simulator.connected import connected

OBIS = Obis((1, 0, 99, 99, 0, 255))
SCALED = sorted(
    {(class_id, VALUES[class_id][0]) for class_id, _ in CLASSES if class_id in SCALERS and class_id in VALUES}
)


@pytest.mark.parametrize(("class_id", "attribute"), SCALED)
async def test_a_value_is_read_with_its_scaler(class_id: int, attribute: int) -> None:
    row = {"obis": str(OBIS), "class": class_id, "value": 12345, "scaler": 1, "unit": "Wh", "see": "public"}
    meter = describe({"kind": "bare", "objects": [row], "associations": [16]}).meter
    async with connected(meter, client=16) as client:
        (found,) = await client.read([AttributeDescriptor(class_id, OBIS, attribute)])
    assert isinstance(found, Measured)
    assert (found.value, found.unit) == (Decimal(123450), "Wh")


def test_numbers_in_containers_are_scaled_too() -> None:
    cells = Data(DataType.ARRAY, (Data(DataType.UNSIGNED, 5), Data(DataType.BOOLEAN, True)))
    assert Measured(AttributeDescriptor(61, OBIS, 2), cells, ScalerUnit(-1, 30)).value == [Decimal("0.5"), True]
    assert Measured(AttributeDescriptor(61, OBIS, 2), cells).value == [5, True]


def test_a_refusal_is_kept_unless_it_will_pass() -> None:
    memory, scaler = Memory(), AttributeDescriptor(3, OBIS, 3)
    for known in ({}, {}, {scaler: None}):  # what is refused once may be the mood of a moment
        memory.learn_scaler(scaler, AccessRefused("no", code=3, name="read-write-denied"))
        assert memory.scalers == known
    memory.learn_scaler(scaler, AccessRefused("later", code=2, name="temporary-failure"))
    assert memory.scalers == {}
    memory.learn_scaler(scaler, Data(DataType.UNSIGNED, 1))
    assert memory.scalers == {scaler: None}
    memory.learn_scaler(scaler, ScalerUnit(-1, 30).to_data())
    assert memory.scaler(AttributeDescriptor(3, OBIS, 2)) == ScalerUnit(-1, 30)
    assert scaler_of(AttributeDescriptor(1, OBIS, 2)) is None


def silence(*, sent: bool = True) -> AttributeFailed:
    return AttributeFailed("no answer", error=ResponseTimeout("no answer"), target="3/1.0.99.99.0.255:3", sent=sent)


def test_a_scaler_that_never_comes_is_asked_for_ever_more_rarely() -> None:
    """The line, or the mood of a moment: that there is none is not known."""
    memory, scaler = Memory(), AttributeDescriptor(3, OBIS, 3)
    requests = []
    for turn in range(1, 40):
        if memory.wants_scaler(scaler):
            requests.append(turn)
            assert not memory.learn_scaler(scaler, silence())
    assert requests == [1, 2, 3, 5, 9, 17, 33]
    assert memory.scalers == {}
    assert memory.learn_scaler(scaler, ScalerUnit(-1, 30).to_data())
    assert not memory.wants_scaler(scaler)


def test_a_meter_that_was_gone_said_nothing_of_a_scaler() -> None:
    memory, scaler = Memory(), AttributeDescriptor(3, OBIS, 3)
    for _ in range(9):
        memory.learn_scaler(scaler, silence(sent=False))
    assert memory.refusals == {}
    assert memory.wants_scaler(scaler)


def test_octets_that_are_no_scaler_once_are_not_kept() -> None:
    memory, scaler = Memory(), AttributeDescriptor(3, OBIS, 3)
    for known in ({}, {}, {scaler: None}):
        assert memory.wants_scaler(scaler)
        assert not memory.learn_scaler(scaler, Data(DataType.LONG_UNSIGNED, 7))
        assert memory.scalers == known
    assert Memory().learn_scaler(scaler, Data(DataType.NULL_DATA, None))  # which says that there is none


def writable_meter(data: Data) -> Meter:
    meter = bare_meter()
    meter.add(make(1, str(OBIS), data, writable=(2,)))
    return meter


async def test_a_write_does_not_ask_for_a_type_that_was_just_read() -> None:
    number = AttributeDescriptor(1, OBIS, 2)
    meter = writable_meter(Data(DataType.LONG_UNSIGNED, 7))
    async with connected(meter) as client:
        requests: list[AttributeDescriptor] = []
        get = client.get
        client.get = lambda attribute: (requests.append(attribute), get(attribute))[1]
        assert await type_of(client, number) is DataType.LONG_UNSIGNED and requests == [number]
        await client.read([number])
        requests.clear()
        assert await type_of(client, number) is DataType.LONG_UNSIGNED and requests == []


async def test_a_refused_write_forgets_the_type() -> None:
    number = AttributeDescriptor(1, OBIS, 2)
    meter = writable_meter(Data(DataType.LONG_UNSIGNED, 7))
    async with connected(meter) as client:
        await client.read([number])
        assert client.memory.types == {number: DataType.LONG_UNSIGNED}
        with pytest.raises(AccessRefused):
            await client.set(number, Data(DataType.VISIBLE_STRING, "7"))
        assert client.memory.types == {}


async def test_nothing_says_nothing_of_its_type() -> None:
    memory, number = Memory(), AttributeDescriptor(1, OBIS, 2)
    memory.learn_type(number, Data(DataType.UNSIGNED, 1))
    memory.learn_type(number, Data(DataType.NULL_DATA, None))
    memory.learn_type(number, AccessRefused("no", code=3, name="read-write-denied"))
    assert memory.types == {number: DataType.UNSIGNED}


def test_a_scaler_that_keeps_meaning_nothing_is_none() -> None:
    memory, scaler = Memory(), AttributeDescriptor(3, OBIS, 3)
    for known in ({}, {}, {scaler: None}):
        assert not memory.learn_scaler(scaler, Data(DataType.STRUCTURE, (Data(DataType.BOOLEAN, True),)))
        assert memory.scalers == known


def test_a_way_to_select_rows_that_is_refused_twice_in_a_row_is_not_tried_again() -> None:
    memory, refused = Memory(), AccessRefused("no", code=250, name="other-reason")
    passing = AccessRefused("later", code=2, name="temporary-failure")
    often = 0
    while memory.selects(OBIS, 1):
        memory.learn_selector(OBIS, 1, passing)
        memory.learn_selector(OBIS, 1, refused)
        often += 1
    assert often > 1 and memory.selects(OBIS, 2)
    memory.learn_selector(OBIS, 1, None)
    assert memory.selects(OBIS, 1)
    memory.learn_selector(OBIS, 1, refused)
    assert memory.selects(OBIS, 1), "it is counted anew"


def test_short_names_are_kept_by_class_and_code() -> None:
    memory, item = Memory(), make(3, str(OBIS)).info(0, False)
    memory.learn_short_names([item])
    assert memory.short_names == {(3, OBIS): item}
