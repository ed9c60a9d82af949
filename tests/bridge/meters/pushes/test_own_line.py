"""A meter that is asked and speaks by itself on one line: nothing it says is lost, nothing is told twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from itertools import pairwise

import pytest

from dlms_mqtt.bridge.meters.pushes import own_line
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.tasks import end_all
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConnectFailed
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport.memory import memory_pair
from tests.bridge.house import house
from tests.bridge.rig import Rig
from tests.cases.scripted_meter import at_work, frame
from tests.meter.p1_telegrams import FLUVIUS
from tests.protocol.framing.stream.test_text import READOUT

ASKED = "{set: none, also: [{obis: 1.0.32.7.0.255}]}"


def pushed(power):
    unit = Data(DataType.STRUCTURE, (Data(DataType.INTEGER, 0), Data(DataType.ENUM, 27)))
    row = (
        Data(DataType.OCTET_STRING, bytes(Obis.parse("1.0.1.7.0.255"))),
        Data(DataType.DOUBLE_LONG_UNSIGNED, power),
        unit,
    )
    return DataNotification(1, None, encode(Data(DataType.ARRAY, (Data(DataType.STRUCTURE, row),)))).encode()


def in_wrapper(apdu):
    return bytes.fromhex("0001 0001 0010") + len(apdu).to_bytes(2, "big") + apdu


def in_hdlc(apdu):
    return frame(b"\x21", b"\x03", 0x13, b"\xe6\xe7\x00" + apdu)


def config(port, *, framing="wrapper", session="auto", every="1s", more="timeout: 20s, retries: 0"):
    return f"""
  house:
    connection: {{tcp: '127.0.0.1:{port}', framing: {framing}, {more}}}
    session: {session}
    every: {every}
    push: {{listen: connection, ask: true, every: 10s}}
    read: {ASKED}
"""


@pytest.mark.parametrize("session", ["keep", "close"])
@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_what_comes_between_polls_is_published(mosquitto, tmp_path, framing, session):
    """The next poll is an hour away: nothing but listening brings it."""
    octets = {"wrapper": in_wrapper, "hdlc": in_hdlc}[framing](pushed(750)).hex()
    case = {"framing": framing, "push": {"hex": [octets], "every": 0.5}}
    with at_work(case) as lines:
        text = config(lines.port, framing=framing, session=session, every="1h")
        async with house(mosquitto, tmp_path, text) as home:
            await home.until(lambda: home.meter("value/voltage_l1") == "230.1")
            before = len(_powers(home))
            await home.until(lambda: len(_powers(home)) >= before + 3)
            assert home.meter("value/power_import") == "750"


async def test_polls_go_on_beside_pushes(mosquitto, tmp_path):
    """And a push that the client hears and the line hears is one reading."""
    case = {"framing": "hdlc", "push": {"hex": [in_hdlc(pushed(n)).hex() for n in range(700, 740)], "every": 60}}
    with at_work(case) as lines:
        async with house(mosquitto, tmp_path, config(lines.port, framing="hdlc", session="keep")) as home:
            await home.until(lambda: home.meter("value/voltage_l1") == "230.1")
            await home.until(lambda: set(range(700, 740)) <= set(_powers(home)))
            await home.until(lambda: len(_of(home, "voltage_l1")) >= 3)
            assert max(Counter(_powers(home)).values()) <= lines.connections


@pytest.mark.expect_log("999 A is held back")
async def test_a_telegram_is_published_while_a_question_waits(mosquitto, tmp_path):
    """A P1 port among whose telegrams nobody answers the question, which has its 60 s."""
    case = {"framing": "hdlc", "dead": True, "push": {"hex": [FLUVIUS.hex()], "every": 1}}
    with at_work(case) as lines:
        text = config(lines.port, framing="hdlc", more="timeout: 60s, retries: 0")
        async with house(mosquitto, tmp_path, text) as home:
            await home.until(lambda: home.meter("value/voltage_l1") == "234.7")
            await home.until(lambda: home.meter("availability") == "online")


@pytest.mark.expect_log("no answer")
async def test_another_program_can_have_the_line(mosquitto, tmp_path):
    """While reading is paused nobody listens either: the port is free."""
    connections = set()

    async def speak(reader, writer):
        connections.add(writer)
        writer.write(in_wrapper(pushed(750)))
        with contextlib.suppress(OSError):
            while await reader.read(100):
                pass
        connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    text = config(server.sockets[0].getsockname()[1], every="1h", more="timeout: 1s, retries: 0")
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: home.meter("value/power_import") == "750")
        assert (await home.ask("meter/house/request/pause", {"minutes": 5}))["status"] == "ok"
        await home.until(lambda: not connections)
        assert (await home.ask("meter/house/request/resume"))["status"] == "ok"
        await home.until(lambda: connections)
    server.close()


def _of(home, key):
    rows = map(json.loads, home.seen.of("dlms_mqtt/meter/house/reading"))
    return [row["value"] for row in rows if row["key"] == key]


def _powers(home):
    return _of(home, "power_import")


async def test_a_meter_that_sends_its_readout_by_itself(mosquitto, tmp_path):
    """Mode D, or a meter with a button: the data block with its check character, at the speed of the port."""
    case = {"framing": "hdlc", "dead": True, "push": {"hex": [add_parity(READOUT).hex()], "every": 1}}
    with at_work(case) as lines:
        text = f"\n  house: {{connection: {{tcp: '127.0.0.1:{lines.port}'}}, push: {{listen: connection}}}}\n"
        async with house(mosquitto, tmp_path, text) as home:
            await home.until(lambda: home.meter("value/energy_import") == "14864.1")
            await home.until(lambda: home.meter("value/power") == "1250")
            await home.until(lambda: home.meter("availability") == "online")


@pytest.fixture
def store():
    with Store(":memory:") as store:
        yield store


class Port:
    """A line in memory in place of the configured one: when it was opened, and the meter's end of it."""

    def __init__(self, clock, monkeypatch):
        self.clock, self.opened, self.fails, self.far = clock, [], 0, None
        monkeypatch.setattr(own_line, "transport_for", self.transport)

    def transport(self, _settings):
        self.opened.append(self.clock.monotonic())
        near, self.far = memory_pair()
        if self.fails:
            self.fails -= 1
            near.open = self._fail
        return near

    async def _fail(self):
        raise ConnectFailed("no such port")

    async def say(self, *apdus):
        async with self.far:
            for apdu in apdus:
                self.far.write(in_wrapper(apdu))
            await asyncio.sleep(1)


ON_LINE = {
    "every": "1h",
    "push": {"listen": "connection", "ask": True},
    "read": {"set": "none", "also": ["3/1.0.32.7.0.255"]},
}


@contextlib.asynccontextmanager
async def running(work):
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0.5)
        yield
    finally:
        await end_all([task])


@pytest.mark.expect_log("no such port", "reading works again")
async def test_a_line_that_is_only_listened_to_is_opened_again_ever_more_rarely(clock, store, monkeypatch):
    rig, port = Rig(clock, store, {"push": {"listen": "connection"}}), Port(clock, monkeypatch)
    port.fails = 6
    async with running(own_line.read_connection(rig.task, PushReceiver(rig.task).receive)):
        await asyncio.sleep(300)
        assert [later - sooner for sooner, later in pairwise(port.opened)] == [1, 5, 15, 60, 60, 60]
        assert rig.task.status.failures == 6
        await port.say(pushed(750))  # and closes it
        assert rig.publisher.retained["value/power_import"] == "750"
        await asyncio.sleep(10)
        assert len(port.opened) == 8


async def test_between_polls_the_line_itself_is_listened_to_but_for_a_pause(clock, store, monkeypatch):
    rig, port = Rig(clock, store, ON_LINE), Port(clock, monkeypatch)
    async with running(own_line.listen_between(PushReceiver(rig.task))):
        await port.say(pushed(750))
        assert rig.publisher.retained["value/power_import"] == "750"
        await rig.task.session.pause(600)
        before = len(port.opened)
        await asyncio.sleep(590)
        assert len(port.opened) == before
        await asyncio.sleep(20)
        assert len(port.opened) == before + 1
        await port.say(pushed(751))
        assert rig.publisher.retained["value/power_import"] == "751"


async def test_a_pause_that_is_said_while_it_waits_for_its_turn(clock, store, monkeypatch):
    rig, port = Rig(clock, store, ON_LINE), Port(clock, monkeypatch)
    session = rig.task.session
    async with session.line.turn("another", Priority.POLL, session.close):
        listening = asyncio.create_task(own_line.listen_between(PushReceiver(rig.task)))
        await asyncio.sleep(1)
        pausing = asyncio.create_task(session.pause(600))
        await asyncio.sleep(10)
    await pausing
    await asyncio.sleep(10)
    assert port.opened == []
    await end_all([listening])


async def test_a_line_that_cannot_be_opened_is_left_to_the_polls_to_tell(clock, store, monkeypatch):
    rig, port = Rig(clock, store, ON_LINE), Port(clock, monkeypatch)
    port.fails = 3
    async with running(own_line.listen_between(PushReceiver(rig.task))):
        await asyncio.sleep(60)
        assert port.opened == [0, 5, 10, 15]
    assert rig.task.status.failures == 0


async def test_an_association_that_ends_while_it_is_listened_to_is_opened_by_the_next_poll(clock, store, monkeypatch):
    rig, port = Rig(clock, store, ON_LINE | {"session": "keep", "every": "60s"}), Port(clock, monkeypatch)
    receiver = PushReceiver(rig.task)
    async with rig.run(), running(own_line.listen_between(receiver)):
        await asyncio.sleep(10)
        assert rig.task.session.client is not None and rig.connections == 1
        await rig.stack.aclose()
        await asyncio.sleep(1)
        assert rig.task.session.client is None
        await port.say(pushed(750))  # now the line itself is heard
        assert rig.publisher.retained["value/power_import"] == "750"
        await asyncio.sleep(60)
        assert rig.connections == 2 and len([row for row in rig.readings if row["key"] == "voltage_l1"]) == 2
    assert rig.task.status.failures == 0


async def test_the_port_of_a_meter_that_connects_by_itself_hands_over_what_comes(clock, store, monkeypatch):
    """Nothing is opened here, and a turn of the meter's is not kept waiting."""
    connection = {"bind": "tcp://127.0.0.1:4059", "client": 17}
    rig, port = Rig(clock, store, ON_LINE | {"connection": connection}), Port(clock, monkeypatch)
    async with running(own_line.listen_between(PushReceiver(rig.task))):
        await asyncio.sleep(10)
        async with asyncio.timeout(1), rig.task.session.line.turn("h", Priority.POLL, rig.task.session.close):
            pass
        assert port.opened == []


async def test_a_line_that_pours_out_gives_everybody_else_a_turn(clock):
    """What has come in one piece is looked at in slices, and most of the time is left to others."""
    here, there = memory_pair()
    turns, slices = 0, []

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    def take(_name, data, _whole):
        slices.append((data, turns))
        clock.elapsed += 0.02  # so long it takes to understand it

    async with here, there:
        octets = bytes(range(256)) * 64
        there.write(octets)
        busy = asyncio.create_task(other())
        before = clock.monotonic()
        await own_line.read_some(here, take)
        busy.cancel()
    assert b"".join(data for data, _ in slices) == octets
    assert len(slices) == 4 and all(later > sooner for (_, sooner), (_, later) in pairwise(slices))
    assert clock.monotonic() - before >= 4 * (0.02 + 0.06)
