"""Opening the line: power for the head, wake-up, and the sign-on of IEC 62056-21 where the meter wants one."""

from __future__ import annotations

import asyncio
import logging

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.transport import Transport

log = logging.getLogger("dlms_mqtt.client")

STEP = 15  # a level of the log between DEBUG and INFO: the steps of a session, for people at a terminal (-v)
DIRECT_BAUD = 9600
CLEAR_TEXT = "clear-text"  # why a sign-on failed: the meter reads out instead of changing to HDLC
_WAKING = 1.6  # s between a break and the first octet: IEC 62056-21 leaves 1.5 to 1.7 after a wake-up


async def open_line(transport: Transport, settings: ConnectionSettings) -> Identification | None:
    """Open the transport and bring the line to where HDLC or the wrapper can begin. TransportError.

    What the meter said it is where a sign-on was answered: then there is one at the other end. SignOnFailed where it
    answers with clear text, which ``opening: auto`` leaves to the caller.
    """
    await transport.open()
    log.log(STEP, "%s: open", transport.name)
    await make_ready(transport, settings)
    if settings.opening == "direct":
        await _direct(transport, settings)
        return None
    from dlms_mqtt.client.line.sign_on import sign_on

    try:
        signed_on = await sign_on(transport, settings)
    except ResponseTimeout as error:
        if settings.opening != "auto" or error.reason == CLEAR_TEXT:
            raise
        log.debug("%s: no answer to the sign-on (%s); trying without one", transport.name, error)
        await _direct(transport, settings)
        return None
    log.log(STEP, "%s: signed on, %s", transport.name, transport.format or "at the converter's speed")
    return signed_on


async def make_ready(transport: Transport, settings: ConnectionSettings) -> None:
    """Give the head its power and time to start, and wake a meter that waits for a break. TransportError."""
    await transport.lines(settings.dtr, settings.rts)
    if settings.opening_delay:
        await asyncio.sleep(settings.opening_delay)
    await wake_by_break(transport, settings)


async def wake_by_break(transport: Transport, settings: ConnectionSettings) -> None:
    """Hold the line in the break state and give the meter time to wake, where that is wanted. TransportError."""
    if settings.wake_up_break:
        await transport.send_break(settings.wake_up_break)
        await asyncio.sleep(_WAKING)


async def _direct(transport: Transport, settings: ConnectionSettings) -> None:
    parity = settings.parity or "none"
    await transport.configure(baud=settings.baud or DIRECT_BAUD, data_bits=8, parity=parity)
    if settings.wake_up:
        transport.write(settings.wake_up)
        await transport.drain()
    transport.discard()
