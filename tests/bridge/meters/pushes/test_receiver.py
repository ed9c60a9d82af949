"""What pushes leave behind: senders are bounded, and no message is taken twice, not after a kill either."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.pushes import receiver as module
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.protocol.security.gcm import protect

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
    import asyncio

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
