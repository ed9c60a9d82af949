"""What comes unasked, or once more, is not the answer to the next question, nor does it hold that up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from dlms_mqtt.client.association.association import PROPOSALS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import MeterRefused, RemoteProtocolError, ResponseTimeout, SecurityError
from dlms_mqtt.protocol.acse.messages import Aarq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal, ActionResponseNormal
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetResponseNormal
from dlms_mqtt.protocol.apdu.set import SetRequestNormal, SetResponseNormal
from dlms_mqtt.protocol.apdu.short_name import ReadResponse
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.transport.memory import MemoryTransport
from tests.client.fresh_line import FreshLine
from tests.client.our_meter import CIPHERED, WAYS, OurMeter
from tests.client.scripted import Scripted, accepted
from tests.client.services.test_short_names import ASK_LIST, ENERGY
from tests.client.some_objects import CUT_OFF, attribute
from tests.client.test_client import NAME, TIME
from tests.protocol.security.test_cipher import meter as meter_cipher

LABEL = attribute(1, "0.0.96.1.1.255")


def number(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


def answer(invoke: int, value: int) -> GetResponseNormal:
    return GetResponseNormal(0xC0 | invoke, None, encode(number(value)))


async def test_a_write_that_failed_is_not_sent_with_the_next_question(clock: object) -> None:
    """Rubbish behind an answer is found before the next question goes out; that one is then not left in the queue."""
    dialogue = [(None, [answer(1, 7), b"\xff\xff"])]
    async with Scripted(dialogue, settings={"retries": 0}) as meter:
        assert await meter.client.get(NAME) == number(7)
        with pytest.raises(RemoteProtocolError):
            await meter.client.set(LABEL, number(1))
        meter._steps = [(None, answer(2, 8))]
        assert await meter.client.get(NAME) == number(8)
    assert not [request for request in meter.requests if isinstance(request, SetRequestNormal)]


@pytest.mark.expect_log("pushes are dropped")
async def test_a_ciphered_push_breaks_no_plain_association(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """In the general form it has the tag of any answer; it may come while the association is made, too."""
    push = meter_cipher(form="general-global").protect_apdu(bytes.fromhex("0f00000001000205") + b"\x12\x00\x01" * 5)
    async with Pushing(push, [(None, [push, answer(1, 7)])]) as meter:
        assert await meter.client.get(NAME) == number(7)
    assert [record.levelname for record in caplog.records if "pushes are dropped" in record.message] == ["WARNING"]


class Pushing(Scripted):
    """A push goes before the AARE."""

    def __init__(self, push: bytes, dialogue: Any) -> None:
        super().__init__(dialogue)
        self._push: bytes | None = push

    def _send(self, answer: Any) -> None:
        push, self._push = self._push, None
        super()._send(push)
        super()._send(answer)


class Leaving(Scripted):
    """With its first answer the meter also says that the link is gone, in one piece."""

    def _take(self, request: Any) -> None:
        super()._take(request)
        if isinstance(request, GetRequestNormal) and self.links == 0:
            self.links = 1
            self._far.write(self.link.data_to_send() + encode_frame(Kind.DM | POLL, b"\x21", b"\x03"))


async def test_a_link_that_ended_with_the_last_answer_is_set_up_again_for_a_read(clock: object) -> None:
    async with Leaving([(None, answer(1, 7)), (None, answer(1, 8))], hdlc=True) as meter:
        assert await meter.client.get(NAME) == number(7)
        assert await meter.client.get(NAME) == number(8)


async def test_a_link_that_ended_with_the_last_answer_is_set_up_again_for_a_write(clock: object) -> None:
    """Nothing of it was sent, so it is not repeated by that."""
    async with Leaving([(None, answer(1, 7)), (None, SetResponseNormal(0xC1, 0))], hdlc=True) as meter:
        assert await meter.client.get(NAME) == number(7)
        await meter.client.set(LABEL, number(1))
    assert sum(isinstance(request, SetRequestNormal) for request in meter.requests) == 1


async def test_an_answer_given_twice_is_not_the_next_one(clock: object) -> None:
    """Short names have nothing that pairs an answer with its question."""
    first, second = (None, [ReadResponse((number(7),)), ReadResponse((number(7),))]), (None, ReadResponse((number(9),)))
    async with Scripted([ASK_LIST, first, second], referencing="sn") as meter:
        assert await meter.client.get(ENERGY) == number(7)
        assert await meter.client.get(ENERGY) == number(9)


class Speaking(OurMeter):
    """Says what it is told to, whether somebody asked or not."""

    async def _serve(self, far: MemoryTransport) -> None:
        self.far = far
        await super()._serve(far)

    async def say(self, apdu: bytes) -> None:
        self.far.write(b"\0\1\0\1\0\x10" + len(apdu).to_bytes(2, "big") + apdu)
        await self.far.drain()


@pytest.mark.parametrize("odd", [ReadResponse((number(99),)), ReadResponse(()), ReadResponse((number(1), number(2)))])
async def test_an_answer_with_short_names_that_nobody_awaits_ends_the_association(
    clock: object, odd: ReadResponse
) -> None:
    """They have no numbers: after one answer too many, each would go to the question before."""
    async with Speaking(framing="wrapper") as meter, meter.client(referencing="sn") as client:
        name, time = await client.get(NAME), await client.get(TIME)
        before = meter.far
        await meter.say(odd.encode())
        assert await client.get(NAME) == name  # asked in a new association
        assert meter.far is not before
        assert (await client.get(TIME)).type is time.type
        assert await client.get(NAME) == name


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize("way", ["low", "gmac, ciphered"])
@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize("datagram", [False, True], ids=["tcp", "udp"])
async def test_answers_that_come_twice_cost_nothing(
    clock: object, datagram: bool, referencing: str, way: str, after: int
) -> None:
    """A network may double them. What was ciphered is known by its counter, what was not by its number; where there
    is neither, a new association is made before the next question.
    """
    faults = f"doubled,after={after},times=3"
    meter, options = OurMeter(faults, framing="wrapper", datagram=datagram), WAYS[way] | {"referencing": referencing}
    async with meter, meter.client(**options) as client:
        for _ in range(4):
            name, time = await client.get_many([NAME, TIME])
            assert isinstance(name, Data) and isinstance(time, Data) and len(time.value) == 12
            assert await client.get(NAME) == name


async def test_a_counter_that_never_rises_is_told(clock: object) -> None:
    """What is dropped as a replay may be all that the meter has to say: then that is the reason, not silence."""
    async with Doubling(framing="wrapper") as meter, meter.client(**WAYS["gmac, ciphered"], retries=0) as client:
        await client.get(NAME)
        meter.stuck = True
        with pytest.raises(SecurityError, match="received before"):
            await client.get(NAME)


class Doubling(OurMeter):
    """Once it is ``stuck``, it answers with what it said last."""

    stuck = False

    async def _serve(self, far: MemoryTransport) -> None:
        write, last = far.write, b""

        def repeated(data: bytes) -> None:
            nonlocal last
            last = last if self.stuck else data
            write(last)

        far.write = repeated  # type: ignore[method-assign]
        await super()._serve(far)


@pytest.mark.parametrize("way", ["low", "gmac, ciphered"])
@pytest.mark.parametrize("referencing", ["ln", "sn"])
async def test_an_answer_to_the_association_before_is_no_aare(clock: object, referencing: str, way: str) -> None:
    """It was held back on its way (by a converter) and comes together with the AARE of the next association."""
    meter, options = OurMeter("merged,after=4", framing="wrapper"), WAYS[way] | {"referencing": referencing}
    async with meter, meter.client(**options) as client:
        for _ in range(4):
            with contextlib.suppress(ResponseTimeout):
                await client.get(NAME)
        assert isinstance(await client.get(NAME), Data)


@pytest.mark.parametrize("referencing", ["ln", "sn"])
async def test_a_meter_that_was_gone_is_asked_again(clock: object, referencing: str) -> None:
    """It was silent to a question and to the next AARQ too: nothing is asked where no association is."""
    meter, options = OurMeter(framing="wrapper"), CIPHERED | {"referencing": referencing}
    async with meter, meter.client(**options) as client:
        name = (await client.get_many([NAME]))[0]
        for times in (1, 2):
            meter.faults.add("silence")
            with pytest.raises(ResponseTimeout):
                await client.get_many([NAME, TIME])
            assert meter.line.opened == 1 + times
        meter.faults.remove("silence")
        assert (await client.get_many([NAME]))[0] == name
        assert await client.get(NAME) == name
        meter.faults.add("silence")
        with pytest.raises(ResponseTimeout):
            await client.get_many([NAME, TIME])
        meter.faults.remove("silence")
        with pytest.raises(MeterRefused):  # a write goes to the new association, and says what the meter says
            await client.set(NAME, number(1))


async def test_the_time_for_a_question_begins_with_it(clock: Any) -> None:
    """After a timeout the line is the meter's turn: the next question goes out only when that is over."""
    async with OurMeter() as meter, meter.client(exchange_timeout=60.0, retries=1, timeout=2.0) as client:
        meter.faults.add("silence")
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        meter.faults.remove("silence")
        await asyncio.sleep(120)
        assert isinstance(await client.get(NAME), Data)


async def test_udp_a_repeated_question_of_short_names_may_be_answered_twice(clock: object) -> None:
    """The second answer comes when something else was asked: it goes to a port that is closed by then."""
    options = {"referencing": "sn", "timeout": 2.0, "retries": 2}
    async with OurMeter(framing="wrapper", datagram=True) as meter, meter.client(**options) as client:
        await client.get(NAME)
        meter.faults.add("late-answer:3")
        assert isinstance(await client.get(NAME), Data)
        assert len((await client.get(TIME)).value) == 12
    assert meter.line.opened == 2


class Blocks:
    """Over datagrams, a meter that answers an action in blocks and loses one of them, once."""

    def __init__(self, lost: int, window: int = 1) -> None:
        self.lost, self.window = lost, window
        self.actions = 0
        self.line = FreshLine(self._serve, datagram=True)
        settings = ConnectionSettings(udp=("192.0.2.1", 4059), framing="wrapper", timeout=1.0, gbt_window=window)
        self.client = DlmsClient(settings, transport=self.line)

    async def _serve(self, far: MemoryTransport) -> None:
        link, blocks = WrapperLink(Side.SERVER, datagram=True), BlockTransfer(max_pdu=100)
        blocks.peer_window = self.window
        link.connect()
        while True:
            link.receive(await far.read(None))
            while (event := link.next_event()) is not None:
                if isinstance(event, Received):
                    for message in self._answer(event.apdu, blocks):
                        link.send(message.encode())
            while data := link.data_to_send():
                far.write(data)

    def _answer(self, apdu: bytes, blocks: BlockTransfer) -> list[Any]:
        if apdu[0] == GeneralBlockTransfer.TAG:
            return self._lossy(blocks.receive(GeneralBlockTransfer.decode(apdu))[0])
        request = decode_apdu(apdu)
        if isinstance(request, Aarq):
            return [accepted("ln", 1024, PROPOSALS["ln"] | Conformance.GENERAL_BLOCK_TRANSFER)]
        if not isinstance(request, ActionRequestNormal):
            return []
        self.actions += 1
        value = encode(Data(DataType.OCTET_STRING, bytes(range(250))))
        return self._lossy(blocks.start(ActionResponseNormal(request.invoke, 0, None, value).encode()))

    def _lossy(self, blocks: list[GeneralBlockTransfer]) -> list[GeneralBlockTransfer]:
        kept = [block for block in blocks if block.block_number != self.lost]
        if len(kept) != len(blocks):
            self.lost = 0
        return kept


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("lost", [2, 3])
async def test_udp_a_lost_block_of_an_answer_is_asked_for_though_the_action_is_not_repeated(
    clock: object, lost: int, window: int
) -> None:
    meter = Blocks(lost, window)
    async with meter.client as client:
        returned = await client.invoke(CUT_OFF)
    assert returned is not None
    assert returned.value == bytes(range(250))
    assert (meter.actions, meter.lost) == (1, 0)


async def test_udp_an_action_whose_first_block_is_lost_is_not_repeated(clock: object) -> None:
    meter = Blocks(1)
    async with meter.client as client:
        with pytest.raises(ResponseTimeout):
            await client.invoke(CUT_OFF)
    assert meter.actions == 1
