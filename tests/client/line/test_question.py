"""How long a question waits, and what it keeps of what came instead of an answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.line.question import Question, usual_patience
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Link, Received, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.transport.memory import MemoryTransport
from tests.client.fresh_line import FreshLine
from tests.client.scripted import accepted
from tests.client.test_client import NAME, TIME

SETTINGS = ConnectionSettings(tcp=("10.0.0.1", 4059), timeout=5.0, retries=3, exchange_timeout=300.0)


def begin(now: float, settings: ConnectionSettings) -> Question:
    return Question(now + settings.exchange_timeout, usual_patience(settings), now, now)


def test_one_attribute_has_the_time_of_its_repeats() -> None:
    question = begin(100.0, SETTINGS)
    assert (question.deadline, question.patience) == (400.0, 40.0)
    assert question.ends == 140.0


def test_parts_of_an_answer_prolong_it_to_the_deadline_at_most() -> None:
    question = begin(100.0, SETTINGS)
    question.progress = 200.0
    assert question.ends == 240.0
    question.progress = 390.0
    assert question.ends == 400.0


@pytest.mark.parametrize(("timeout", "retries", "patience"), [(0.5, 0, 20.0), (5.0, 3, 40.0), (60.0, 3, 300.0)])
def test_patience_has_bounds(timeout: float, retries: int, patience: float) -> None:
    settings = ConnectionSettings(tcp=("10.0.0.1", 4059), timeout=timeout, retries=retries, exchange_timeout=300.0)
    assert begin(0.0, settings).patience == patience


def test_only_the_first_octets_are_kept() -> None:
    question = begin(0.0, SETTINGS)
    for _ in range(100):
        question.note(b"x" * 100)
    assert len(question.received) == 600


class Endless:
    """A meter that is there for ever and never comes to an end with its answer: a part of it, or ``odd``, every 4 s."""

    def __init__(self, framing: str, referencing: str, odd: str) -> None:
        self.datagram, self.hdlc, self.referencing, self.odd = framing == "udp", framing == "hdlc", referencing, odd
        self.line = FreshLine(self._serve, datagram=self.datagram)

    def client(self) -> DlmsClient:
        framing = "hdlc" if self.hdlc else "wrapper"
        place: dict[str, Any] = {"udp" if self.datagram else "tcp": ("192.0.2.1", 4059)}
        settings = ConnectionSettings(framing=framing, referencing=self.referencing, **place)
        client = DlmsClient(settings, transport=self.line)
        names = {NAME: 0x1000, TIME: 0x2000}
        client.memory.learn_short_names(
            ObjectInfo(item.class_id, 0, item.obis, short_name=name) for item, name in names.items()
        )
        return client

    async def _serve(self, far: MemoryTransport) -> None:
        link: Any = HdlcLink(Side.SERVER) if self.hdlc else WrapperLink(Side.SERVER, datagram=self.datagram)
        if not self.hdlc:
            link.connect()
        async with asyncio.TaskGroup() as talk:
            while True:
                link.receive(await far.read(None))
                while (event := link.next_event()) is not None:
                    if isinstance(event, Received):
                        await self._answer(event.apdu, link, far, talk)
                _flush(link, far)

    async def _answer(self, request: bytes, link: Link, far: MemoryTransport, talk: asyncio.TaskGroup) -> None:
        if request[:1] == b"\x60":
            link.send(accepted(self.referencing, 200).encode())
        elif self.odd == "blocks" and request[0] in (0xC0, 0x05):
            await asyncio.sleep(4)
            link.send(self._block(request))
        elif self.odd in _UNASKED and request[0] in (0xC0, 0x05):
            talk.create_task(self._talk(link, far))

    def _block(self, request: bytes) -> bytes:
        if self.referencing == "sn":
            number = int.from_bytes(request[3:5], "big") + 1 if request[2] == 5 else 1
            return bytes.fromhex(f"0c010200{number:04x}0101")
        number = int.from_bytes(request[3:7], "big") + 1 if request[1] == 2 else 1
        return bytes.fromhex(f"c402{request[2]:02x}00{number:08x}000101")

    async def _talk(self, link: Link, far: MemoryTransport) -> None:
        while True:
            await asyncio.sleep(4)
            link.send(bytes.fromhex(_UNASKED[self.odd]))
            _flush(link, far)


_UNASKED = {"pushes": "0f00000000000203120001120002120003", "another invoke id": "c401dd0006000000ff"}


def _flush(link: Link, far: MemoryTransport) -> None:
    while data := link.data_to_send():
        far.write(data)


# Answers with another invoke id are taken over HDLC, which numbers its frames; short names have no invoke ids.
_ENDLESS = [
    (framing, referencing, odd)
    for framing in ("hdlc", "wrapper", "udp")
    for referencing in ("ln", "sn")
    for odd in ("silence", "blocks", *_UNASKED)
    if odd != "another invoke id" or (framing != "hdlc" and referencing == "ln")
]


@pytest.mark.parametrize("wanted", [[NAME], [NAME, TIME]], ids=["one", "list"])
@pytest.mark.parametrize(("framing", "referencing", "odd"), _ENDLESS)
async def test_every_question_has_an_end(
    clock: Any, framing: str, referencing: str, wanted: list[Any], odd: str
) -> None:
    """With the defaults: 40 s for a value of which nothing comes (HDLC: but RR), 300 s whatever comes."""
    meter = Endless(framing, referencing, odd)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(meter.client())
        stack.push_async_callback(meter.line.close)
        began = clock.monotonic()
        with contextlib.suppress(DlmsMqttError):
            assert all(isinstance(answer, DlmsMqttError) for answer in await client.get_many(wanted))
        took = clock.monotonic() - began
    questions = 1 if len(wanted) == 1 else 3  # the list, and each alone
    assert took <= questions * (305 if odd == "blocks" else 41)
    assert odd != "blocks" or took >= 300


@pytest.mark.parametrize("referencing", ["ln", "sn"])
async def test_blocks_that_come_slowly_are_waited_for(clock: Any, referencing: str) -> None:
    """A kilobyte at 300 baud takes longer than a value of which nothing comes is given."""
    meter = Endless("wrapper", referencing, "blocks")
    block = meter._block

    def until_the_last(request: bytes) -> bytes:
        part = bytearray(block(request))
        at, first = (3, 7) if referencing == "ln" else (3, 5)
        if part[first] == 1:
            part[-1:] = b"\x09"  # octet-string, of 48 octets
        elif part[first] == 2:
            part[-1:] = b"\x30"
        part[at] = part[first] == 50
        return bytes(part)

    meter._block = until_the_last  # type: ignore[method-assign]
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(meter.client())
        stack.push_async_callback(meter.line.close)
        began = clock.monotonic()
        assert (await client.get(NAME)).value == b"\x01" * 48
        assert clock.monotonic() - began >= 200
