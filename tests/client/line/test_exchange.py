"""What comes unasked, or once more, is not the answer to the next question, nor does it hold that up."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest

from dlms_mqtt.client.association.association import PROPOSALS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.errors import (
    AssociationRefused,
    ConnectionLost,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.protocol.acse.messages import Aarq
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.action import ActionRequestNormal, ActionResponseNormal
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.general import GeneralBlockTransfer
from dlms_mqtt.protocol.apdu.get import GetRequestNormal, GetResponseBlock, GetResponseNormal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.set import SetRequestNormal, SetResponseNormal
from dlms_mqtt.protocol.apdu.short_name import ReadResponse
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.client.fresh_line import FreshLine
from tests.client.interrupted import Interrupted, frame
from tests.client.our_meter import CIPHERED, WAYS, OurMeter
from tests.client.scripted import Scripted, accepted
from tests.client.services.test_short_names import ASK_LIST, ENERGY
from tests.client.some_objects import CUT_OFF, attribute
from tests.client.test_client import FRAMINGS, NAME, NUMBER, TIME
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


async def test_the_trace_shows_a_line_for_each_message(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """However few octets of a slow line are read at a time."""
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    async with OurMeter() as meter:
        client = meter.client()
        client.transport.read = _octet_by_octet(client.transport)  # type: ignore[method-assign]
        async with client:
            await client.get(NAME)
    came = [message for message in caplog.messages if " < " in message]
    assert len(came) == 4, came  # UA, AARE, the answer, UA
    assert all(re.fullmatch("7e[0-9a-f]+7e", message.split(" < ")[1]) for message in came)


def _octet_by_octet(transport: Any) -> Any:
    read, left = transport.read, bytearray()

    async def one(timeout: float | None) -> bytes:
        if not left:
            left.extend(await read(timeout))
        octet = bytes(left[:1])
        del left[:1]
        return octet

    return one


async def test_the_trace_hides_what_gives_a_password_away(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    for way in ("low", "coded", "hls"):
        caplog.clear()
        async with OurMeter("echo") as meter, meter.client(**WAYS[way]) as client:
            await client.get(NAME)
        shown = "".join(caplog.messages)
        assert "not shown: a password is among them" in shown
        proofs = [write for write in meter.line.sent if b"\xc3\x01" in write]
        assert len(proofs) == (way != "low")
        assert not any(write.hex() in shown for write in proofs)
        assert WAYS[way]["password"].hex() not in shown


@pytest.mark.parametrize(
    "fault",
    ["lost", "doubled", "cut", "garbled", "wrong-check", "noise", "trickle", "merged", "echo", "deaf", "late-answer"],
)
async def test_hdlc_recovers(clock: object, fault: str) -> None:
    async with OurMeter() as meter, meter.client() as client:
        meter.faults.add(fault)
        for _ in range(3):
            assert isinstance(await client.get(NAME), Data)
            assert isinstance((await client.get_many([NAME, TIME]))[1], Data)


@pytest.mark.parametrize("fault", ["lost,times=2", "garbled,times=2", "noise", "echo", "deaf", "odd-ua:empty"])
async def test_hdlc_recovers_while_it_opens(clock: object, fault: str) -> None:
    async with OurMeter(fault) as meter, meter.client() as client:
        assert isinstance(await client.get(NAME), Data)


@FRAMINGS
async def test_silence_is_waited_for_and_no_longer(clock: Any, framing: str) -> None:
    async with OurMeter("silence", framing=framing) as meter:
        client = meter.client(timeout=2.0, retries=2)
        with pytest.raises(ResponseTimeout, match="no answer from memory"):
            await client.open()
        assert clock.monotonic() < 20
    async with OurMeter(framing=framing) as meter, meter.client(timeout=2.0, retries=2) as client:
        meter.faults.add("silence")
        before = clock.monotonic()
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        assert clock.monotonic() - before == pytest.approx(6.0 if framing == "hdlc" else 2.0)


async def test_rubbish_is_told_from_silence(clock: object) -> None:
    async with OurMeter("garbled:20,times=99") as meter:
        with pytest.raises(ResponseTimeout, match="octets came from memory, but no valid answer") as caught:
            await meter.client(timeout=1.0, retries=1).open()
        assert caught.value.received
        assert caught.value.reason == "garbled"
        assert "parity" in caught.value.hint


@FRAMINGS
async def test_an_echo_and_nothing_else_is_named(clock: object, framing: str) -> None:
    near, _ = memory_pair()
    near.echo = True
    settings = parse_settings({"serial": "memory", "framing": framing, "timeout": "1s", "retries": "1"})
    client = DlmsClient(settings, transport=near)
    with pytest.raises(ResponseTimeout, match="only our own octets") as caught:
        await client.open()
    assert caught.value.reason == "echo"


class AnswersFrom(OurMeter):
    """A meter whose answers bear another address than the one that was called."""

    async def _serve(self, far: MemoryTransport) -> None:
        write = far.write
        far.write = lambda data: write(self._moved(data))  # type: ignore[method-assign]
        await super()._serve(far)

    def _moved(self, data: bytes) -> bytes:
        if self.framing == "wrapper":
            return data[:2] + b"\x00\x11" + data[4:]
        return encode_frame(Kind.UA | POLL, encode_address(16), encode_address(17))


@FRAMINGS
async def test_an_answer_from_another_address_is_named(clock: object, framing: str) -> None:
    async with AnswersFrom(framing=framing) as meter:
        with pytest.raises(ResponseTimeout, match="from another address") as caught:
            await meter.client(timeout=1.0, retries=1).open()
    assert caught.value.reason == "wrong-address"
    assert "find" in caught.value.hint


async def test_a_link_that_is_refused_is_about_the_address(clock: object) -> None:
    class Disconnected(OurMeter):
        async def _serve(self, far: MemoryTransport) -> None:
            while True:
                await far.read(60.0)
                far.write(frame(Kind.DM))

    async with Disconnected() as meter:
        with pytest.raises(AssociationRefused, match=r"refuses the link .* \(DM\)") as caught:
            await meter.client(timeout=1.0, retries=1).open()
    assert caught.value.reason == "wrong-address"


async def test_a_whole_exchange_has_an_end(clock: Any) -> None:
    async with OurMeter() as meter, meter.client(exchange_timeout=3.0, retries=20, timeout=1.0) as client:
        meter.faults.add("silence")
        before = clock.monotonic()
        with pytest.raises(ResponseTimeout, match="longer than 3 s"):
            await client.get(NAME)
        assert clock.monotonic() - before <= 4.0


async def test_a_late_answer_is_not_the_next_one(clock: object) -> None:
    for framing in ("hdlc", "wrapper"):
        async with OurMeter(framing=framing) as meter, meter.client(timeout=2.0, retries=0) as client:
            meter.faults.add("late-answer:3")
            with pytest.raises(ResponseTimeout):
                await client.get(NAME)
            assert (await client.get(TIME)).type is DataType.OCTET_STRING
            assert len((await client.get(TIME)).value) == 12


async def test_a_busy_meter_is_waited_for(clock: object) -> None:
    async with Interrupted(frame(Kind.RNR | 0x20)) as meter:
        assert await meter.client.get(ENERGY) == NUMBER


# -- what comes instead of an answer, or before it ---------------------------------------------------------------------

PUSH = DataNotification(7, None, b"\x09\x04push")


@pytest.mark.parametrize("count", [1, 40])
async def test_pushes_before_an_answer_go_to_whom_they_concern(clock: object, count: int) -> None:
    async with Scripted([(None, [*[PUSH] * count, answer(1, 7)]), (None, answer(2, 8))]) as meter:
        assert await meter.client.get(NAME) == number(7)
        assert meter.notifications == [PUSH] * count
        for _ in range(count):  # some come with nothing asked; the next question finds them
            meter._send(PUSH)
        meter._far.write(meter.link.data_to_send())
        await asyncio.sleep(1)
        assert await meter.client.get(NAME) == number(8)
        assert len(meter.notifications) == 2 * count


async def test_pushes_are_heard_while_nobody_asks(clock: Any) -> None:
    def send_push() -> None:
        meter._send(PUSH)
        meter._far.write(meter.link.data_to_send())

    async with Scripted() as meter:
        asyncio.get_running_loop().call_later(30, send_push)
        with pytest.raises(ResponseTimeout):
            await meter.client.overhear(10)
        await meter.client.overhear(60)
        assert (meter.notifications, clock.monotonic()) == ([PUSH], pytest.approx(30))
        await meter._far.close()
        with pytest.raises(ConnectionLost):
            await meter.client.overhear(60)


async def test_a_refusal_of_the_whole_question_and_an_answer_to_none(clock: object) -> None:
    async with Scripted([(None, ExceptionResponse(1, 2)), (None, answer(2, 8))]) as meter:
        with pytest.raises(ServiceRefused, match="service-not-supported"):
            await meter.client.get(NAME)
        assert await meter.client.get(NAME) == number(8)


async def test_answers_to_other_questions_are_given_up_after_some(clock: object) -> None:
    async with Scripted([(None, [answer(9, value) for value in range(20)])], settings={"retries": 1}) as meter:
        with pytest.raises(RemoteProtocolError, match="answers came from memory that answer other questions"):
            await meter.client.get(NAME)


async def test_the_blocks_of_an_answer_have_the_time_of_one_question(clock: Any) -> None:
    """Each may come late; all together may not."""
    whole = encode(Data(DataType.OCTET_STRING, bytes(40)))

    class Slow(Scripted):
        def _send(self, answer: Any) -> None:
            if isinstance(answer, GetResponseBlock):
                asyncio.get_running_loop().call_later(2, self._later, answer)
            else:
                super()._send(answer)

        def _later(self, answer: Any) -> None:
            super()._send(answer)
            self._far.write(self.link.data_to_send())

    blocks = [GetResponseBlock(0xC1, at == 40, at // 10 + 1, None, whole[at : at + 10]) for at in range(0, 50, 10)]
    async with Slow([(None, block) for block in blocks], settings={"timeout": 3.0, "exchange_timeout": 30.0}) as meter:
        assert (await meter.client.get(NAME)).value == bytes(40)
    assert clock.monotonic() == pytest.approx(10)
    async with Slow([(None, block) for block in blocks], settings={"timeout": 3.0, "exchange_timeout": 5.0}) as meter:
        began = clock.monotonic()
        with pytest.raises(ResponseTimeout):
            await meter.client.get(NAME)
        assert clock.monotonic() - began == pytest.approx(5)
        meter._steps.clear()


@pytest.mark.expect_log("2 octets are left over behind an answer")
async def test_octets_behind_an_answer_are_told_once(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    responses = [SetResponseNormal(0xC0 | invoke, 0).encode() + b"\xab\xcd" for invoke in (1, 2)]
    async with Scripted([(None, response) for response in responses]) as meter:
        for _ in responses:
            await meter.client.set(LABEL, number(1))
    assert [record.levelname for record in caplog.records if "left over" in record.message] == ["WARNING"]


@pytest.mark.expect_log("octets are left over behind an answer")
async def test_a_password_behind_an_answer_is_not_told(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    secret = b"Zq7hunterX2w"
    reply = SetResponseNormal(0xC1, 0).encode() + b"\x00" + secret
    async with Scripted([(None, reply)], settings={"password": secret}) as meter:
        await meter.client.set(LABEL, number(1))
    told = [record.message for record in caplog.records if "left over" in record.message]
    assert len(told) == 2 and not [text for text in told if secret[:3].hex() in text]


async def test_what_is_told_has_no_answer_and_the_next_question_is_allowed(clock: object) -> None:
    async with Scripted([(None, None), (None, answer(2, 8))]) as meter:
        await meter.client.tell(LABEL, number(1))
        assert await meter.client.get(NAME) == number(8)
    request = meter.requests[1]
    assert isinstance(request, SetRequestNormal) and not request.invoke & 0x40
