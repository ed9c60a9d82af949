"""A session that is written down: it fails, breaks off or expects another meter, and names nobody all the same."""

from __future__ import annotations

import pytest
import yaml

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.meter.dumped import SALT, SESSIONS, dumped


async def test_a_session_that_breaks_off_tells_no_number(clock: FakeClock) -> None:
    """The meter falls silent in the middle: what it had said of itself is replaced all the same."""
    meter = household(7, clock=clock)
    near, far = memory_pair()
    answers = 0

    def falls_silent(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal answers
        answers += 1
        return [(0.0, data)] if answers < 6 else []

    far.fault = falls_silent
    settings = ConnectionSettings(serial="x", client=17, retries=0, timeout=1)
    async with serve_memory(meter, far, "hdlc"):
        document = await dump_session(settings, transport=near, salt=SALT, objects=30)
    assert "error" in document["facts"]
    text = yaml.safe_dump(document)
    stream = b"".join(bytes.fromhex(octets)[11:-3] for _, way, octets in document["frames"] if way == "<")
    for value in (meter.name.encode(), meter.name[-8:].encode(), meter.title):
        assert value.hex() not in text
        assert value not in stream
    assert meter.name[:3].encode() in stream


async def test_a_session_that_fails_leaves_a_capture(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, client=32, authentication="low", password=Secret(b"wrong"))
    assert "refused" in document["facts"]["error"]
    assert document["frames"]
    assert b"wrong".hex() not in str(document)


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
async def test_the_title_that_was_expected_of_the_meter_is_replaced_too(clock: FakeClock, right: bool) -> None:
    title = household(7, clock=clock).title if right else b"XYZ\x12\x34\x56\x78\x9a"
    document, meter = await dumped("hdlc", clock, meter_system_title=title, **SESSIONS["ciphered"])
    assert ("error" in document["facts"]) is not right
    written = yaml.safe_dump(document)
    assert not [text for text in (title, meter.title) if text.hex() in written], document["facts"]
