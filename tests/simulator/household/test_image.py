"""Image transfer in all steps with our client: broken off and resumed, busy, refused, activated."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.image import ImageTransfer
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConnectionLost, DlmsMqttError
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.simulator import Faults, named, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.household.image import Image, Status, image_object
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.simulator.asker import Asker
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


IMAGE = "0.0.44.0.0.255"


def pair(*parts: Data) -> Data:
    return Data(DataType.STRUCTURE, parts)


def block(number: int, octets: bytes) -> Data:
    return pair(named("double-long-unsigned", number), named("octet-string", octets))


def initiated(asker: Asker, size: int = 300, name: bytes = b"NEW") -> Asker:
    wanted = pair(named("octet-string", name), named("double-long-unsigned", size))
    assert asker.run(18, IMAGE, 1, wanted) == 0
    return asker


def state(asker: Asker, attribute: int = 6) -> Any:
    return value_of(asker.meter, 18, IMAGE, attribute)


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (pair(named("octet-string", b"NEW")), 12),
        (pair(named("double-long-unsigned", 1), named("double-long-unsigned", 1)), 12),
        (pair(named("octet-string", b"NEW"), named("octet-string", b"1")), 12),
        (pair(named("octet-string", b"NEW"), named("double-long-unsigned", 0)), 250),
        (pair(named("octet-string", b"NEW"), named("double-long-unsigned", (4 << 20) + 1)), 250),
    ],
)
def test_an_image_that_cannot_be_begun(asker: Asker, argument: Data, result: int) -> None:
    assert asker.run(18, IMAGE, 1, argument) == result
    assert state(asker) == Status.NOT_INITIATED


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (pair(named("double-long-unsigned", 0)), 12),
        (pair(named("octet-string", b"0"), named("octet-string", bytes(128))), 12),
        (pair(named("double-long-unsigned", 0), named("unsigned", 1)), 12),
        (block(3, bytes(128)), 250),
        (pair(named("double-long", -1), named("octet-string", bytes(128))), 250),
        (block(0, bytes(127)), 250),
        (block(2, bytes(128)), 250),
        (block(2, bytes(300 - 2 * 128)), 0),
    ],
)
def test_blocks_that_do_not_fit_and_one_that_does(asker: Asker, argument: Data, result: int) -> None:
    assert initiated(asker).run(18, IMAGE, 2, argument) == result
    assert state(asker, 3) == ("001" if result == 0 else "000")


def test_the_first_block_that_is_missing(asker: Asker) -> None:
    initiated(asker)
    assert state(asker, 4) == 0
    for number in (2, 0):
        assert asker.run(18, IMAGE, 2, block(number, bytes(128)[: 300 - number * 128])) == 0
    assert state(asker, 4) == 1
    assert asker.run(18, IMAGE, 3) == 250  # not whole: nothing to verify
    assert state(asker) == Status.INITIATED
    assert asker.run(18, IMAGE, 2, block(1, bytes(128))) == 0
    assert state(asker, 4) == 3


def test_a_switch_forbids_images(asker: Asker) -> None:
    assert asker.write(18, IMAGE, 5, named("boolean", False)) == 0
    assert state(asker, 5) is False
    wanted = pair(named("octet-string", b"NEW"), named("double-long-unsigned", 1))
    assert asker.run(18, IMAGE, 1, wanted) == 250
    assert asker.run(18, IMAGE, 2, block(0, b"x")) == 250


def test_nothing_is_activated_before_it_is_verified(asker: Asker) -> None:
    assert asker.run(18, IMAGE, 4) == 250
    initiated(asker, 1)
    assert asker.run(18, IMAGE, 2, block(0, b"x")) == 0
    assert asker.run(18, IMAGE, 4) == 250
    assert state(asker, 7) == ()
    assert asker.run(18, IMAGE, 3) == 0
    (waiting,) = state(asker, 7)
    assert [part.value for part in waiting.value] == [1, b"NEW", b""]
    assert asker.run(18, IMAGE, 2, block(0, b"y")) == 250  # verified: no more blocks
    assert asker.run(18, IMAGE, 4) == 0
    assert value_of(asker.meter, 1, FIRMWARE_OBIS) == b"NEW"


def test_the_verification_ends_by_itself(asker: Asker) -> None:
    asker.meter.add(image_object(Image(asker.meter, busy=7.0)))
    initiated(asker, 1)
    assert asker.run(18, IMAGE, 2, block(0, b"x")) == 0
    assert asker.run(18, IMAGE, 3) == ActionResult.TEMPORARY_FAILURE
    assert state(asker) == Status.VERIFICATION_INITIATED
    asker.meter.clock.step(7)  # type: ignore[attr-defined]
    assert state(asker) == Status.VERIFICATION_SUCCESSFUL
    assert asker.run(18, IMAGE, 3) == 0
