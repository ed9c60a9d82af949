"""The process: what the loop complains of again and again is told once."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from dlms_mqtt.bridge.run import TellOnce

FULL = {
    "message": "socket.accept() out of system resource",
    "exception": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
}


@pytest.mark.expect_log("no connection can be accepted now: [Errno 24]")
async def test_that_nothing_can_be_accepted_is_told_once_a_minute(clock, caplog):
    tell, loop = TellOnce(), asyncio.get_running_loop()
    for _ in range(59):
        tell(loop, FULL)
        await asyncio.sleep(1)
    assert len(caplog.records) == 1
    await asyncio.sleep(1)
    tell(loop, FULL)
    assert len(caplog.records) == 2


@pytest.mark.expect_log("something else")
async def test_everything_else_is_told_as_ever(clock, caplog):
    for _ in range(2):
        TellOnce()(asyncio.get_running_loop(), {"message": "something else"})
    assert len(caplog.records) == 2
