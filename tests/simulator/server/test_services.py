"""Everything our client can ask, served: lists, blocks, general blocks, ACCESS, short names, rights, types, ranges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, ActionRefused, AssociationRefused, AuthenticationRefused, ServiceRefused
from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessSpecification
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.get import GetRequestNext, GetRequestNormal, GetResponseBlock
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkUp, Side
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import wrap_key
from dlms_mqtt.simulator import (
    HLS_SECRET,
    KEYS,
    KEYS_256,
    MANAGER,
    PASSWORD,
    Association,
    Meter,
    MeterServer,
    Outcome,
    make,
    make_link,
    named,
    serve_memory,
    serve_tcp,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock

O = Obis.parse  # noqa: E741
ENERGY = AttributeDescriptor(3, O("1.0.1.8.0.255"), 2)
MESSAGE = AttributeDescriptor(1, O("0.0.96.13.0.255"), 2)
RATIO = AttributeDescriptor(1, O("1.0.0.4.2.255"), 2)
NAME = AttributeDescriptor(1, O("0.0.42.0.0.255"), 2)
SWITCH = AttributeDescriptor(70, O("0.0.96.3.10.255"), 2)
ECHO = MethodDescriptor(9999, O("0.0.128.9.0.255"), 1)
NOTHING = Data(DataType.INTEGER, 0)
OPEN: dict[str, Any] = {"client": 17}
GMAC: dict[str, Any] = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption,
    "authentication_key": KEYS.authentication,
}


def text(octets: bytes) -> Data:
    return Data(DataType.OCTET_STRING, octets)


def echo_meter(clock: FakeClock, **options: Any) -> Meter:
    """With an object whose method gives back what it is given."""
    meter = household(clock=clock, **options)
    meter.add(make(9999, "0.0.128.9.0.255", methods={1: lambda _context, value: Outcome(0, value)}))
    return meter


@asynccontextmanager
async def connected(meter: Meter, framing: str = "wrapper", **options: Any) -> AsyncIterator[DlmsClient]:
    near, far = memory_pair()
    settings = ConnectionSettings(framing=framing, **(options or OPEN))
    async with serve_memory(meter, far, framing), DlmsClient(settings, transport=near, random=Random(3).randbytes) as c:
        yield c


# -- logical names -----------------------------------------------------------------------------------------------------

WAYS: list[dict[str, Any]] = [
    OPEN,
    OPEN | {"max_pdu": 80},
    GMAC | {"max_pdu": 120},
    OPEN | {"gbt_window": 1, "max_pdu": 80},
    GMAC | {"gbt_window": 6, "max_pdu": 120},
    GMAC | {"ciphering": "dedicated"},
    GMAC | {"ciphering": "general-dedicated", "max_pdu": 150},
]


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


def _fields(row: Association) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


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


async def test_attribute_0_is_all_of_them(clock: FakeClock) -> None:
    async with connected(household(clock=clock)) as client:
        found = await client.get(AttributeDescriptor(3, ENERGY.obis, 0))
        assert [item.type for item in found.value][1:] == [DataType.DOUBLE_LONG_UNSIGNED, DataType.STRUCTURE]


@pytest.mark.parametrize(
    ("target", "value", "word"),
    [
        (AttributeDescriptor(1, O("9.9.9.9.9.9"), 2), NOTHING, "object-undefined"),
        (AttributeDescriptor(1, ENERGY.obis, 2), NOTHING, "object-class-inconsistent"),
        (AttributeDescriptor(3, ENERGY.obis, 9), NOTHING, "object-undefined"),
        (ENERGY, Data(DataType.DOUBLE_LONG_UNSIGNED, 0), "read-write-denied"),
        (RATIO, NOTHING, "type-unmatched"),
        (RATIO, Data(DataType.LONG_UNSIGNED, 0), "other-reason"),
        (MESSAGE, text(b"z" * 129), "other-reason"),
        (AttributeDescriptor(8, O("0.0.1.0.0.255"), 2), text(b"\xff" * 12), "other-reason"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
async def test_writes_that_are_refused(clock: FakeClock, target: AttributeDescriptor, value: Data, word: str) -> None:
    async with connected(household(clock=clock)) as client:
        with pytest.raises(AccessRefused) as caught:
            await client.set(target, value)
        assert caught.value.name == word


async def test_a_method_wants_its_typed_parameter(clock: FakeClock) -> None:
    async with connected(household(clock=clock)) as client:
        for argument in (None, Data(DataType.NULL_DATA, None), Data(DataType.UNSIGNED, 0)):
            with pytest.raises(ActionRefused):
                await client.invoke(MethodDescriptor(70, SWITCH.obis, 1), argument)
        await client.invoke(MethodDescriptor(70, SWITCH.obis, 1), NOTHING)
        assert (await client.get(SWITCH)).value is False


async def test_each_client_sees_its_own_meter(clock: FakeClock) -> None:
    meter = household(clock=clock)
    async with (
        connected(meter, client=16) as public,
        connected(meter, client=32, authentication="low", password=PASSWORD) as reader,
        connected(meter, **GMAC) as manager,
        connected(meter, client=35, authentication="md5", password=HLS_SECRET, referencing="sn") as short,
    ):
        lists = [await read_objects(client) for client in (public, reader, manager)]
        assert len(lists[0]) < 12 < len(lists[1]) == len(lists[2])
        by_rights = [{item.obis: item.writable(2) for item in found}[MESSAGE.obis] for found in lists[1:]]
        assert by_rights == [False, True]
        with pytest.raises(AccessRefused):
            await public.get(ENERGY)
        with pytest.raises(AccessRefused):
            await reader.set(MESSAGE, text(b"no"))
        await manager.set(MESSAGE, text(b"yes"))
        assert (await reader.get(MESSAGE)).value == (await short.get(MESSAGE)).value == b"yes"


# -- short names -------------------------------------------------------------------------------------------------------


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


# -- associations ------------------------------------------------------------------------------------------------------


async def test_unknown_clients_and_wrong_contexts_are_refused(clock: FakeClock) -> None:
    meter = household(clock=clock)
    meter.associate(Association(50, "short only", referencing="sn"))
    for options, word in (
        ({"client": 99}, "no-reason-given"),
        ({"client": 50}, "application-context-name-not-supported"),
        ({"client": 32}, "authentication-required"),
        ({"client": 17, "authentication": "low", "password": PASSWORD}, "mechanism-name-not-recognised"),
        ({"client": 33, "authentication": "low", "password": PASSWORD}, "authentication-failure"),
    ):
        with pytest.raises(AssociationRefused, match=word):
            async with connected(meter, **options):
                pass


@pytest.mark.parametrize("referencing", ["ln", "sn"])
async def test_a_wrong_secret_or_key_proves_nothing(clock: FakeClock, referencing: str) -> None:
    meter = household(clock=clock)
    wrong: dict[str, Any] = {"client": 35, "authentication": "md5", "password": Secret(b"wrong")}
    with pytest.raises(AuthenticationRefused):
        async with connected(meter, **wrong, referencing=referencing):
            pass
    with pytest.raises(ServiceRefused, match="deciphering"):
        async with connected(meter, **GMAC | {"authentication_key": Secret(bytes(16))}):
            pass
    assert meter.failures == {35: 1}


async def test_nothing_before_the_proof(clock: FakeClock) -> None:
    server = MeterServer(household(clock=clock), make_link("wrapper", household(clock=clock)))
    answer = server.receive(encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 17, 1))
    assert isinstance(decode_apdu(answer[8:]), ExceptionResponse)


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_pre_established(clock: FakeClock, framing: str) -> None:
    async with connected(household(clock=clock), framing, client=18, pre_established=True) as client:
        assert (await client.get(ENERGY)).value > 1_000_000


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_pre_established_with_short_names(clock: FakeClock, framing: str) -> None:
    meter = household(clock=clock)
    meter.associate(Association(19, "standing", MANAGER, pre_established=True, referencing="sn"))
    async with connected(meter, framing, client=19, pre_established=True, referencing="sn") as client:
        assert (await client.get(NAME)).value == meter.name.encode()


async def test_a_cut_frame_of_the_wrapper_does_not_say_yet_who_it_is(clock: FakeClock) -> None:
    meter = household(clock=clock)
    meter.associate(Association(16, "assumed", MANAGER, pre_established=True))
    server = MeterServer(meter, make_link("wrapper", meter))
    frame = encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 17, 1)
    assert server.receive(frame[:10]) == b""
    assert isinstance(decode_apdu(server.receive(frame[10:])[8:]), ExceptionResponse)


async def test_a_pre_established_association_outlives_a_restart(clock: FakeClock) -> None:
    meter = household(clock=clock)
    server = MeterServer(meter, make_link("wrapper", meter))
    frame = encode_frame(GetRequestNormal(0xC1, ENERGY).encode(), 18, 1)
    before = server.receive(frame)
    meter.restart()
    assert before[8:12] == server.receive(frame)[8:12] == b"\xc4\x01\xc1\x00"


async def test_only_agreed_services(clock: FakeClock) -> None:
    async with connected(household(clock=clock), **OPEN, conformance=("get",)) as client:
        await client.get(ENERGY)
        with pytest.raises(ServiceRefused):
            await client.set(MESSAGE, text(b"x"))


async def test_new_keys_are_transferred(clock: FakeClock) -> None:
    meter = household(clock=clock)
    fresh = Secret(bytes(range(100, 116)))
    wrapped = Data(DataType.OCTET_STRING, bytes(wrap_key(meter.master_key, fresh)))
    row = Data(DataType.STRUCTURE, (named("enum", 0), wrapped))
    async with connected(meter, **GMAC) as client:
        await client.invoke(MethodDescriptor(64, O("0.0.43.0.0.255"), 2), Data(DataType.ARRAY, (row,)))
    async with connected(meter, **GMAC | {"encryption_key": fresh}) as client:
        await client.get(ENERGY)


@pytest.mark.parametrize("suite", [0, 1, 2])
async def test_counters_are_kept_and_readable_by_the_public_client(clock: FakeClock, suite: int) -> None:
    meter = household(clock=clock)
    keys = KEYS_256 if suite == 2 else KEYS
    options = GMAC | {"encryption_key": keys.encryption, "authentication_key": keys.authentication, "suite": suite}
    async with connected(meter, **options | {"client": (1, 41, 42)[suite]}, invocation_counter=500) as client:
        await client.get(ENERGY)
    assert meter.client_counter() > 500
    async with connected(meter, client=16) as public:
        counter = await public.get(AttributeDescriptor(1, O("0.0.43.1.0.255"), 2))
    assert counter.value == meter.client_counter()


# -- one request at a time, without a client ---------------------------------------------------------------------------


def bare_session(clock: FakeClock) -> MeterServer:
    """A session in the pre-established association, over no framing."""
    meter = household(clock=clock)
    meter.associate(Association(16, "bare", MANAGER, pre_established=True))
    link = make_link("bare", meter)
    server = MeterServer(meter, link)
    link.connect()
    assert server.receive(GetRequestNormal(0xC1, NAME).encode())[:2] == b"\xc4\x01"
    return server


async def test_unconfirmed_requests_get_no_answer(clock: FakeClock) -> None:
    server = bare_session(clock)
    request = SetRequestNormal(0x81, MESSAGE, None, b"\x09\x01x")
    assert server.receive(request.encode()) == b""
    assert server.receive(GetRequestNormal(0xC2, MESSAGE).encode())[4:] == b"\x09\x01x"


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


async def test_rubbish_is_answered_and_survived(clock: FakeClock) -> None:
    server = bare_session(clock)
    for rubbish in (b"\xc0\x01", b"\x99\x00\x01", b"\xc1\x01\xc1" + bytes(20), b""):
        answer = server.receive(rubbish) if rubbish else b"\xd8"
        assert answer[0] in (0xD8, 0xC5), rubbish
    assert server.receive(GetRequestNormal(0xC2, NAME).encode())[:2] == b"\xc4\x01"


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_two_hundred_associations_on_tcp() -> None:
    meter = household(clock=FakeClock())
    async with serve_tcp(meter) as server:

        async def one(number: int) -> Any:
            options = (
                GMAC | {"invocation_counter": 1, "system_title": number.to_bytes(8, "big")} if number % 4 == 0 else OPEN
            )
            settings = ConnectionSettings(tcp=("127.0.0.1", server.port), **options)
            async with DlmsClient(settings) as client:
                await together.wait()
                return (await client.get(ENERGY)).value

        together = asyncio.Barrier(200)
        values = await asyncio.gather(*map(one, range(200)))
        assert len(set(values)) == 1
        async with asyncio.timeout(60):
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def test_a_client_that_asks_and_hangs_up_in_one_breath() -> None:
    """The meter answers the DISC; that the question cannot be answered any more does not end it."""
    meter = household(clock=FakeClock())
    server = MeterServer(meter, make_link("hdlc", meter))
    client = Connection(Side.CLIENT, HdlcLink(Side.CLIENT, client=16, server=1))
    client.connect()
    client.receive(server.receive(client.data_to_send()))
    assert isinstance(client.next_event(), LinkUp)
    initiate = InitiateRequest(conformance=Conformance.GET)
    client.send(Aarq(ApplicationContext.LN, user_information=initiate.encode()))
    client.receive(server.receive(client.data_to_send()))
    client.next_event()
    client.send(GetRequestNormal(0xC1, NAME))
    question = client.data_to_send()
    client.link.disconnect()
    assert server.receive(question + client.data_to_send())
    assert not server.linked
