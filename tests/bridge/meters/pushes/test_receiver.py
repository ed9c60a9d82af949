"""What pushes leave behind: senders are bounded, and no message is taken twice, not after a kill either."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.pushes import rate
from dlms_mqtt.bridge.meters.pushes import receiver as module
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver, keys_of
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.protocol.security.gcm import protect
from dlms_mqtt.transport.incoming import Incoming
from tests.bridge.pushed import push_of
from tests.bridge.rig import Rig
from tests.bridge.telegrams import KAMSTRUP

KEY, AUTHENTICATION, TITLE = bytes(range(16)), bytes(range(0xD0, 0xE0)), b"KAM\x00\x00\x00\x00\x07"
PLAIN = bytes.fromhex("0f0000000100020209060100010800ff0600000001")


def ciphered(counter):
    body = protect(
        PLAIN,
        suite=0,
        security=Security.BOTH,
        key=KEY,
        authentication_key=AUTHENTICATION,
        system_title=TITLE,
        invocation_counter=counter,
    )
    apdu = bytes((0xDB, 8)) + TITLE + bytes((len(body),)) + body
    return bytes((0, 1, 0, 1, 0, 16)) + len(apdu).to_bytes(2, "big") + apdu


class Receiver(PushReceiver):
    """Counts what it takes instead of publishing it."""

    def __init__(self, store, **connection):
        keys = {"encryption_key": f"hex:{KEY.hex()}", "authentication_key": f"hex:{AUTHENTICATION.hex()}"}
        settings = parse_settings({"tcp": "memory", **keys, **connection})
        session = SimpleNamespace(settings=settings, scalers={})
        super().__init__(SimpleNamespace(id="m", config=Meter(), store=store, session=session))
        self.taken = 0

    def _publish(self, values):
        self.taken += 1


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        yield store


async def test_no_push_is_taken_again_after_a_kill(store):
    receiver = Receiver(store)
    seen = [ciphered(counter) for counter in range(1000, 1010)]
    for data in seen:
        receiver.receive("meter:1", data, True)
    assert receiver.taken == 10
    again = Receiver(store)  # the first one was killed: it closed nothing
    refused = [row for data in seen for row in again.receive("thief:1", data, True)]
    assert again.taken == 0 and len(refused) == 10
    assert {row.error.reason for row in refused} == {"counter"}


async def test_a_clean_end_costs_no_push(store):
    receiver = Receiver(store)
    for counter in range(1000, 1010):
        receiver.receive("meter:1", ciphered(counter), True)
    receiver.close()
    again = Receiver(store)
    again.receive("meter:1", ciphered(1010), True)
    assert again.taken == 1


async def test_the_disk_is_written_about_once_a_minute(clock, store, monkeypatch):
    written = []
    real = store.set
    monkeypatch.setattr(store, "set", lambda *facts: (written.append(facts), real(*facts)))
    receiver = Receiver(store)
    for counter in range(360):
        receiver.receive("meter:1", ciphered(counter), True)
        assert all(
            taken <= mark
            for taken, mark in zip(
                receiver._counters.keep().values(), store.get(PEER_COUNTERS, "m").values(), strict=True
            )
        )
        await asyncio.sleep(10)
    assert receiver.taken == 360 and len(written) <= 100
    assert max(store.get(PEER_COUNTERS, "m").values()) <= 359 + 12  # two minutes of pushes at most are lost by a kill


@pytest.mark.parametrize("kept", [{"a": 1}, {"a/b/c": 1}, {"aa/00/1": "x"}, [1], "x", 5])
async def test_counters_of_another_shape_cost_only_themselves(store, kept):
    store.set(PEER_COUNTERS, "m", kept)
    receiver = Receiver(store)
    receiver.receive("meter:1", ciphered(5), True)
    assert receiver.taken == 1


async def test_senders_of_datagrams_leave_nothing_behind(store):
    receiver = Receiver(store)
    for number in range(2000):
        receiver.receive(f"127.0.0.1:{number}", ciphered(number), True)
    assert receiver.taken == 2000 and len(receiver._readers) == 0
    for number in range(2000):
        receiver.receive(f"127.0.0.1:{number}", ciphered(5000)[:20], False)
    assert len(receiver._readers) <= module._MOST_READERS


NEVER = {"connection": {}, "push": {"listen": "tcp://127.0.0.1:0"}}
TITLED = {"connection": {"encryption_key": f"hex:{KEY.hex()}", "authentication_key": f"hex:{AUTHENTICATION.hex()}"}}
ENCRYPTED = {"encryption_key": f"hex:{KEY.hex()}", "security": "encryption"}
CODE = Obis.parse("1.0.1.8.0.255")


def receiver_of(clock, store, config=None, match=None, **more):
    """Of a meter that publishes what it is given."""
    push = NEVER["push"] | ({"match": match} if match else {})
    rig = Rig(clock, store, NEVER | (config or {}) | {"push": push})
    return rig, PushReceiver(rig.task, **more)


def values(rig):
    return {row["key"]: (row["value"], row["unit"], row["quality"]) for row in rig.readings}


async def test_a_push_ends_in_the_topics_of_a_poll(clock, store):
    rig, receiver = receiver_of(clock, store)
    assert receiver.receive("10.0.0.5:1", push_of(750), False) == []
    assert values(rig) == {
        "power_import": (750, "W", "good"),
        "energy_import": (123.456, "kWh", "good"),
        "power": (750, "W", "good"),
    }
    assert rig.publisher.retained["availability"] == "online"


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"host": "10.0.0.5"}, True),
        ({"host": "10.0.0.6"}, False),
        ({"device": "6841131BN243101040"}, True),
        ({"device": "5706567202753025"}, True),
        ({"device": "KAM0000000000001"}, False),
        ({"system_title": "4B414D0000000007"}, False),  # it tells none
    ],
)
async def test_whose_push_it_is(clock, store, match, taken):
    rig, receiver = receiver_of(clock, store, match=match)
    receiver.receive("10.0.0.5:1", KAMSTRUP, False)
    assert (rig.publisher.retained.get("value/power_import") == "1225") is taken


@pytest.mark.parametrize(("title", "taken"), [("4b414d0000000007", True), ("4B414D0000000008", False)])
async def test_a_ciphered_push_is_known_by_its_title(clock, store, title, taken):
    rig, receiver = receiver_of(clock, store, TITLED, {"system_title": title})
    assert receiver.receive("10.0.0.5:1", ciphered(1000), True) == []
    assert rig.publisher.retained.get("value/energy_import") == ("1" if taken else None)


@pytest.mark.parametrize(("polled", "value"), [(None, "0.01"), (ScalerUnit(2, 30), "0.1")])
async def test_a_value_without_scaler_has_the_polls_else_the_presets(clock, store, polled, value):
    rig, receiver = receiver_of(clock, store, TITLED, scalers={CODE: ScalerUnit(1, 30)})
    if polled:
        rig.task.session.scalers[AttributeDescriptor(3, CODE, 2)] = polled
    receiver.receive("10.0.0.5:1", ciphered(1000), True)
    assert rig.publisher.retained["value/energy_import"] == value


async def test_what_is_planned_too_has_the_plans_item(clock, store):
    """A push and a poll end in one entity, under the user's key."""
    also = [{"obis": "1.0.1.7.0.255", "class": 3, "key": "from_grid"}]
    config = {"connection": {"tcp": "memory", "client": 17}, "read": {"set": "none", "also": also}}
    rig = Rig(clock, store, config)
    receiver = PushReceiver(rig.task)
    async with rig.run():
        await asyncio.sleep(5)
        receiver.receive("10.0.0.5:1", push_of(750), False)
    assert rig.publisher.retained["value/from_grid"] == "750" and "value/power_import" not in rig.publisher.retained


EVENTS = [
    (DataNotification(1, None, encode(Data(DataType.ARRAY, ()))), {}),
    (EventNotification(None, AttributeDescriptor(1, Obis.parse("0.0.97.98.0.255"), 2), b"\x11\x05"), "0.0.97.98.0.255"),
]


@pytest.mark.parametrize(("notification", "obis"), EVENTS, ids=["empty", "event"])
async def test_a_push_without_values_is_an_event(clock, store, notification, obis):
    rig, receiver = receiver_of(clock, store)
    receiver.take(notification)
    (event,) = [message for topic, message in rig.publisher.messages if topic == "event"]
    assert event["event_type"] == "notification" and event.get("obis", {}) == obis


async def test_what_cannot_be_understood_is_passed_over(clock, store, caplog):
    caplog.set_level("INFO")
    rig, receiver = receiver_of(clock, store)
    receiver.take(DataNotification(1, None, b"\x01\x05"))
    assert "h: a push could not be understood" in caplog.text
    receiver.receive("10.0.0.5:1", push_of(750), False)
    assert values(rig)["power_import"][0] == 750


async def test_what_is_heard_twice_is_told_once(clock, store):
    """By whoever asks the meter, and by whoever listens to its line."""
    rig, receiver = receiver_of(clock, store)
    receiver.overhear()
    octets = push_of(750)
    receiver.receive("line", octets, False)
    receiver.take(decode_apdu(octets[8:]))
    assert len(rig.readings) == 3
    receiver.take(decode_apdu(octets[8:]))
    assert len(rig.readings) == 6  # the meter has said it again


TOLD = pytest.param(False, marks=pytest.mark.expect_log("damaged frames arrive, and no valid one"))


@pytest.mark.parametrize("asked", [TOLD, True])
async def test_a_line_of_damage_alone_is_told(clock, store, asked):
    """Not where the meter is asked too: a poll meets it as well, and tells."""
    rig, receiver = receiver_of(clock, store)
    if asked:
        receiver.overhear()
    for _ in range(10):
        receiver.receive("line", KAMSTRUP[:50] + b"x" + KAMSTRUP[51:], False)
        receiver.tick()
        await asyncio.sleep(2)
    assert (rig.task.status.failures > 0) is not asked
    assert ("damaged frames" in str(rig.task.status.error)) is not asked


async def test_a_message_that_is_not_completed_costs_not_the_next_one(clock, store):
    rig, receiver = receiver_of(clock, store)
    receiver.receive("10.0.0.5:1", push_of(750)[:30], False)
    await asyncio.sleep(300)
    receiver.tick()
    receiver.receive("10.0.0.5:1", push_of(751), False)
    assert values(rig)["power_import"][0] == 751


class Call:
    def __init__(self, origin):
        self.origin = origin

    def write(self, data):
        raise AssertionError("nobody asks")


CALLS = [  # match, origin; is it asked at once, after its push?
    ({}, "10.0.0.5:1", True, True),
    ({"host": "10.0.0.5"}, "10.0.0.5:1", True, True),
    ({"host": "fd00::5"}, "[fd00::5]:1", True, True),
    ({"host": "10.0.0.6"}, "10.0.0.5:1", False, False),
    ({"device": "6841131BN243101040"}, "10.0.0.5:1", False, True),
    ({"device": "another"}, "10.0.0.5:1", False, False),
]


@pytest.mark.parametrize(("match", "origin", "at_once", "then"), CALLS)
async def test_a_meter_that_connects_is_asked_once_it_is_known(clock, store, match, origin, at_once, then):
    incoming = Incoming()
    _, receiver = receiver_of(clock, store, match=match, incoming=incoming)
    call = Call(origin)
    assert receiver.take_call(call) is at_once
    receiver.receive(origin, KAMSTRUP, False)
    receiver.recognise(call)
    assert (incoming.call is call) is then
    receiver.recognise(Call("10.0.0.9:1"))
    assert (incoming.call is call) is then
    receiver.forget(origin)
    assert incoming.call is None


async def test_nobody_asks_on_connections_where_that_is_not_wanted(clock, store):
    _, receiver = receiver_of(clock, store)
    assert not receiver.take_call(Call("10.0.0.5:1"))


@pytest.mark.parametrize(
    ("connection", "authentication"),
    [
        ({}, None),
        (TITLED["connection"], AUTHENTICATION),
        ({"encryption_key": f"hex:{KEY.hex()}", "security": "encryption"}, None),
    ],
)
def test_the_keys_of_a_meter(connection, authentication):
    keys = keys_of(parse_settings({"tcp": "memory", **connection}))
    assert (keys is None) is not connection
    assert not connection or keys.encryption == KEY
    assert not authentication or keys.authentication == authentication


@pytest.mark.expect_log("more than 50 pushes come each second; the rest is left out")
async def test_what_pours_out_is_taken_by_and_by(clock, store, caplog, monkeypatch):
    """All that a meter has kept is taken; of a flood a few each second, so that the values of others need not wait."""
    monkeypatch.setattr(rate, "AT_ONCE", 200)
    rig, receiver = receiver_of(clock, store)

    def pour(pushes):
        before = len(rig.readings)
        for power in range(pushes):
            receiver.receive("10.0.0.5:1", push_of(power), False)
        return sum(row["key"] == "power_import" for row in rig.readings[before:])

    assert pour(200) == 200 and "flood" not in rig.task.status.reasons
    assert pour(100) == 0 and "flood" in rig.task.status.reasons
    await asyncio.sleep(1)
    assert pour(100) == 50 and "flood" in rig.task.status.reasons
    await asyncio.sleep(5)
    assert pour(1) == 1 and "flood" not in rig.task.status.reasons
    assert len([line for line in caplog.messages if "pushes come each second" in line]) == 1
