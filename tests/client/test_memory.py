"""What a client has learned: the scaler of every class that has one is read with the value, whatever the class."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.client.services.memory import Measured, Memory, scaler_of
from dlms_mqtt.cosem.classes import CLASSES, SCALERS, VALUES
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.description import describe
from tests.simulator.test_services import connected

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
    memory.learn_scaler(scaler, AccessRefused("no", code=3, name="read-write-denied"))
    assert memory.scalers == {scaler: None}
    memory.learn_scaler(scaler, AccessRefused("later", code=2, name="temporary-failure"))
    assert memory.scalers == {}
    memory.learn_scaler(scaler, Data(DataType.UNSIGNED, 1))
    assert memory.scalers == {scaler: None}
    memory.learn_scaler(scaler, ScalerUnit(-1, 30).to_data())
    assert memory.scaler(AttributeDescriptor(3, OBIS, 2)) == ScalerUnit(-1, 30)
    assert scaler_of(AttributeDescriptor(1, OBIS, 2)) is None
