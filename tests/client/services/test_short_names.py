"""Short names against pydlms and against a meter that answers as a table says."""

from __future__ import annotations

import pytest
from pydlms.simulator import example_meter

from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.logical_names import WrongList
from dlms_mqtt.cosem.classes import RESERVED_BASE_NAMES
from dlms_mqtt.errors import AccessRefused, ActionRefused, ConfigError, LocalProtocolError, MeterRefused
from dlms_mqtt.errors import RemoteProtocolError as Nonsense
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessSpecification
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    BlockNumber,
    BlockNumberAccess,
    DataBlockResult,
    InformationReportRequest,
    ParameterisedAccess,
    ReadDataBlockAccess,
    ReadRequest,
    ReadResponse,
    UnconfirmedWriteRequest,
    VariableName,
    WriteDataBlockAccess,
    WriteRequest,
    WriteResponse,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from tests.client.pydlms_meter import PydlmsMeter
from tests.client.scripted import Scripted
from tests.client.some_objects import CUT_OFF, ENERGY, MISSING, NAME, PROFILE, SERIAL, VOLTAGE, attribute, method

REGISTER, SWITCH, ASSOCIATION = 0x1000, 0x4000, 0xFA00
NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ZERO = Data(DataType.INTEGER, 0)


def listed(base: int, class_id: int, obis: bytes, version: int = 0) -> Data:
    return Data(
        DataType.STRUCTURE,
        (
            Data(DataType.LONG, base - 0x10000 if base > 0x7FFF else base),
            Data(DataType.LONG_UNSIGNED, class_id),
            Data(DataType.UNSIGNED, version),
            Data(DataType.OCTET_STRING, obis),
        ),
    )


LIST = Data(
    DataType.ARRAY,
    (
        listed(REGISTER, 3, bytes(ENERGY.obis)),
        listed(SWITCH, 70, bytes(CUT_OFF.obis)),
        listed(0x5000, 7, bytes(PROFILE)),
        listed(0x9000, 1, bytes(SERIAL.obis)),
        listed(0x6000, 40, bytes(NAME.obis), 1),
    ),
)
ASK_LIST = (ReadRequest((VariableName(ASSOCIATION + 8),)), ReadResponse((LIST,)))


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
async def test_with_pydlms(hdlc: bool) -> None:
    async with PydlmsMeter(example_meter(max_pdu=300), hdlc=hdlc) as meter, meter.client(referencing="sn") as client:
        values = await client.read([ENERGY, VOLTAGE, MISSING, NAME])
        assert [str(row.value) for row in values if not isinstance(row, MeterRefused)] == [
            "12345678",
            "230.1",
            "b'PYD1000000000001'",
        ]
        assert isinstance(values[2], AccessRefused)
        assert values[2].name == "object-undefined"
        profile = await read_profile(client, PROFILE)
        assert (len(profile.rows), profile.rows[-1][1]) == (96, 1665)
        long = Data(DataType.VISIBLE_STRING, "long" * 400)
        await client.set(SERIAL, long)
        assert await client.get(SERIAL) == long
        assert await client.set_many([SERIAL, NAME], [NUMBER, NUMBER]) == [None, None]
        with pytest.raises(AccessRefused, match="object-class-inconsistent"):
            await client.get(attribute(4, "1.0.1.8.0.255"))
    before = sum(request[:1] == b"\x05" for request in meter.requests)
    async with PydlmsMeter(meter.sim, hdlc=hdlc) as again:
        other = again.client(referencing="sn")
        other.memory = client.memory
        async with other:
            await other.get(ENERGY)
    reads = sum(request[:1] == b"\x05" for request in meter.requests) - before
    assert reads == 1, "the names are remembered"


def names(*dialogue: tuple[object, object]) -> Scripted:
    return Scripted([ASK_LIST, *dialogue], referencing="sn", max_pdu=60)


async def test_attributes_have_names_of_base_and_offset() -> None:
    read = ReadRequest((VariableName(REGISTER + 8), VariableName(REGISTER + 16), VariableName(0x9008)))
    answer = ReadResponse((NUMBER, DataAccessResult.READ_WRITE_DENIED, NUMBER))
    async with names((read, answer)) as meter:
        got = await meter.services.get_list(
            [(ENERGY, None), (MISSING, None), (ENERGY._replace(attribute=3), None), (SERIAL, None)]
        )
    refusals = [item.name for item in got if isinstance(item, AccessRefused)]
    assert (got[0], got[3], refusals) == (NUMBER, NUMBER, ["object-undefined", "read-write-denied"])


async def test_the_current_association_needs_no_list() -> None:
    keep_alive = (ReadRequest((VariableName(ASSOCIATION),)), ReadResponse((NUMBER,)))
    async with Scripted([keep_alive], referencing="sn") as meter:
        assert await meter.services.get((attribute(12, "0.0.40.0.0.255", 1), None)) == encode(NUMBER)


async def test_selective_access_is_parameterised() -> None:
    request = ReadRequest((ParameterisedAccess(0x5008, 2, NUMBER),))
    async with names((request, ReadResponse((LIST,)))) as meter:
        await meter.services.get((attribute(7, str(PROFILE)), (2, NUMBER)))


@pytest.mark.parametrize("bare", [True, False])
async def test_answers_in_blocks(bare: bool) -> None:
    whole = encode(LIST) if bare else b"\x01\x00" + encode(LIST)
    parts = [whole[:50], whole[50:70], whole[70:]]
    blocks = [DataBlockResult(number == 3, number, part) for number, part in enumerate(parts, 1)]
    async with names(
        (ReadRequest((VariableName(0x5008),)), ReadResponse((blocks[0],))),
        (ReadRequest((BlockNumberAccess(1),)), ReadResponse((blocks[1],))),
        (ReadRequest((BlockNumberAccess(2),)), ReadResponse((blocks[2],))),
    ) as meter:
        assert await meter.services.get((attribute(7, str(PROFILE)), None)) == encode(LIST)


async def test_a_list_in_blocks() -> None:
    whole = b"\x02\x00" + encode(NUMBER) + b"\x01\x03"
    async with names(
        (
            ReadRequest((VariableName(REGISTER + 8), VariableName(REGISTER + 16))),
            ReadResponse((DataBlockResult(True, 1, whole),)),
        ),
    ) as meter:
        got = await meter.services.get_list([(ENERGY, None), (ENERGY._replace(attribute=3), None)])
    assert got[0] == NUMBER
    assert isinstance(got[1], AccessRefused)


async def test_a_refused_or_wrong_block() -> None:
    first = (ReadRequest((VariableName(0x5008),)), ReadResponse((DataBlockResult(False, 1, b"\x01"),)))
    item = (attribute(7, str(PROFILE)), None)
    refused = (ReadRequest((BlockNumberAccess(1),)), ReadResponse((DataAccessResult.LONG_GET_ABORTED,)))
    async with names(first, refused) as meter:
        with pytest.raises(AccessRefused, match="long-get-aborted"):
            await meter.services.get(item)
    jumped = (ReadRequest((BlockNumberAccess(1),)), ReadResponse((DataBlockResult(False, 3, b"\x01"),)))
    async with names(first, jumped) as meter:
        with pytest.raises(Nonsense, match="block 3 where block 2"):
            await meter.services.get(item)


async def test_a_long_read_request_goes_in_parts() -> None:
    access = (2, Data(DataType.OCTET_STRING, bytes(90)))
    body = ReadRequest((ParameterisedAccess(0x5008, *access),)).encode_body()
    parts = [body[at : at + 50] for at in range(0, len(body), 50)]
    async with names(
        (ReadRequest((ReadDataBlockAccess(False, 1, parts[0]),)), ReadResponse((BlockNumber(1),))),
        (ReadRequest((ReadDataBlockAccess(True, 2, parts[1]),)), ReadResponse((NUMBER,))),
    ) as meter:
        assert await meter.services.get((attribute(7, str(PROFILE)), access)) == encode(NUMBER)


def part(last: bool, number: int, octets: bytes) -> WriteRequest:
    return WriteRequest((WriteDataBlockAccess(last, number),), (Data(DataType.OCTET_STRING, octets),))


async def test_a_long_write_goes_in_parts() -> None:
    value = Data(DataType.OCTET_STRING, bytes(range(90)))
    body = WriteRequest((VariableName(0x9008),), (value,)).encode_body()
    async with names(
        (part(False, 1, body[:50]), WriteResponse((BlockNumber(1),))),
        (part(True, 2, body[50:]), WriteResponse((DataAccessResult.SUCCESS,))),
    ) as meter:
        await meter.services.set((SERIAL, None), value)
    async with names((part(False, 1, body[:50]), WriteResponse((DataAccessResult.READ_WRITE_DENIED,)))) as meter:
        with pytest.raises(AccessRefused, match="read-write-denied"):
            await meter.services.set((SERIAL, None), value)
    async with names((part(False, 1, body[:50]), WriteResponse((BlockNumber(4),)))) as meter:
        with pytest.raises(Nonsense, match="block 4 instead of 1"):
            await meter.services.set((SERIAL, None), value)


async def test_writes_of_several_and_one_refusal_for_all() -> None:
    request = WriteRequest((VariableName(0x9008), VariableName(REGISTER + 8)), (NUMBER, ZERO))
    results = WriteResponse((DataAccessResult.SUCCESS, DataAccessResult.TYPE_UNMATCHED))
    items = [(SERIAL, None), (ENERGY, None)]
    async with names((request, results)) as meter:
        first, second = await meter.services.set_list(items, [NUMBER, ZERO])
    assert first is None
    assert second is not None
    assert second.name == "type-unmatched"
    async with names((request, WriteResponse((DataAccessResult.OTHER_REASON,)))) as meter:
        assert [error.code for error in await meter.services.set_list(items, [NUMBER, ZERO])] == [250, 250]


async def test_methods_are_written_or_read() -> None:
    written = WriteRequest((VariableName(SWITCH + 0x20),), (ZERO,))
    async with names((written, WriteResponse((DataAccessResult.SUCCESS,)))) as meter:
        assert await meter.services.invoke(CUT_OFF, ZERO) is None
    second = WriteRequest((VariableName(SWITCH + 0x28),), (ZERO,))
    async with names((second, WriteResponse((DataAccessResult.READ_WRITE_DENIED,)))) as meter:
        (outcome,) = await meter.services.invoke_list([CUT_OFF._replace(method=2)], [ZERO])
        assert isinstance(outcome, ActionRefused)
    read = ReadRequest((ParameterisedAccess(ASSOCIATION + 0x58, 0, NUMBER),))
    reply = method(12, "0.0.40.0.0.255", 8)
    async with Scripted([(read, ReadResponse((ZERO,)))], referencing="sn") as meter:
        assert await meter.services.invoke(reply, NUMBER) == ZERO
    async with Scripted([(read, ReadResponse((DataAccessResult.OTHER_REASON,)))], referencing="sn") as meter:
        with pytest.raises(ActionRefused, match="other-reason"):
            await meter.services.invoke(reply, NUMBER)


async def test_what_short_names_cannot_reach() -> None:
    async with names() as meter:
        with pytest.raises(ConfigError, match="not known"):
            await meter.services.invoke(method(40, str(NAME.obis)), ZERO)
        with pytest.raises(AccessRefused, match="object-undefined"):
            await meter.services.get((ENERGY._replace(attribute=-1), None))
        with pytest.raises(LocalProtocolError, match="no ACCESS"):
            await meter.services.access([AccessSpecification(AccessKind.GET, ENERGY)], [NUMBER])


async def test_an_unconfirmed_write_waits_for_nothing() -> None:
    request = UnconfirmedWriteRequest((VariableName(0x9008),), (NUMBER,))
    read = (ReadRequest((VariableName(0x9008),)), ReadResponse((NUMBER,)))
    async with names((request, None), read) as meter:
        await meter.services.tell((SERIAL, None), NUMBER)
        assert await meter.services.get((SERIAL, None)) == encode(NUMBER)


async def test_an_information_report_comes_between() -> None:
    report = InformationReportRequest(None, (VariableName(REGISTER + 8),), (NUMBER,))
    read = (ReadRequest((VariableName(REGISTER + 8),)), [report, ReadResponse((NUMBER,))])
    async with names(read) as meter:
        assert await meter.services.get((ENERGY, None)) == encode(NUMBER)
    assert meter.notifications == [report]


async def test_rows_by_entry_use_the_conformance_of_short_names() -> None:
    """pydlms ignores the selector, which is its known fault; that we send one is what counts."""
    from pydlms.apdu.xdlms import Conformance

    sim = example_meter(max_pdu=300)
    sim.conformance |= Conformance.PARAMETERIZED_ACCESS
    async with PydlmsMeter(sim) as meter, meter.client(referencing="sn") as client:
        await read_profile(client, PROFILE, Selection(first=3, count=2))
    assert any(request[:3] == b"\x05\x01\x04" for request in meter.requests)


TWO = ReadRequest((VariableName(REGISTER + 8), VariableName(REGISTER + 16)))
BOTH = [(ENERGY, None), (ENERGY._replace(attribute=3), None)]
BLOCK = DataBlockResult(True, 1, b"\x01\x00" + encode(NUMBER))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ReadResponse((NUMBER,)), "answered 1 of 2 variables$"),
        (ReadResponse((NUMBER, NUMBER, NUMBER)), "answered 3 of 2 variables$"),
        (ReadResponse((BLOCK,)), "answered 1 of 2 variables of a list"),
        pytest.param(
            ReadResponse((NUMBER, NUMBER)).encode() + b"\xab",
            "1 octets are left over behind a list",
            marks=pytest.mark.expect_log("1 octets are left over"),
        ),
    ],
)
async def test_a_list_that_is_answered_wrongly(answer: object, message: str) -> None:
    async with names((TWO, answer)) as meter:
        with pytest.raises(WrongList, match=message):
            await meter.services.get_list(BOTH)


async def test_nothing_is_asked_where_nothing_can_be() -> None:
    async with names() as meter:
        await meter.services._objects()
        assert [type(one) for one in await meter.services.get_list([(MISSING, None)] * 2)] == [AccessRefused] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ReadResponse((DataBlockResult(True, 1, b"\x02\x00" + encode(NUMBER) + b"\x01\x03"),)), "answered 2 variables"),
        (ReadResponse((BlockNumber(1),)), "BlockNumber where a result was due"),
    ],
)
async def test_one_variable_that_is_answered_wrongly(answer: ReadResponse, message: str) -> None:
    async with names((ReadRequest((VariableName(REGISTER + 8),)), answer)) as meter:
        with pytest.raises(Nonsense, match=message):
            await meter.services.get((ENERGY, None))


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ((0, 0), "answered 2 of 1 writes"),
        ((), "answered 0 of 1 writes"),
        ((BlockNumber(1),), "BlockNumber where a result was due"),
    ],
)
async def test_a_write_that_is_answered_wrongly(results: tuple[object, ...], message: str) -> None:
    request = WriteRequest((VariableName(0x9008),), (NUMBER,))
    async with names((request, WriteResponse(results))) as meter:  # type: ignore[arg-type]
        with pytest.raises(Nonsense, match=message):
            await meter.services.set((SERIAL, None), NUMBER)


async def test_a_meter_that_answers_before_it_has_the_whole_question() -> None:
    access = (2, Data(DataType.OCTET_STRING, bytes(90)))
    body = ReadRequest((ParameterisedAccess(0x5008, *access),)).encode_body()
    first = ReadRequest((ReadDataBlockAccess(False, 1, body[:50]),))
    async with names((first, ReadResponse((DataAccessResult.OTHER_REASON,)))) as meter:
        with pytest.raises(AccessRefused, match="other-reason"):
            await meter.services.get((attribute(7, str(PROFILE)), access))


async def test_a_reserved_name_is_used_where_the_list_has_none() -> None:
    name, (class_id, obis) = next(row for row in RESERVED_BASE_NAMES.items() if row[1][0] != 12)
    async with names((ReadRequest((VariableName(name + 8),)), ReadResponse((NUMBER,)))) as meter:
        assert await meter.services.get((attribute(class_id, obis), None)) == encode(NUMBER)
