"""The client with meters and lines that misbehave: what recovers, what is given up, and what is left behind."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from dlms_mqtt.client.association.association import PROPOSALS, proposal
from dlms_mqtt.client.association.ciphering import COUNTER_OBIS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AccessRefused,
    ActionRefused,
    AttributeFailed,
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
    ServiceRefused,
    TransportError,
)
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessSpecification
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.get import GetResponseNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.wrapper import WrapperHeader
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, key_id
from dlms_mqtt.simulator.server.objects import CosemObject
from tests.client.fresh_line import FreshLine
from tests.client.our_meter import CIPHERED, KEYS, TITLE, WAYS, OurMeter, wrong
from tests.client.scripted import Scripted
from tests.client.some_objects import ENERGY, attribute, method
from tests.fake_clock import FakeClock
from tests.simulator.connected import MESSAGE, OPEN, connected, echo_meter
from tests.simulator.connected import text as octets

NAME = attribute(1, "0.0.42.0.0.255")
TIME = attribute(8, "0.0.1.0.0.255")
LABEL = attribute(1, "0.0.96.1.1.255")
NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ANSWER = GetResponseNormal(0xC1, None, encode(NUMBER))
FRAMINGS = pytest.mark.parametrize("framing", ["hdlc", "wrapper"])


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("way", ["public", "low", "md5", "sha1", "sha256", "gmac", "gmac, ciphered", "gmac, suite 2"])
async def test_short_names_of_our_meter(clock: object, way: str, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, referencing="sn", **WAYS[way]) as client:
                assert isinstance((await client.get_many([NAME, TIME]))[0], Data)
                assert client.ciphering.counter is None or client.ciphering.counter.value > 1


@pytest.mark.parametrize("conformance", [None, "get,read,selective-access"], ids=["lists", "singly"])
@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize(("framing", "datagram"), [("hdlc", False), ("wrapper", False), ("wrapper", True)])
async def test_an_attribute_that_is_never_answered_fails_alone(
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    framing: str,
    datagram: bool,
    referencing: str,
    conformance: str | None,
) -> None:
    """What the others hold is known, in a new association where the old one is gone, and the wait has an end."""

    def write(line: FreshLine, data: bytes) -> None:
        line.sent.append(data)
        if not (deaf and any(octets in data for octets in deaf)):
            line._live().write(data)

    deaf: list[bytes] = []
    monkeypatch.setattr(FreshLine, "write", write)
    options = {"conformance": conformance} if conformance else {}
    settings = replace(parse_settings({"tcp": "192.0.2.1:4059", "referencing": referencing, **options}), **WAYS["low"])
    async with OurMeter(framing=framing, datagram=datagram) as meter:
        client = DlmsClient(replace(settings, framing=framing, max_info=128), transport=meter.line)
        async with client:
            assert isinstance(await client.get(TIME), Data)
            short = re.search(rb"\x05\x01(\x02..)", meter.line.sent[-1], re.DOTALL)
            deaf.append(short[1] if short else bytes.fromhex("00080000010000ff02"))
            began = clock.monotonic()
            answers = await client.get_many([NAME, TIME, ENERGY])
            took = clock.monotonic() - began
    assert [type(answer) for answer in answers] == [Data, AttributeFailed, Data]
    assert isinstance(answers[1], AttributeFailed) and isinstance(answers[1].error, ResponseTimeout)
    assert took < 3 * settings.exchange_timeout


@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize(("framing", "datagram"), [("hdlc", False), ("wrapper", False), ("wrapper", True)])
async def test_a_long_attribute_of_which_a_block_never_comes_fails_alone(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, framing: str, datagram: bool, referencing: str
) -> None:
    def write(line: FreshLine, data: bytes) -> None:
        line.sent.append(data)
        if not (deaf and next_block in data):
            line._live().write(data)

    deaf: list[bool] = []
    next_block = b"\xc0\x02" if referencing == "ln" else b"\x05\x01\x05"
    monkeypatch.setattr(FreshLine, "write", write)
    long = attribute(15 if referencing == "ln" else 12, "0.0.40.0.0.255")
    async with (
        OurMeter(framing=framing, datagram=datagram) as meter,
        meter.client(referencing=referencing, max_pdu=200, **WAYS["low"]) as client,
    ):
        assert isinstance(await client.get(NAME), Data)  # short names are known now, whose list is long too
        deaf.append(True)
        began = clock.monotonic()
        answers = await client.get_many([NAME, long, ENERGY])
        took = clock.monotonic() - began
        longest = 3 * client.settings.exchange_timeout
    assert [type(answer) for answer in answers] == [Data, AttributeFailed, Data]
    assert meter.times(next_block) and took < longest


@pytest.mark.parametrize("fault", ["", "lost,after=3,p=0.2", "doubled,after=3,p=0.3", "deaf,after=3,p=0.2"])
@pytest.mark.parametrize("window", [1, 3, 8])
async def test_general_blocks_over_datagrams(clock: object, window: int, fault: str) -> None:
    """One block in a datagram, whatever the window; those that get lost on either way are sent again."""
    text = Data(DataType.OCTET_STRING, b"a label" * 110)
    options = WAYS["public"] | {"client": 17, "gbt_window": window, "max_pdu": 100, "retries": 8}
    async with OurMeter(*[fault] * bool(fault), framing="wrapper", datagram=True) as meter:
        meter.meter.associate(replace(meter.meter.associations[17], max_pdu=100))
        meter.meter.objects[LABEL.class_id, LABEL.obis].checks = {}
        async with meter.client(**options) as client:
            await client.set(LABEL, text)
            assert await client.get(LABEL) == text
    heads = [WrapperHeader.decode(datagram) for datagram in meter.line.sent]
    assert [head.length + 8 for head in heads] == [len(datagram) for datagram in meter.line.sent]
    assert meter.times(b"\xe0") > 8


@pytest.mark.parametrize("omit", [False, True])
async def test_our_title_is_left_out_on_request(clock: object, omit: bool) -> None:
    """The meter knows it from the AARQ."""
    form = {"ciphering": "general-global", "omit_system_title": omit}
    async with OurMeter(framing="wrapper") as meter, meter.client(**CIPHERED, **form) as client:
        await client.get(NAME)
    general = [write[8:] for write in meter.line.sent if write[8:9] == b"\xdb"]
    head = b"\xdb\x00" if omit else b"\xdb\x08" + TITLE
    assert len(general) >= 2 and all(apdu.startswith(head) for apdu in general)


async def test_a_counter_that_is_not_told_is_an_error_with_a_hint(clock: object) -> None:
    with pytest.raises(ServiceRefused) as caught:
        async with Scripted(aare=ExceptionResponse(1, 6), settings=CIPHERED):
            pass
    assert "counter" in caught.value.hint
    assert "unauthenticated" in str(caught.value)


@pytest.mark.parametrize("number", [0xFFFFFFFF, -1], ids=str)
async def test_a_counter_that_cannot_be_counted_on_is_refused(clock: object, number: int) -> None:
    async with OurMeter() as meter:
        kind = DataType.DOUBLE_LONG_UNSIGNED if number > 0 else DataType.DOUBLE_LONG
        meter.meter.add(CosemObject(1, COUNTER_OBIS, 0, {2: Data(kind, number)}, see=0))
        with Store(MEMORY) as store, pytest.raises(RemoteProtocolError, match="counted on"):
            await meter.client(store, **CIPHERED | {"invocation_counter": None}).open()


@pytest.mark.parametrize("ciphering", ["global", "dedicated", "general-dedicated"])
async def test_command_line_and_bridge_on_one_store_at_the_same_time(tmp_path: Path, ciphering: str) -> None:
    """The open association of the bridge has lower numbers reserved than the command line uses: it goes above them."""
    way = CIPHERED | {"ciphering": ciphering}
    if ciphering == "dedicated":
        way["dedicated_key"] = Secret(b"dedicated-key-16")
    async with OurMeter(framing="wrapper") as meter, OurMeter(framing="wrapper") as second_line:
        second_line.meter = meter.meter
        with Store(tmp_path / "s") as first, Store(tmp_path / "s") as second:
            bridge, command = meter.client(first, **way), second_line.client(second, **way)
            async with bridge:
                await bridge.get(NAME)  # a dedicated key is first used, and its numbers reserved, with a question
                for _ in range(3):
                    async with command:
                        await command.get(NAME)
                        await command.set(TIME, (await command.get(TIME)))
                    if ciphering != "general-dedicated":  # there each association has a key of its own
                        with pytest.raises(ServiceRefused):
                            await bridge.set(LABEL, Data(DataType.OCTET_STRING, b"x"))
                    await bridge.set(LABEL, Data(DataType.OCTET_STRING, b"x"))
                    assert all(isinstance(answer, Data) for answer in await bridge.get_many([NAME, TIME, LABEL]))
            assert bridge.memory.max_list > 1, "a refused counter says nothing about lists"


async def test_a_dedicated_key_has_a_counter_of_its_own(clock: object) -> None:
    """The global key is replaced and counts anew; the dedicated key that stayed must not."""
    kept = Secret(b"dedicated-key-16")
    way = CIPHERED | {"ciphering": "dedicated", "dedicated_key": kept}
    with Store(MEMORY) as store:
        for keys in (KEYS, Keys(Secret(b"another key-16.."), KEYS.authentication)):
            async with OurMeter(framing="wrapper") as meter:
                meter.meter.associate(replace(meter.meter.associations[1], keys=keys))
                async with meter.client(store, **way | {"encryption_key": keys.encryption}) as client:
                    for _ in range(5):
                        await client.get(NAME)
                numbers = [int.from_bytes(data[11:15], "big") for data in meter.line.sent if data[8] == 0xD0]
                assert len(numbers) == 5
                assert client.ciphering.counter is not None
            if keys is KEYS:
                first = numbers
        assert min(numbers) > max(first)
        used = {KEYS.encryption, keys.encryption, kept}
        assert {row.key_id for row in store.counters()} == set(map(key_id, used))


@pytest.mark.expect_log("nothing proves who sent them")
async def test_messages_without_a_tag_are_warned_of_once(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """Not once for each of the associations of a meter that is polled."""
    way = {**CIPHERED, "client": 39, "authentication": "none", "security": "encryption", "accept_unauthenticated": True}
    memory = Memory()
    async with OurMeter(framing="wrapper") as meter:
        with Store(MEMORY) as store:
            for _ in range(3):
                settings = meter.settings(**way)
                async with DlmsClient(settings, transport=meter.line, store=store, memory=memory) as client:
                    await client.get(NAME)
    assert [record.levelname for record in caplog.records if "nothing proves" in record.message] == ["WARNING"]
    assert "memory: Messages are accepted" in caplog.text


@pytest.mark.parametrize("referencing", ["ln", "sn"])
def test_only_what_is_wanted_is_proposed(referencing: str) -> None:
    """General protection and general blocks only where they are configured."""
    keyed: dict[str, Any] = {"encryption_key": KEYS.encryption, "authentication_key": KEYS.authentication}
    both = Conformance.GENERAL_PROTECTION | Conformance.GENERAL_BLOCK_TRANSFER
    for options, wanted in (
        ({}, Conformance(0)),
        ({"ciphering": "general-global"}, Conformance(0)),
        ({"ciphering": "general-global"} | keyed, Conformance.GENERAL_PROTECTION),
        ({"gbt_window": 3}, Conformance.GENERAL_BLOCK_TRANSFER),
    ):
        settings = ConnectionSettings(tcp=("192.0.2.1", 4059), referencing=referencing, **options)
        assert proposal(settings) & both == wanted
        assert proposal(settings) & ~both == PROPOSALS[referencing]


@pytest.mark.parametrize("way", ["gmac, ciphered", "sha256", "gmac"])
async def test_another_meter_than_was_expected(clock: object, way: str) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            with pytest.raises(SecurityError, match=b"OTHER001".hex()) as caught:
                await meter.client(store, meter_system_title=b"OTHER001", **WAYS[way]).open()
            assert caught.value.reason == "title"
            async with meter.client(store, meter_system_title=meter.meter.title, **WAYS[way]) as client:
                await client.get(NAME)


# -- idle sessions ----------------------------------------------------------------------------------------------------


# -- what must be refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["encryption_key", "authentication_key"])
async def test_a_wrong_key(clock: object, key: str) -> None:
    async with OurMeter(framing="wrapper") as meter:
        with Store(MEMORY) as store, pytest.raises(ServiceRefused) as caught:
            await meter.client(store, **CIPHERED | {key: wrong(CIPHERED[key])}).open()  # type: ignore[arg-type]
    assert "key is wrong" in caught.value.hint


class Tampered(OurMeter):
    """``tamper`` sees every APDU of the meter behind its wrapper header and gives back what goes on the line."""

    def __init__(self) -> None:
        super().__init__(framing="wrapper")
        self.tamper: Any = None
        self.kept: list[bytes] = []
        self.line.fault = self._shape

    def _shape(self, data: bytes) -> list[tuple[float, bytes]]:
        self.kept.append(data)
        return [(0.0, self.tamper(data) if self.tamper else data)]


async def attacked(*tampers: Any, **options: Any) -> list[BaseException | None]:
    """What the client makes of answers that were tampered with, one after another in one association."""
    async with Tampered() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"retries": 0, "timeout": 1.0} | options) as client:
                await client.get(NAME)
                await client.get(NAME)
                return [await one_attack(meter, client, tamper) for tamper in tampers]


async def one_attack(meter: Tampered, client: Any, tamper: Any) -> BaseException | None:
    meter.tamper = lambda data: tamper(meter, data)
    try:
        await client.get(NAME)
    except (RemoteProtocolError, TransportError, ServiceRefused) as error:
        return error
    finally:
        meter.tamper = None
    return None


def flip(data: bytes, bit: int) -> bytes:
    octets = bytearray(data)
    octets[bit // 8] ^= 1 << bit % 8
    return bytes(octets)


@pytest.mark.parametrize("ciphering", ["global", "general-global"])
async def test_a_flipped_bit_anywhere_is_refused(clock: object, ciphering: str) -> None:
    bits = range(8 * 8, 8 * (8 + 45))

    def flipping(bit: int) -> Any:
        return lambda _, data: flip(data, bit) if bit < 8 * len(data) else data[:-1]

    errors = await attacked(*map(flipping, bits), ciphering=ciphering)
    assert [bit for bit, error in zip(bits, errors, strict=True) if error is None] == [], "bits that were not noticed"


async def test_each_attack_has_its_own_message(clock: object) -> None:
    replayed, older, plain, refusal, none = await attacked(
        lambda meter, _: meter.kept[-2],
        lambda meter, _: meter.kept[-4],
        lambda _, data: data[:6] + b"\x00\x06" + b"\xc4\x01\xc1\x00\x11\x01",
        lambda _, data: data[:6] + b"\x00\x03" + b"\xd8\x01\x03",
        lambda _, data: data,
    )
    (title,) = await attacked(
        lambda _, data: data[:10] + b"EVIL\x00\x00\x00\x01" + data[18:], ciphering="general-global"
    )
    assert none is None, "a good answer is taken after all of them"
    assert [getattr(error, "reason", "") for error in (replayed, older, plain, title)] == [
        "counter",
        "counter",
        "unprotected",
        "title",
    ]
    assert "received before" in str(replayed)
    assert isinstance(refusal, ServiceRefused)
    assert "unauthenticated" in str(refusal)
    assert len({str(error) for error in (replayed, older, plain, title, refusal)}) == 5


@pytest.mark.expect_log("pushes are dropped")
async def test_a_plain_push_in_a_ciphered_association_breaks_nothing(clock: object) -> None:
    push = b"\x0f\x00\x00\x00\x01\x00\x11\x01"

    def before(_: Tampered, data: bytes) -> bytes:
        return data[:6] + len(push).to_bytes(2, "big") + push + data

    assert await attacked(before, before) == [None, None]


async def test_a_meter_that_counts_anew_in_each_association(clock: object) -> None:
    """With a fresh challenge it is taken; without one nothing tells it from an old association played back."""
    for way, accepted_again in (("gmac, ciphered", True), ("none, encrypted", False)):
        async with OurMeter(framing="wrapper") as meter:
            with Store(MEMORY) as store:
                client = meter.client(store, **WAYS[way])
                async with client:
                    await client.get(NAME)
                meter.meter._counter = 0
                if accepted_again:
                    async with client:
                        await client.get(NAME)
                else:
                    with pytest.raises(SecurityError, match="counter"):
                        await client.open()


# -- each service of the client, with logical and short names ----------------------------------------------------------

NAMES = pytest.mark.parametrize("referencing", ["ln", "sn"])
ZERO = Data(DataType.INTEGER, 0)
ECHO, NOTHING_THERE = method(9999, "0.0.128.9.0.255"), attribute(1, "9.9.9.9.9.9")


@asynccontextmanager
async def of_all_services(referencing: str = "ln") -> AsyncIterator[DlmsClient]:
    meter = echo_meter(FakeClock())
    async with connected(meter, **OPEN, referencing=referencing) as client:
        yield client


@NAMES
async def test_writes_one_by_one_and_together(clock: object, referencing: str) -> None:
    async with of_all_services(referencing) as client:
        await client.set(LABEL, octets(b"one"))
        assert await client.get(LABEL) == octets(b"one")
        with pytest.raises(AccessRefused):
            await client.set(ENERGY, NUMBER)
        written = await client.set_many([LABEL, ENERGY, MESSAGE], [octets(b"two"), NUMBER, octets(b"three")])
        assert [None if one is None else type(one) for one in written] == [None, AccessRefused, None]
        assert await client.get_many([LABEL, MESSAGE]) == [octets(b"two"), octets(b"three")]


@NAMES
async def test_methods_one_by_one_and_together(clock: object, referencing: str) -> None:
    async with of_all_services(referencing) as client:
        if referencing == "ln":  # short names have no way to say what a method gives back without a class row
            assert await client.invoke(ECHO, octets(b"echo")) == octets(b"echo")
            with pytest.raises(ActionRefused):
                await client.invoke(method(70, "9.9.9.9.9.9"), ZERO)
            answers = await client.invoke_many([ECHO, method(70, "9.9.9.9.9.9")], [octets(b"1"), ZERO])
            assert answers[0] == octets(b"1") and isinstance(answers[1], ActionRefused)
        await client.invoke(method(8, "0.0.1.0.0.255", 1), ZERO)


async def test_all_three_in_one_request(clock: object) -> None:
    async with of_all_services() as client:
        wanted = [
            AccessSpecification(AccessKind.GET, NAME),
            AccessSpecification(AccessKind.SET, LABEL),
            AccessSpecification(AccessKind.ACTION, ECHO),
            AccessSpecification(AccessKind.GET, LABEL),
            AccessSpecification(AccessKind.GET, NOTHING_THERE),
        ]
        name, written, ran, read, refused = await client.access(wanted, [None, octets(b"by access"), octets(b"echo")])
        assert isinstance(name, Data) and written is None
        assert (ran, read) == (octets(b"echo"), octets(b"by access"))
        assert isinstance(refused, AccessRefused)


@NAMES
async def test_an_unconfirmed_write_is_only_for_who_agreed_to_it(clock: object, referencing: str) -> None:
    async with of_all_services(referencing) as client:
        await client.tell(LABEL, octets(b"told"))
        assert await client.get(LABEL) == octets(b"told")
    conformance = ("get",) if referencing == "ln" else ("read",)
    async with connected(echo_meter(FakeClock()), **OPEN, referencing=referencing, conformance=conformance) as client:
        with pytest.raises(LocalProtocolError, match="has not agreed to unconfirmed writes") as caught:
            await client.tell(LABEL, octets(b"told"))
        assert caught.value.hint == "Write with an answer instead."


@NAMES
async def test_values_with_their_scalers_which_are_read_once(clock: object, referencing: str) -> None:
    async with of_all_services(referencing) as client:
        energy, refused, name = await client.read([ENERGY, NOTHING_THERE, NAME])
        assert isinstance(energy, Measured) and energy.unit == "Wh"
        assert isinstance(refused, AccessRefused)
        assert isinstance(name, Measured) and name.unit is None
        assert client.memory.types[ENERGY] is DataType.DOUBLE_LONG_UNSIGNED
        assert await client.scalers([ENERGY, NAME]) == [energy.scaler_unit, None]
        client.get_many = AsyncMock(return_value=[])  # type: ignore[method-assign]
        assert (await client.scalers([ENERGY]))[0] is not None
        client.get_many.assert_awaited_once_with([])


@pytest.mark.expect_log("no scaler and unit came")
def test_a_scaler_that_a_bad_line_loses_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Others are lost each time: that was a line of the log for every cycle."""
    client = DlmsClient(ConnectionSettings(tcp=("192.0.2.1", 4059)))
    scalers = [attribute(3, f"1.0.{number}.7.0.255", 3) for number in (1, 2, 3)]
    lost = AttributeFailed("no answer", error=ResponseTimeout("no answer"), target="a scaler")
    for among in (scalers[:2], scalers, scalers[1:], scalers[:1]):
        client._keep_scalers(among, [lost] * len(among), set(among))
    told = [record.getMessage().partition("sent: ")[2] for record in caplog.records]
    assert told == ["3/1.0.1.7.0.255:3, 3/1.0.2.7.0.255:3"]


async def test_a_meter_that_grants_no_lists_is_asked_one_by_one(clock: object) -> None:
    conformance = ("get", "block-transfer-with-get-or-read")
    async with connected(echo_meter(FakeClock()), **OPEN, conformance=conformance) as client:
        assert client._max_list == 1
        assert [type(found) for found in await client.get_many([NAME, ENERGY])] == [Data, Data]


@NAMES
async def test_keeping_an_association_alive_asks_for_little(clock: object, referencing: str) -> None:
    async with of_all_services(referencing) as client:
        client.get = AsyncMock()  # type: ignore[method-assign]
        await client.keep_alive()
        class_id = 15 if referencing == "ln" else 12
        client.get.assert_awaited_once_with(attribute(class_id, "0.0.40.0.0.255", 1))


@pytest.mark.parametrize(
    ("answer", "message"),
    [(b"\x12\x00", "(it came as 1200)"), (b"\x99" + bytes(40), "(it came as 99" + "00" * 15 + ")")],
)
async def test_octets_that_mean_nothing_are_shown_with_their_object(clock: object, answer: bytes, message: str) -> None:
    async with Scripted([(None, GetResponseNormal(0xC1, None, answer))]) as meter:
        with pytest.raises(DecodeError) as caught:
            await meter.client.get(ENERGY)
        assert caught.value.message.startswith(f"{ENERGY}: ") and caught.value.message.endswith(message)


@pytest.mark.expect_log("2 octets are left over behind")
async def test_octets_behind_a_value_are_told_once(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    answer = GetResponseNormal(0xC1, None, encode(NUMBER) + b"\xab\xcd")
    other = GetResponseNormal(0xC2, None, encode(NUMBER) + b"\x17")
    async with Scripted([(None, answer), (None, other)]) as meter:
        assert [await meter.client.get(ENERGY), await meter.client.get(ENERGY)] == [NUMBER, NUMBER]
        assert len(meter.client.memory.warned) == 1
    assert len(caplog.records) == 1, "other octets behind the next value are the same fault"


async def test_an_error_of_the_line_names_what_was_asked_for(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(**WAYS["public"], retries=0) as client:
        await client.get(NAME)
        meter.faults.add("silence")
        with pytest.raises(TransportError) as caught:
            await client.get(TIME)
        assert str(TIME) in caught.value.message
