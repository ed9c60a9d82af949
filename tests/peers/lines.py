"""Lines to a meter of pydlms-client: memory, TCP, and serial lines that take their time, with a sign-on in front."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydlms.simulator import HdlcServer, MeterSimulator

from dlms_mqtt.protocol.framing.mode_e import SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.transport.base import Transport
from tests.line import sign_on_as_meter

ISKRA = Identification("ISK", "5", ("2",), "ME371-2105")


class _Socket:
    """What pydlms's HDLC server sends through."""

    def __init__(self, end: Transport) -> None:
        self.sendall = end.write


async def hdlc_meter(end: Transport, sim: MeterSimulator, *, sign_on: bool = False, **options: Any) -> None:
    """Answer on a meter's end of a line until cancelled; with ``sign_on`` once that is done."""
    if sign_on:
        await sign_on_as_meter(end, SignOnServer(ISKRA))
    server = HdlcServer(sim, _Socket(end), **options)
    while True:
        server.feed(await end.read(None))


@asynccontextmanager
async def answering(end: Transport, sim: MeterSimulator, **options: Any) -> AsyncIterator[None]:
    """The meter answers meanwhile."""
    task = asyncio.create_task(hdlc_meter(end, sim, **options))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
