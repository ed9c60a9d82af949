"""A transport that writes down what goes through it, and changes nothing."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from dlms_mqtt.client.capture.recorder import Recorder
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.transport.memory import memory_pair


async def test_what_goes_through_is_written_down() -> None:
    near, far = memory_pair()
    times = itertools.count(100.0, 0.5)
    line = Recorder(near, lambda: next(times))
    await line.open()
    await far.open()
    line.write(b"ask")
    far.write(b"answer")
    await line.drain()
    assert await line.read(60) == b"answer"
    far.write(b"late")
    thrown = b""
    while not thrown:
        await asyncio.sleep(0)
        thrown = line.discard()
    assert thrown == b"late" and line.discard() == b""
    assert line.log == [(0.5, ">", b"ask"), (1.0, "<", b"answer"), (1.5, "<", b"late")]
    await line.configure(baud=300, data_bits=7, parity="even")
    assert line.format == near.format and line.name == near.name and line.datagram is near.datagram
    with pytest.raises(ResponseTimeout):
        await line.read(0)
    assert len(line.log) == 3
    await line.close()
    await far.close()
