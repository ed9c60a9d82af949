"""Mass is sliced: however much one meter sends, the event loop turns meanwhile, and the memory it costs is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.errors import RemoteProtocolError
from dlms_mqtt.protocol.apdu.get import GetRequestNext, GetRequestNormal, GetResponseBlock
from dlms_mqtt.transport.listen import listen
from tests.client.line.test_exchange import NAME, answer, number
from tests.client.procedures.test_profile import CLOCK, IMPORT, Meter
from tests.client.scripted import Scripted

MOST = 1.0  # s of work without a turn for anybody else (thread time: what others do on the machine is not counted)
PUSH = bytes.fromhex("0f00000001000202090601000108" + "00ff0600000001")


class Turns:
    """How long (s, thread time of the loop) the loop was kept from turning at most, and how often it turned."""

    def __init__(self) -> None:
        self.longest, self.count = 0.0, 0

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, self.count, before = max(self.longest, now - before), self.count + 1, now


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    turns = Turns()
    task = asyncio.create_task(turns.run())
    await asyncio.sleep(0)
    try:
        yield turns
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Buffer(Meter):
    """A profile whose buffer is there as octets."""

    def __init__(self, count: int) -> None:
        super().__init__([CLOCK, IMPORT], [])
        row = bytes.fromhex("0202090c07ea0b1d07080000008000000600000005")
        self._octets = b"\x01\x83" + count.to_bytes(3, "big") + row * count

    async def get_raw(self, attribute: Any, access: Any = None) -> bytes:
        return self._octets


async def test_very_many_rows_of_a_profile() -> None:
    meter = Buffer(100_000)
    async with counted() as turns:
        profile = await meter.read()
    assert len(profile.rows) == 100_000
    assert turns.longest < MOST and turns.count > 50


async def test_what_very_many_rows_cost() -> None:
    """As many as the bridge takes (3 MB): the greatest part of the answer is the rows themselves."""
    meter = Buffer((3 << 20) // 21)
    tracemalloc.start()
    try:
        profile = await meter.read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(profile.rows) == (3 << 20) // 21
    assert peak < 100e6, f"{peak / 1e6:.0f} MB"


async def test_an_answer_longer_than_it_may_be(clock: object) -> None:
    block = [GetResponseBlock(0xC1, False, number, None, bytes(900)) for number in range(1, 5)]
    requests: list[Any] = [(GetRequestNormal, block[0]), *((GetRequestNext, row) for row in block[1:])]
    dialogue = [(None, row) for _, row in requests]
    async with Scripted(dialogue) as meter:
        meter.client._live.most_octets = 2000
        with pytest.raises(RemoteProtocolError, match="more than 2000 octets") as caught:
            await meter.client.get_raw(NAME)
    assert "fewer" in caught.value.hint


async def test_a_list_of_sixty_thousand_objects() -> None:
    attributes = b"".join(b"\x02\x03\x0f" + bytes([at]) + b"\x16\x01\x00" for at in (1, 2, 3))
    rights = b"\x02\x02\x01\x03" + attributes + b"\x01\x00"
    rows = (b"\x01" + (index % 2**24).to_bytes(3, "big") + b"\x00\xff" for index in range(60_000))
    octets = b"\x01\x82\xea\x60" + b"".join(b"\x02\x04\x12\x00\x03\x11\x00\x09\x06" + name + rights for name in rows)
    meter = Buffer(0)
    meter._octets, meter.reads_out = octets, False
    meter.settings.authentication, meter.settings.client, meter.settings.association = "none", 1, NAME.obis
    tracemalloc.start()
    try:
        async with counted() as turns:
            objects = await read_objects(meter)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(objects) == 60_000
    assert turns.longest < MOST
    assert peak < 100e6, f"{peak / 1e6:.0f} MB"


async def test_three_thousand_pushes_with_one_answer() -> None:
    """They are handed over sixteen at a time, before the answer as well as behind it."""
    async with Scripted([(None, [*[PUSH] * 1500, answer(1, 7), *[PUSH] * 1500]), (None, answer(2, 8))]) as meter:
        async with counted() as turns:
            runs: list[int] = []

            def note(_apdu: Any) -> None:
                runs.append(turns.count)

            meter.client._live.on_notification = note
            assert await meter.client.get(NAME) == number(7)
            assert await meter.client.get(NAME) == number(8)
        assert len(runs) == 3000
        assert max(runs.count(turn) for turn in set(runs)) <= 32


async def test_a_flood_at_a_push_port_is_handed_over_in_slices() -> None:
    handed: list[tuple[int, int]] = []
    ended = asyncio.Event()
    async with counted() as turns:

        def take(_origin: str, data: bytes, _whole: bool) -> None:
            handed.append((turns.count, len(data)))
            if not data:
                ended.set()

        async with await listen("tcp://127.0.0.1:0", take) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(PUSH * 20_000)
            await writer.drain()
            writer.close()
            async with asyncio.timeout(60):
                await ended.wait()
    assert sum(size for _, size in handed) == len(PUSH) * 20_000, "nothing is lost, and the end comes last"
    assert handed[-1][1] == 0
    assert max(size for _, size in handed) <= 512
    turned = [turn for turn, _ in handed]
    assert max(turned.count(turn) for turn in set(turned)) <= 2
