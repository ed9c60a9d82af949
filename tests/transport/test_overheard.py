from __future__ import annotations

import asyncio

import pytest

from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.transport.base import Transport
from dlms_mqtt.transport.memory import memory_pair
from dlms_mqtt.transport.overheard import OverheardTransport


async def test_all_that_is_read_is_heard_first() -> None:
    near, far = memory_pair()
    heard: list[bytes] = []
    line = OverheardTransport(near, lambda name, data, whole: heard.append(data))
    assert (line.name, line.datagram, line.format, line.lag) == (near.name, near.datagram, near.format, near.lag)
    async with line, far:
        far.write(b"one")
        assert await line.read(20) == b"one" and heard == [b"one"]
        line.write(b"question")
        await line.drain()
        assert await far.read(20) == b"question"
        far.write(b"two")
        await asyncio.sleep(0)
        assert (line.at_once() or line.discard()) == b"two"
        with pytest.raises(ResponseTimeout):
            await line.read(0.01)
    assert heard == [b"one", b"two"], "nothing is heard where nothing came"


def test_nothing_of_a_transport_is_forgotten() -> None:
    """A method that another transport has of its own must be handed on."""
    own = {name for name in vars(Transport) if not name.startswith("_")} - {"datagram", "name"}
    assert own <= vars(OverheardTransport).keys()
