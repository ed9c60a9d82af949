"""Services by logical names: lists, blocks both ways, ACCESS, and requests that contradict themselves."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.errors import AccessRefused, ActionRefused, DecodeError
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessRequest, AccessSpecification
from dlms_mqtt.protocol.apdu.action import (
    ActionRequestNextPblock,
    ActionRequestPblock,
    ActionRequestWithList,
    ActionResponseNormal,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNext, GetRequestNormal, GetResponseBlock, GetResponseNormal
from dlms_mqtt.protocol.apdu.notification import DataNotificationConfirm
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.apdu.results import DataAccessResult as R
from dlms_mqtt.protocol.apdu.set import (
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestWithList,
    SetResponseBlock,
    SetResponseLastBlock,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.simulator import (
    MANAGER,
    Association,
    Context,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.logical_names import LogicalNames
from tests.fake_clock import FakeClock
from tests.simulator.bench import frozen_meter
from tests.simulator.connected import (
    GMAC,
    MESSAGE,
    NAME,
    NOTHING,
    OPEN,
    RATIO,
    SWITCH,
    O,
    connected,
    echo_meter,
    text,
)

WAYS: list[dict[str, Any]] = [
    OPEN,
    OPEN | {"max_pdu": 80},
    GMAC | {"max_pdu": 120},
    OPEN | {"gbt_window": 1, "max_pdu": 80},
    GMAC | {"gbt_window": 6, "max_pdu": 120},
    GMAC | {"ciphering": "dedicated"},
    GMAC | {"ciphering": "general-dedicated", "max_pdu": 150},
]


def _fields(row: Association) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


ECHO = MethodDescriptor(9999, O("0.0.128.9.0.255"), 1)


async def test_access(clock: FakeClock) -> None:
    meter = echo_meter(clock)
    async with connected(meter, **GMAC) as client:
        found = await client.access(
            [
                AccessSpecification(AccessKind.GET, NAME),
                AccessSpecification(AccessKind.SET, MESSAGE),
                AccessSpecification(AccessKind.ACTION, ECHO),
                AccessSpecification(AccessKind.GET, AttributeDescriptor(1, O("9.9.9.9.9.9"), 2)),
            ],
            [Data(DataType.NULL_DATA, None), text(b"a"), text(b"b"), Data(DataType.NULL_DATA, None)],
        )
    assert found[0] == text(meter.name.encode())
    assert found[2] == text(b"b")
    assert isinstance(found[3], AccessRefused)


async def test_a_method_wants_its_typed_parameter(clock: FakeClock) -> None:
    async with connected(household(clock=clock)) as client:
        for argument in (None, Data(DataType.NULL_DATA, None), Data(DataType.UNSIGNED, 0)):
            with pytest.raises(ActionRefused):
                await client.invoke(MethodDescriptor(70, SWITCH.obis, 1), argument)
        await client.invoke(MethodDescriptor(70, SWITCH.obis, 1), NOTHING)
        assert (await client.get(SWITCH)).value is False


async def test_a_wrong_block_number_ends_the_transfer(clock: FakeClock) -> None:
    meter = household(clock=clock)
    meter.associate(Association(16, "bare", MANAGER, pre_established=True))
    async with connected(meter, "hdlc", client=17, max_pdu=100) as client:
        exchange = client._live
        first = await exchange.ask(GetRequestNormal(0xC1, AttributeDescriptor(15, O("0.0.40.0.0.255"), 2)))
        assert isinstance(first, GetResponseBlock)
        wrong = await exchange.ask(GetRequestNext(0xC1, 7))
        assert isinstance(wrong, GetResponseBlock)
        assert (wrong.last, wrong.error) == (True, 19)


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_everything_in_every_size(clock: FakeClock, framing: str, way: dict[str, Any]) -> None:
    meter = echo_meter(clock)
    # The meter's own limit makes the client send in blocks too.
    meter.associate(*[row.__class__(**_fields(row) | {"max_pdu": 90}) for row in meter.associations.values()])
    async with connected(meter, framing, **way) as client:
        assert len(await read_objects(client)) == len(meter.objects) - 1
        long = text(bytes(range(100)))
        await client.set(MESSAGE, long)
        assert await client.get(MESSAGE) == long
        assert await client.set_many([MESSAGE, RATIO], [text(b"y" * 120), Data(DataType.LONG_UNSIGNED, 7)]) == [
            None,
            None,
        ]
        assert [value.value for value in await client.get_many([MESSAGE, RATIO])] == [b"y" * 120, 7]  # type: ignore[union-attr]
        assert await client.invoke(ECHO, long) == long
        assert await client.invoke_many([ECHO, ECHO], [long, NOTHING]) == [long, NOTHING]
        assert len((await read_profile(client, O("1.0.99.2.0.255"), Selection(first=2, count=5))).rows) == 5


# -- one request at a time, without a client ---------------------------------------------------------------------------


@pytest.fixture
def services() -> LogicalNames:
    meter = frozen_meter()
    return LogicalNames(Context(meter, meter.associations[17]), 40, ~Conformance(0))


def test_blocks_out_of_order_end_what_was_begun(services: LogicalNames) -> None:
    first = SetRequestFirstBlock(0xC1, MESSAGE, None, False, 1, b"\x09")
    assert services.answer(first) == SetResponseBlock(0xC1, 1)
    wrong = services.answer(SetRequestBlock(0xC1, True, 3, b"\x00"))
    assert wrong == SetResponseLastBlock(0xC1, R.DATA_BLOCK_NUMBER_INVALID, 3)
    late = services.answer(SetRequestBlock(0xC1, True, 2, b"\x00"))
    assert late == SetResponseLastBlock(0xC1, R.NO_LONG_SET_IN_PROGRESS, 2)
    pblock = services.answer(ActionRequestPblock(0xC1, True, 1, b""))
    assert pblock == ActionResponseNormal(0xC1, ActionResult.LONG_ACTION_ABORTED)
    assert services.answer(ActionRequestNextPblock(0xC1, 1)) == ActionResponseNormal(
        0xC1, ActionResult.NO_LONG_ACTION_IN_PROGRESS
    )
    nothing = services.answer(GetRequestNext(0xC1, 1))
    assert nothing == GetResponseBlock(0xC1, True, 1, R.NO_LONG_GET_IN_PROGRESS, b"")


def test_a_long_answer_to_who_takes_no_blocks(services: LogicalNames) -> None:
    services.agreed = Conformance.GET
    listed = services.answer(GetRequestNormal(0xC1, AttributeDescriptor(15, O("0.0.40.0.0.255"), 2)))
    assert listed == GetResponseNormal(0xC1, R.DATA_BLOCK_UNAVAILABLE, b"")


def test_lists_that_contradict_themselves(services: LogicalNames) -> None:
    method, nothing = MethodDescriptor(70, SWITCH.obis, 1), AccessSpecification(AccessKind.GET, NAME)
    with pytest.raises(DecodeError, match="0 values for 1 attributes"):
        services.answer(SetRequestWithList(0xC1, ((MESSAGE, None),), ()))
    with pytest.raises(DecodeError, match="0 parameters for 1 methods"):
        services.answer(ActionRequestWithList(0xC1, (method,), ()))
    with pytest.raises(DecodeError, match="0 values for 1 specifications"):
        services.answer(AccessRequest(1, None, (nothing,), ()))
    assert services.answer(DataNotificationConfirm(1, None)) is None
