"""A meter's own line is listened to: all the time where the meter only speaks, else while nobody asks."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from dlms_mqtt.bridge.meters.association import Session
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.pushes.receiver import PushReceiver
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.errors import DlmsMqttError, ResponseTimeout
from dlms_mqtt.transport import Transport, transport_for
from dlms_mqtt.transport.listen import OnData

_SLICE = 4096  # octets that are looked at before others have their turn
_REST = 3.0  # times as long as that has taken
_TICK = 1.0  # s between looks at messages that will not be completed
_AGAIN = (1.0, 5.0, 15.0, 60.0)  # s after a line that went away


async def read_connection(meter: MeterTask, take: OnData) -> None:
    """Listen on the meter's own line, for ever (``listen: connection``); ``take`` gets what arrives."""
    failures = 0
    while True:
        try:
            async with transport_for(meter.session.settings) as transport:
                failures = 0
                while True:
                    await read_some(transport, take)
        except DlmsMqttError as error:
            meter.failed(error)
            await asyncio.sleep(_AGAIN[min(failures, len(_AGAIN) - 1)])
            failures += 1


async def read_some(transport: Transport, take: OnData) -> None:
    """What comes within a moment, in slices; a line that pours out leaves most of the time to everybody else."""
    try:
        data = await transport.read(_TICK)
    except ResponseTimeout:
        return
    clock = asyncio.get_running_loop()
    size = len(data) if transport.datagram else _SLICE
    for start in range(0, len(data), size):
        began = clock.time()
        take(transport.name, data[start : start + size], transport.datagram)
        await asyncio.sleep(_REST * (clock.time() - began))


async def listen_between(receiver: PushReceiver) -> None:
    """The same where the meter is asked too: whenever nobody wants the line, with an association open or none."""
    session = receiver.meter.session
    while True:
        if session.pause_left:
            await asyncio.sleep(min(session.pause_left, _TICK))
            continue
        try:
            await session.line.spare(session.meter, session.close, lambda: _hear(receiver, session))
        except DlmsMqttError:  # which a poll meets too, and tells
            await asyncio.sleep(_AGAIN[1])


async def _hear(receiver: PushReceiver, session: Session) -> None:
    if session.pause_left:  # said while this waited for its turn
        return
    if session.client is not None:
        await _hear_client(receiver, session, session.client)
    elif session.settings.bind:
        await asyncio.Event().wait()  # the port hands over what comes; a turn of the meter's ends this
    else:
        async with transport_for(session.settings) as transport:
            while True:
                await read_some(transport, receiver.receive)
                receiver.tick()


async def _hear_client(receiver: PushReceiver, session: Session, client: DlmsClient) -> None:
    """What is read, the client's transport hands to the receiver."""
    try:
        while True:
            with suppress(ResponseTimeout):
                await client.overhear(_TICK)
            receiver.tick()
    except DlmsMqttError:
        await session.close()
