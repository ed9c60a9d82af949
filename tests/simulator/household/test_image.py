"""Image transfer in all steps with our client: broken off and resumed, busy, refused, activated."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.image import ImageTransfer
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, DlmsMqttError
from dlms_mqtt.simulator import Faults, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.household.image import Image, Status, image_object
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.simulator.reference import value_of

FIRMWARE = bytes(range(251)) * 5
FIRMWARE_OBIS = "1.0.0.2.0.255"


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_all_steps(clock: FakeClock, framing: str) -> None:
    meter = household(clock=clock)
    image = Image(meter, block_size=100, busy=7.0)
    meter.add(image_object(image))
    near, far = memory_pair()
    settings = ConnectionSettings(framing=framing, client=17)
    async with serve_memory(meter, far, framing), DlmsClient(settings, transport=near) as client:
        report = await ImageTransfer(client, FIRMWARE, b"DMQ-SIM 2.0").run(activate=True)
    assert image.content == FIRMWARE
    assert report.blocks == 13
    assert image.status is Status.ACTIVATION_SUCCESSFUL
    assert value_of(meter, 1, FIRMWARE_OBIS) == b"DMQ-SIM 2.0"


async def test_it_is_resumed_where_the_connection_broke(clock: FakeClock) -> None:
    meter = household(clock=clock)
    image = Image(meter, block_size=100)
    meter.add(image_object(image))
    settings = ConnectionSettings(framing="wrapper", client=17)
    near, far = memory_pair()
    async with (
        serve_memory(meter, far, "wrapper", faults=Faults(["drop,after=12"])),
        DlmsClient(settings, transport=near) as client,
    ):
        with pytest.raises(ConnectionLost):
            await ImageTransfer(client, FIRMWARE, b"DMQ-SIM 2.0").run()
    already = len(image.blocks)
    assert 0 < already < 13
    near, far = memory_pair()
    async with serve_memory(meter, far, "wrapper"), DlmsClient(settings, transport=near) as client:
        report = await ImageTransfer(client, FIRMWARE, b"DMQ-SIM 2.0").run(begun=True)
    assert image.content == FIRMWARE
    assert report.resumed == already


async def test_a_bad_image_fails_its_verification(clock: FakeClock) -> None:
    meter = household(clock=clock)
    near, far = memory_pair()
    settings = ConnectionSettings(framing="wrapper", client=17)
    async with serve_memory(meter, far, "wrapper"), DlmsClient(settings, transport=near) as client:
        with pytest.raises(DlmsMqttError):
            await ImageTransfer(client, FIRMWARE, b"BAD").run(activate=True)
    assert value_of(meter, 1, FIRMWARE_OBIS) == b"DMQ-SIM 1.4.2"
