"""Real meters: the client talks to what they were recorded to say, and says what their own clients said."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.services.logical_names import LogicalNames
from dlms_mqtt.errors import MeterRefused, SecurityError
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.get import GetRequestNormal
from dlms_mqtt.protocol.axdr.data import Data, from_tree
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from tests.client.replayed_meter import FrameForFrame, MessageForMessage, frames_of, messages_of
from tests.frames_data import Entry, entries, entry

EK = Secret(bytes.fromhex("000102030405060708090a0b0c0d0e0f"))
AK = Secret(bytes.fromhex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"))
EVERYTHING = tuple((~Conformance(0)).names())
SERIAL = AttributeDescriptor(1, Obis.parse("0-0:96.1.0.255"), 2)


@pytest.fixture(autouse=True)
def _one_invoke_id(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The recorded clients never change their invoke id."""
    invoke = getattr(request, "param", 0xC1)
    monkeypatch.setattr(LogicalNames, "_invoke", lambda _: invoke)


def proposed(talk: Entry, number: int = 0) -> tuple[str, ...]:
    return tuple(talk["expected"]["associations"][number]["initiate_request"]["conformance"])


def target(read: dict[str, Any]) -> AttributeDescriptor:
    return AttributeDescriptor(read["class"], Obis.parse(read["obis"]), read["attribute"])


async def read_all(client: DlmsClient, talk: Entry, reads: list[dict[str, Any]] | None = None) -> None:
    for read in talk["expected"]["reads"] if reads is None else reads:
        if "data" in read:
            assert await client.get(target(read)) == from_tree(read["data"])
        else:
            with pytest.raises(MeterRefused) as refused:
                await client.get(target(read))
            assert refused.value.name == read["error"]


def said_the_same(meter: FrameForFrame | MessageForMessage) -> None:
    assert meter.surprises == []
    assert meter.left == []
    assert meter.received


@pytest.mark.parametrize("piece", [1, 7, 2048])
async def test_wirenboard_password(piece: int) -> None:
    """The meter answers invoke 81 to c1, and UA with parameters to a SNRM without; in pieces of so many octets."""
    talk = entry("conversations", "wirenboard-lls-temperature")
    async with FrameForFrame(frames_of(talk), client=32, piece=piece) as meter:
        async with meter.client(
            client=32,
            physical=20,
            authentication="low",
            password=Secret(talk["password_ascii"].encode()),
            conformance=proposed(talk),
        ) as client:
            assert client.association.max_pdu == 100
            await read_all(client, talk)
        said_the_same(meter)


@pytest.mark.parametrize("name", ["m203-ln-82", "m203-ln-22"])
async def test_m203(name: str) -> None:
    talk = entry("conversations", name)
    async with FrameForFrame(frames_of(talk), client=16) as meter:
        async with meter.client(physical=61, conformance=proposed(talk)) as client:
            await read_all(client, talk)
        said_the_same(meter)


async def test_m203_inside_an_association() -> None:
    talk = entry("conversations", "m203-short-read")
    async with MessageForMessage(messages_of(talk), client=48, server=2, physical=34) as meter:
        async with meter.client(client=48, server=2, physical=34, pre_established=True) as client:
            await read_all(client, talk)
        said_the_same(meter)


@pytest.mark.parametrize("_one_invoke_id", [0x81], indirect=True)
async def test_clock_object_of_jdlms() -> None:
    """Reads and writes in the order of the recording."""
    talk = entry("conversations", "jdlms-clock-object-dialogue")
    messages = messages_of(talk)
    writes = {index for index, octets in enumerate(messages[2::2]) if octets[0] == 0xC1}
    reads, written = iter(talk["expected"]["reads"]), iter(talk["expected"]["writes"])
    async with MessageForMessage(messages, physical=17) as meter:
        async with meter.client(physical=17, address_size=4, conformance=proposed(talk)) as client:
            for index in range(len(messages) // 2 - 1):
                if index in writes:
                    write = next(item for item in written if "attribute" in item)
                    await client.set(target(write["attribute"]), from_tree(write["data"]))
                else:
                    await read_all(client, talk, [next(reads)])
        said_the_same(meter)


async def test_clock_of_a_secure_saral() -> None:
    (answer,) = messages_of(entry("conversations", "secure-saral-clock-read"))
    clock = AttributeDescriptor(8, Obis.parse("0-0:1.0.0.255"), 2)
    async with MessageForMessage([None, answer], client=32, physical=41) as meter:
        async with meter.client(client=32, physical=41, pre_established=True) as client:
            assert (await client.get(clock)).value.hex() == "07e60810ff0f211bff800000"
        assert meter.received == [GetRequestNormal(0xC1, clock)]


# -- a meter with HLS-GMAC, in all four protections --------------------------------------------------------------------


def gmac_settings(security: str) -> dict[str, Any]:
    """What makes our client the recorded one: title, challenge and counter of its AARQ."""
    aarq = messages_of_client(GMAC[security])[0]
    at, initiate = aarq.index(bytes.fromhex("ac0a8008")) + 4, aarq.index(bytes.fromhex("be230421211f")) + 7
    challenge, counter = aarq[at : at + 8], int.from_bytes(aarq[initiate : initiate + 4], "big")
    return {
        "client": 1,
        "physical": 17,
        "address_size": 4,
        "authentication": "gmac",
        "encryption_key": EK,
        "authentication_key": AK,
        "security": security,
        "system_title": bytes.fromhex("4d454c0000000001"),
        "challenge_length": 8,
        "invocation_counter": counter,
        "conformance": tuple((Conformance(0xFE1F)).names()),
        "no_release": True,
        "random": lambda size: challenge[:size],
    }


def messages_of_client(talk: Entry) -> list[bytes]:
    """The APDUs of the association with GMAC, which is that of client 1."""
    frames = [frame for frame in frames_of(talk) if b"\x03" in (frame.source, frame.destination)]
    return [frame.information[3:] for frame in frames if frame.kind is Kind.I]


def skip(client: DlmsClient, messages: list[bytes]) -> None:
    """The recorded client left numbers out before its last request."""
    assert client.ciphering.counter is not None
    client.ciphering.counter.raise_to(int.from_bytes(messages[-2][3:7], "big"))


GMAC = {
    "none": entry("conversations", "gocosem-hls-gmac-context-none"),
    **{talk["id"].rpartition("-")[2]: talk for talk in entries("conversations_gmac")},
}


@pytest.mark.parametrize("security", GMAC)
async def test_counters_of_the_gmac_meter(security: str) -> None:
    """The public client asks for both invocation counters in one list."""
    counters = [AttributeDescriptor(1, Obis.parse(f"0-0:43.1.{number}.255"), 2) for number in (0, 1)]
    async with FrameForFrame(frames_of(GMAC[security]), client=16) as meter:
        async with meter.client(physical=17, address_size=4, conformance=EVERYTHING) as client:
            values = [answer.value for answer in await client.get_many(counters) if isinstance(answer, Data)]
        said_the_same(meter)
    assert values[0] + 1 == gmac_settings(security)["invocation_counter"]
    assert values[1] == 0


async def test_gmac_everything_protected() -> None:
    """Frame for frame: titles, challenges, glo-initiate, both proofs, glo-get and its counters."""
    talk = GMAC["both"]
    async with FrameForFrame(frames_of(talk), client=1) as meter:
        async with meter.client(**gmac_settings("both")) as client:
            assert client.association.system_title.hex() == "4d454c6470b71b11"
            skip(client, messages_of_client(talk))
            assert (await client.get(SERIAL)).value == b"12000017"
        said_the_same(meter)


async def test_gmac_only_authenticated() -> None:
    """The recorded client protected its AARQ fully, we protect it as everything else: the rest is the same octets."""
    meter, value = await less_protected("authentication")
    said_the_same(meter)
    assert value == b"12000017"


@pytest.mark.expect_log("nothing proves who sent them")
async def test_gmac_only_encrypted() -> None:
    """The recorded client counted a tag into its lengths that it did not send; the meter did not mind, nor do we."""
    meter, value = await less_protected("encryption", accept_unauthenticated=True)
    assert [theirs[2:] for theirs, _ in meter.surprises] == [ours[2:] for _, ours in meter.surprises]
    assert [theirs[1] - ours[1] for theirs, ours in meter.surprises] == [12, 12]
    assert value == b"12000017"


async def less_protected(security: str, **more: Any) -> tuple[MessageForMessage, Any]:
    messages = messages_of_client(GMAC[security])
    meter = MessageForMessage([None, *messages[1:]], physical=17)
    async with meter, meter.client(**gmac_settings(security), **more) as client:
        skip(client, messages)
        return meter, (await client.get(SERIAL)).value


async def test_gmac_without_ciphering() -> None:
    """Our AARQ is plain there; the recorded client's was not. The proof is the same octets."""
    messages = messages_of_client(GMAC["none"])
    async with MessageForMessage([None, *messages[1:]], physical=17) as meter:
        async with meter.client(**gmac_settings("none") | {"invocation_counter": 0x4E}) as client:
            assert (await client.get(SERIAL)).value == b"12000017"
        said_the_same(meter)
        assert isinstance(meter.received[1], ActionRequestNormal)


@pytest.mark.parametrize("security", ["authentication", "both"])
@pytest.mark.parametrize("number", [1, 3, 5], ids=["aare", "proof", "answer"])
async def test_gmac_meter_forged(security: str, number: int) -> None:
    """One bit of any of the real meter's answers turned round: refused."""
    messages = messages_of_client(GMAC[security])
    script = [octets if index % 2 else None for index, octets in enumerate(messages)]
    forged = messages[number]
    script[number] = forged[:-1] + bytes((forged[-1] ^ 1,))
    async with MessageForMessage(script, physical=17) as meter:
        with pytest.raises(SecurityError) as refused:
            async with meter.client(**gmac_settings(security)) as client:
                skip(client, messages)
                await client.get(SERIAL)
        assert refused.value.reason in ("tag", "authentication")
