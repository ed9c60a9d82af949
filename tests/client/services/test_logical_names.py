"""GET, SET, ACTION and ACCESS with blocks and lists: pydlms where it has them, a scripted meter for the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydlms.apdu.xdlms import Conformance
from pydlms.simulator import MeterSimulator, example_meter

from dlms_mqtt.client.services.logical_names import NULL, check_block
from dlms_mqtt.errors import (
    AccessRefused,
    ActionRefused,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
    ServiceRefused,
)
from dlms_mqtt.protocol.apdu import get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessOutcome, AccessResponse, AccessSpecification
from dlms_mqtt.protocol.apdu.action import (
    ActionOutcome,
    ActionRequestFirstPblock,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestPblock,
    ActionRequestWithList,
    ActionRequestWithListFirstPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponsePblock,
    ActionResponseWithList,
    encode_outcomes,
)
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.results import DataAccessResult, encode_results
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance as OurConformance
from tests.client.pydlms_meter import PydlmsMeter
from tests.client.scripted import Scripted
from tests.client.some_objects import CUT_OFF, ENERGY, MISSING, SERIAL, VOLTAGE

NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ZERO = Data(DataType.INTEGER, 0)
LONG = Data(DataType.OCTET_STRING, bytes(range(120)))
TEXT = Data(DataType.VISIBLE_STRING, "long text " * 70)
ITEM = (SERIAL, None)


def script(*dialogue: Any, **options: Any) -> Scripted:
    return Scripted(dialogue, **{"max_pdu": 64, **options})


def gbt_meter(**windows: int) -> MeterSimulator:
    sim = example_meter(max_pdu=200)
    sim.conformance |= Conformance.GENERAL_BLOCK_TRANSFER
    sim.gbt_window = windows.get("meter", 1)
    return sim


# -- general block transfer against pydlms ----------------------------------------------------------------------------


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
@pytest.mark.parametrize("lost", [(), (2,), (2, 3), (4,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("theirs", [1, 4])
@pytest.mark.parametrize("window", [1, 3, 8])
async def test_general_blocks_both_ways(
    clock: object, hdlc: bool, lost: tuple[int, ...], window: int, theirs: int
) -> None:
    """A block that HDLC has delivered is sent again only when frames can do nothing more.

    Over HDLC this meter leaves streamed blocks without an acknowledgement, which costs a response timer each.
    """
    sim = gbt_meter(meter=theirs)
    async with PydlmsMeter(sim, hdlc=hdlc) as meter, meter.client(gbt_window=window, max_pdu=150) as client:
        sim.drop_gbt_requests = {*lost}
        await client.set(SERIAL, TEXT)
        assert not sim.drop_gbt_requests
        sim.drop_gbt_blocks = {*lost}
        assert await client.get(SERIAL) == TEXT
        assert not sim.drop_gbt_blocks
        assert await client.get(ENERGY) == await client.get(ENERGY), "short ones go as they are"


async def test_access_in_general_blocks(clock: object) -> None:
    async with PydlmsMeter(gbt_meter()) as meter, meter.client(gbt_window=2) as client:
        kinds = [AccessSpecification(AccessKind.SET, SERIAL), AccessSpecification(AccessKind.GET, SERIAL)]
        assert await client.access(kinds, [TEXT]) == [None, TEXT]


# -- ACCESS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
async def test_access_with_pydlms(hdlc: bool) -> None:
    async with PydlmsMeter(example_meter(), hdlc=hdlc) as meter, meter.client() as client:
        done = await client.access(
            [
                AccessSpecification(AccessKind.GET, ENERGY),
                AccessSpecification(AccessKind.SET, SERIAL),
                AccessSpecification(AccessKind.ACTION, CUT_OFF),
                AccessSpecification(AccessKind.GET, MISSING),
                AccessSpecification(AccessKind.GET, SERIAL),
            ],
            [None, NUMBER, ZERO],
        )
        assert isinstance(done[3], AccessRefused)
        assert [done[0].value, *done[1:3], done[4]] == [12345678, None, None, NUMBER]  # type: ignore[union-attr]


async def test_access_refusals_name_their_kind() -> None:
    specifications = (
        AccessSpecification(AccessKind.GET, ENERGY),
        AccessSpecification(AccessKind.SET, SERIAL),
        AccessSpecification(AccessKind.ACTION, CUT_OFF),
    )
    outcomes = tuple(AccessOutcome(row.kind, 3) for row in specifications)
    async with script((None, AccessResponse(0xC0000001, None, None, (NULL,) * 3, outcomes)), max_pdu=200) as meter:
        got, written, run = await meter.client.access(specifications)
    assert (type(got), type(written), type(run)) == (AccessRefused, AccessRefused, ActionRefused)
    assert "refused to write" in str(written)


async def test_access_that_does_not_fit_or_answers_too_little() -> None:
    specifications = (AccessSpecification(AccessKind.SET, SERIAL),)
    async with script() as meter:
        with pytest.raises(LocalProtocolError, match="too long for this meter"):
            await meter.client.access(specifications, [LONG])
    async with script((None, AccessResponse(0xC0000001, None, None, (), ()))) as meter:
        with pytest.raises(RemoteProtocolError, match="answered 0 of 1"):
            await meter.client.access(specifications, [NUMBER])


# -- lists ------------------------------------------------------------------------------------------------------------


async def test_lists_with_pydlms() -> None:
    async with PydlmsMeter(example_meter()) as meter, meter.client() as client:
        assert await client.set_many([SERIAL, VOLTAGE], [NUMBER, ZERO]) == [None, None]
        assert await client.get_many([SERIAL, VOLTAGE]) == [NUMBER, ZERO]
        answers = await client.get_many([SERIAL, MISSING])
        assert isinstance(answers[1], MeterRefused)


async def test_a_long_list_is_written_in_blocks() -> None:
    items = (ITEM, (VOLTAGE, None))
    body = set_.encode_values((LONG, NUMBER))
    room = 64 - len(set_.SetRequestWithListFirstBlock(0xC1, items, False, 1, b"").encode()) - 4
    rest = [body[room : room + 52], body[room + 52 :]]
    async with script(
        (set_.SetRequestWithListFirstBlock(0xC1, items, False, 1, body[:room]), set_.SetResponseBlock(0xC1, 1)),
        (set_.SetRequestBlock(0xC1, False, 2, rest[0]), set_.SetResponseBlock(0xC1, 2)),
        (set_.SetRequestBlock(0xC1, True, 3, rest[1]), set_.SetResponseLastBlockWithList(0xC1, (0, 3), 3)),
    ) as meter:
        first, second = await meter.client.set_many([SERIAL, VOLTAGE], [LONG, NUMBER])
    assert first is None
    assert second is not None
    assert second.name == "read-write-denied"
    assert all(len(request.encode()) <= 64 for request in meter.requests[1:])


async def test_a_list_that_is_refused_as_a_whole() -> None:
    async with script((None, set_.SetResponseNormal(0xC1, 250))) as meter:
        with pytest.raises(AccessRefused, match="other-reason"):
            await meter.client.set_many([SERIAL], [NUMBER])


async def test_methods_in_a_list() -> None:
    methods = (CUT_OFF, CUT_OFF._replace(method=2))
    outcomes = (ActionOutcome(0, NUMBER), ActionOutcome(3))
    request = ActionRequestWithList(0xC1, methods, (ZERO, NULL))
    async with script((request, ActionResponseWithList(0xC1, outcomes))) as meter:
        returned, refused = await meter.client.invoke_many(methods, [ZERO, None])
    assert returned == NUMBER
    assert isinstance(refused, ActionRefused)


async def test_methods_in_a_long_list_and_a_long_answer() -> None:
    methods = (CUT_OFF, CUT_OFF._replace(method=2))
    body = set_.encode_values((LONG, ZERO))
    room = 64 - len(ActionRequestWithListFirstPblock(0xC1, methods, False, 1, b"").encode()) - 4
    answer = encode_outcomes((ActionOutcome(0, LONG), ActionOutcome(0)))
    async with script(
        (
            ActionRequestWithListFirstPblock(0xC1, methods, False, 1, body[:room]),
            ActionResponseNextPblock(0xC1, 1),
        ),
        (ActionRequestPblock(0xC1, False, 2, body[room : room + 52]), ActionResponseNextPblock(0xC1, 2)),
        (ActionRequestPblock(0xC1, True, 3, body[room + 52 :]), ActionResponsePblock(0xC1, False, 1, answer[:40])),
        (ActionRequestNextPblock(0xC1, 1), ActionResponsePblock(0xC1, True, 2, answer[40:])),
    ) as meter:
        assert await meter.client.invoke_many(methods, [LONG, ZERO]) == [LONG, None]


async def test_a_list_answered_in_blocks_and_by_one_refusal() -> None:
    octets = encode_results((NUMBER, DataAccessResult.OBJECT_UNDEFINED))
    async with script((None, get.GetResponseBlock(0xC1, True, 1, None, octets))) as meter:
        one, two = await meter.services.get_list([ITEM, (VOLTAGE, None)])
        assert one == NUMBER
        assert isinstance(two, AccessRefused)
    async with script((None, get.GetResponseNormal(0xC1, 3, b""))) as meter:
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await meter.services.get_list([ITEM, ITEM])
    async with script((None, get.GetResponseWithList(0xC1, (NUMBER,)))) as meter:
        with pytest.raises(RemoteProtocolError, match="answered 1 of 2"):
            await meter.services.get_list([ITEM, ITEM])


# -- blocks -----------------------------------------------------------------------------------------------------------


async def test_a_long_parameter_goes_in_blocks() -> None:
    octets = encode(LONG)
    room = 64 - len(ActionRequestFirstPblock(0xC1, CUT_OFF, False, 1, b"").encode()) - 4
    async with script(
        (ActionRequestFirstPblock(0xC1, CUT_OFF, False, 1, octets[:room]), ActionResponseNextPblock(0xC1, 1)),
        (ActionRequestPblock(0xC1, False, 2, octets[room : room + 52]), ActionResponseNextPblock(0xC1, 2)),
        (ActionRequestPblock(0xC1, True, 3, octets[room + 52 :]), ActionResponseNormal(0xC1, 0)),
    ) as meter:
        assert await meter.client.invoke(CUT_OFF, LONG) is None


async def test_blocks_that_are_refused_or_out_of_order() -> None:
    block = get.GetResponseBlock(0xC1, False, 1, None, b"\x09")
    wrong = get.GetResponseBlock(0xC1, False, 3, None, b"\x09")
    refused = get.GetResponseBlock(0xC1, True, 2, int(DataAccessResult.LONG_GET_ABORTED), b"")
    ended = get.GetResponseNormal(0xC1, 15, b"")
    for second, kind, text in (
        (wrong, RemoteProtocolError, "block 3 where block 2"),
        (refused, AccessRefused, "long-get-aborted"),
        (ended, AccessRefused, "long-get-aborted"),
        (ExceptionResponse(1, 1), ServiceRefused, "operation-not-possible"),
    ):
        async with script((None, block), (get.GetRequestNext(0xC1, 1), second)) as meter:
            with pytest.raises(kind, match=text):
                await meter.client.get(SERIAL)
    async with script((None, set_.SetResponseNormal(0xC1, 3))) as meter:
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await meter.client.set(SERIAL, LONG)


async def test_actions_that_are_refused_in_part() -> None:
    async with script((None, ActionResponseNormal(0xC1, 0, 3))) as meter:
        with pytest.raises(ActionRefused):
            await meter.client.invoke(CUT_OFF, ZERO)
    async with script(
        (ActionRequestNormal(0xC1, CUT_OFF, None), ActionResponseNormal(0xC1, 0, None, encode(LONG)))
    ) as meter:
        assert await meter.client.invoke(CUT_OFF) == LONG
    async with script(
        (None, ActionResponsePblock(0xC1, False, 1, b"\x09")),
        (ActionRequestNextPblock(0xC1, 1), ActionResponseNormal(0xC1, 2)),
    ) as meter:
        with pytest.raises(ActionRefused, match="temporary-failure"):
            await meter.client.invoke(CUT_OFF, ZERO)
    async with script((None, ActionResponseNormal(0xC1, 2))) as meter:
        with pytest.raises(ActionRefused, match="temporary-failure"):
            await meter.client.invoke_many([CUT_OFF], [ZERO])


# -- what comes between -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
async def test_a_push_comes_between(hdlc: bool) -> None:
    push = DataNotification(1, None, encode(NUMBER))
    answer = get.GetResponseNormal(0xC1, None, encode(NUMBER))
    async with script((None, [push, answer]), hdlc=hdlc) as meter:
        assert await meter.client.get(SERIAL) == NUMBER
    assert meter.notifications == [push]


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
async def test_an_answer_to_another_question_is_dropped(hdlc: bool) -> None:
    late = get.GetResponseNormal(0xC0, None, encode(ZERO))
    answer = get.GetResponseNormal(0xC1, None, encode(NUMBER))
    async with script((None, [late, answer]), hdlc=hdlc) as meter:
        assert await meter.client.get(SERIAL) == NUMBER


async def test_an_unconfirmed_write() -> None:
    request = set_.SetRequestNormal(0x81, SERIAL, None, encode(NUMBER))
    answer = get.GetResponseNormal(0xC2, None, encode(NUMBER))
    for hdlc in (False, True):
        async with script((request, None), (get.GetRequestNormal(0xC2, SERIAL), answer), hdlc=hdlc) as meter:
            await meter.client.tell(SERIAL, NUMBER)
            assert await meter.client.get(SERIAL) == NUMBER


async def test_an_unconfirmed_write_is_sent_only_where_writes_were_agreed() -> None:
    async with script(conformance=OurConformance.GET) as meter:
        with pytest.raises(LocalProtocolError, match="not agreed to unconfirmed writes"):
            await meter.client.tell(SERIAL, NUMBER)


async def test_an_exception_under_a_tag_of_its_own_is_named() -> None:
    for octets, name in ((b"\x98\x01\x02", "service-not-allowed, service-not-supported"), (b"\x98\x07\x02", "")):
        async with script((None, octets)) as meter:
            with pytest.raises(RemoteProtocolError, match="tag 98 is not known" + (".*" + name if name else "$")):
                await meter.client.get(SERIAL)


async def test_a_wrong_kind_of_answer() -> None:
    async with script((None, ActionResponseNormal(0xC1, 0))) as meter:
        with pytest.raises(RemoteProtocolError, match="not allowed now"):
            await meter.client.get(SERIAL)


async def test_a_refused_value_and_a_refused_action() -> None:
    async with script((None, get.GetResponseNormal(0xC1, DataAccessResult.READ_WRITE_DENIED, b""))) as meter:
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await meter.services.get(ITEM)
    async with script((None, ActionResponseNormal(0xC1, 3))) as meter:
        with pytest.raises(ActionRefused, match="read-write-denied"):
            await meter.services.invoke(CUT_OFF, ZERO)


@pytest.mark.expect_log("1 octets are left over")
async def test_octets_behind_the_answers_to_a_list_belong_to_nothing() -> None:
    answer = get.GetResponseWithList(0xC1, (NUMBER, NUMBER)).encode() + b"\xab"
    async with script((None, answer)) as meter:
        with pytest.raises(RemoteProtocolError, match="1 octets are left over behind the answers to a list"):
            await meter.services.get_list([ITEM, ITEM])


@pytest.mark.parametrize("write", [True, False])
async def test_a_meter_that_wants_more_blocks_than_there_are(write: bool) -> None:
    kind: Any = set_.SetResponseBlock if write else ActionResponseNextPblock
    more = [kind(0xC1, number) for number in range(1, 9)]
    async with script(*((None, answer) for answer in more), max_pdu=64) as meter:
        with pytest.raises(RemoteProtocolError, match="not allowed now"):
            await (meter.services.set(ITEM, LONG) if write else meter.services.invoke(CUT_OFF, LONG))
        assert 1 < len(more) - len(meter._steps) < len(more)
        meter._steps.clear()


@pytest.mark.parametrize(
    ("block", "size", "message"),
    [
        (get.GetResponseBlock(0xC1, False, 2, None, b"x"), 0, "block 2 where block 1 was due"),
        (get.GetResponseBlock(0xC1, False, 1, None, b""), 0, "sent an empty block"),
        (get.GetResponseBlock(0xC1, False, 1, None, b"x"), 101, "more than 100 octets in one answer"),
    ],
)
def test_a_block_that_cannot_be_the_next_one(block: get.GetResponseBlock, size: int, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        check_block(block, 1, size, 100)
    check_block(get.GetResponseBlock(0xC1, True, 1, None, b""), 1, 100, 100)
