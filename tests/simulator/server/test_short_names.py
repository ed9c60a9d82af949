"""Services by short names: reads, writes, methods, blocks both ways, and what nobody asks twice."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.errors import AccessRefused, DecodeError, SecurityError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import DataAccessResult as R
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumber,
    BlockNumberAccess,
    ParameterisedAccess,
    ReadDataBlockAccess,
    ReadRequest,
    ReadResponse,
    UnconfirmedWriteRequest,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
    decode_read_blocks,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.simulator import (
    MANAGER,
    Association,
    Context,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.short_names import REPLY_TO_HLS, ShortNames, is_proof
from tests.fake_clock import FakeClock
from tests.simulator.bench import frozen_meter
from tests.simulator.connected import (
    MESSAGE,
    NAME,
    NOTHING,
    OPEN,
    RATIO,
    SWITCH,
    O,
    connected,
    text,
)

SERVICES = Conformance.READ | Conformance.WRITE


@pytest.mark.parametrize("oddity", ["", "value"])
@pytest.mark.parametrize("way", [{}, {"max_pdu": 60}, {"gbt_window": 3, "max_pdu": 60}], ids=str)
async def test_short_names(clock: FakeClock, way: dict[str, Any], oddity: str) -> None:
    meter = household(clock=clock)
    meter.oddities["sn_blocks"] = oddity
    meter.associate(Association(17, "short", MANAGER, referencing="sn", max_pdu=70))
    async with connected(meter, "hdlc", **OPEN, referencing="sn", **way) as client:
        assert len(await read_objects(client)) == len(meter.objects) - 1
        await client.set(MESSAGE, text(b"s" * 100))
        assert (await client.get_many([MESSAGE, NAME]))[0] == text(b"s" * 100)
        await client.tell(MESSAGE, text(b"unconfirmed"))
        assert (await client.get(MESSAGE)).value == b"unconfirmed"
        await client.invoke(MethodDescriptor(70, SWITCH.obis, 1), NOTHING)
        assert (await client.get(SWITCH)).value is False
        assert len((await read_profile(client, O("1.0.99.2.0.255"), Selection(first=2, count=5))).rows) == 5
        with pytest.raises(AccessRefused, match="type-unmatched"):
            await client.set(RATIO, NOTHING)


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_pre_established_with_short_names(clock: FakeClock, framing: str) -> None:
    meter = household(clock=clock)
    meter.associate(Association(19, "standing", MANAGER, pre_established=True, referencing="sn"))
    async with connected(meter, framing, client=19, pre_established=True, referencing="sn") as client:
        assert (await client.get(NAME)).value == meter.name.encode()


# -- one request at a time, without a client ---------------------------------------------------------------------------


@pytest.fixture
def names() -> ShortNames:
    meter = frozen_meter()

    def prove(value: Data) -> bytes:
        if value.value != b"right":
            raise SecurityError("wrong", reason="authentication")
        return b"ours"

    meter.associate(Association(17, "short", MANAGER, referencing="sn"))
    return ShortNames(Context(meter, meter.associations[17], "sn"), 40, SERVICES, prove)


def name_of(names: ShortNames, target: AttributeDescriptor) -> int:
    return names.context.meter.objects[target.class_id, target.obis].short_name + 8 * (target.attribute - 1)


def read(names: ShortNames, *variables: Any) -> Any:
    answer = names.answer(ReadRequest(variables))
    assert isinstance(answer, ReadResponse)
    return answer.results


def write(names: ShortNames, variables: tuple[Any, ...], *values: Data) -> Any:
    answer = names.answer(WriteRequest(variables, values))
    assert isinstance(answer, WriteResponse)
    return answer.results


def test_a_long_answer_is_fetched_block_by_block(names: ShortNames) -> None:
    message = name_of(names, MESSAGE)
    assert write(names, (VariableName(message),), text(b"x" * 60)) == (0,)
    (block,) = read(names, VariableName(message))
    joined, number = b"", 1
    while not block.last:
        assert block.block_number == number
        joined += block.data
        (block,) = read(names, BlockNumberAccess(number))
        number += 1
    assert decode_read_blocks(joined + block.data) == (text(b"x" * 60),)
    assert read(names, BlockNumberAccess(number)) == (R.NO_LONG_GET_IN_PROGRESS,)
    read(names, VariableName(message))
    assert read(names, BlockNumberAccess(7)) == (R.DATA_BLOCK_NUMBER_INVALID,)


def test_a_long_question_comes_in_blocks(names: ShortNames) -> None:
    body = ReadRequest((VariableName(name_of(names, RATIO)),)).encode_body()
    assert read(names, ReadDataBlockAccess(False, 1, body[:2])) == (BlockNumber(1),)
    assert read(names, ReadDataBlockAccess(True, 2, body[2:])) == (Data(DataType.LONG_UNSIGNED, 1),)
    assert read(names, ReadDataBlockAccess(True, 5, body)) == (R.DATA_BLOCK_NUMBER_INVALID,)


def test_a_long_write_comes_in_blocks(names: ShortNames) -> None:
    seven = Data(DataType.LONG_UNSIGNED, 7)
    body = WriteRequest((VariableName(name_of(names, RATIO)),), (seven,)).encode_body()
    assert write(names, (WriteDataBlockAccess(False, 1),), text(body[:4])) == (BlockNumber(1),)
    assert write(names, (WriteDataBlockAccess(True, 2),), text(body[4:])) == (0,)
    assert read(names, VariableName(name_of(names, RATIO))) == (seven,)
    assert write(names, (WriteDataBlockAccess(True, 9),), text(body)) == (R.DATA_BLOCK_NUMBER_INVALID,)
    assert write(names, (WriteDataBlockAccess(True, 1),), seven) == (R.DATA_BLOCK_NUMBER_INVALID,)


def test_the_proof_is_read_or_written(names: ShortNames) -> None:
    right, wrong = text(b"right"), text(b"wrong")
    assert read(names, ParameterisedAccess(REPLY_TO_HLS, 1, right)) == (text(b"ours"),)
    assert read(names, ParameterisedAccess(REPLY_TO_HLS, 1, wrong)) == (R.READ_WRITE_DENIED,)
    assert read(names, VariableName(REPLY_TO_HLS)) == (R.READ_WRITE_DENIED,)
    assert write(names, (VariableName(REPLY_TO_HLS),), right) == (0,)
    assert write(names, (VariableName(REPLY_TO_HLS),), wrong) == (R.READ_WRITE_DENIED,)
    assert is_proof(ReadRequest((VariableName(REPLY_TO_HLS),)))
    assert not is_proof(ReadRequest((VariableName(8),)))


def test_names_of_nothing_and_methods(names: ShortNames) -> None:
    switch = names.context.meter.objects[70, SWITCH.obis].short_name
    assert read(names, VariableName(3)) == (R.OBJECT_UNDEFINED,)
    assert write(names, (VariableName(3), VariableName(name_of(names, NAME))), NOTHING, NOTHING) == (
        R.OBJECT_UNDEFINED,
        R.READ_WRITE_DENIED,
    )
    off = switch + 0x20  # the first method of class 70
    assert read(names, ParameterisedAccess(off, 0, NOTHING)) == (Data(DataType.NULL_DATA, None),)
    assert names.context.meter.timeline.mode.connected is False
    assert write(names, (VariableName(off + 8),), NOTHING) == (0,)
    assert names.context.meter.timeline.mode.connected is True


def test_requests_that_contradict_themselves(names: ShortNames) -> None:
    block = BlockNumberAccess(1)
    with pytest.raises(DecodeError, match="a block among other variables"):
        names.answer(ReadRequest((VariableName(8), block)))
    with pytest.raises(DecodeError, match="a block among other variables"):
        names.answer(WriteRequest((block,), (NOTHING,)))
    with pytest.raises(DecodeError, match="1 values for 2 variables"):
        names.answer(UnconfirmedWriteRequest((VariableName(8), VariableName(16)), (NOTHING,)))
    assert names.answer(UnconfirmedWriteRequest((VariableName(3),), (NOTHING,))) is None
