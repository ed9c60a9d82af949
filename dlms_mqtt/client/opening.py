"""Opening the line: power for the head, wake-up, and the sign-on of IEC 62056-21 where the meter wants one."""

from __future__ import annotations

import asyncio
import logging

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.transport import Transport

log = logging.getLogger("dlms_mqtt.client")

DIRECT_BAUD = 9600


async def open_line(transport: Transport, settings: ConnectionSettings) -> bool:
    """Open the transport and bring the line to where HDLC or the wrapper can begin. TransportError.

    True where a sign-on was answered: then there is a meter at the other end.
    """
    await transport.open()
    await transport.lines(settings.dtr, settings.rts)
    if settings.opening_delay:
        await asyncio.sleep(settings.opening_delay)
    if settings.opening == "direct":
        await _direct(transport, settings)
        return False
    from dlms_mqtt.client.sign_on import sign_on

    try:
        await sign_on(transport, settings)
    except ResponseTimeout as error:
        if settings.opening != "auto":
            raise
        log.debug("%s: no answer to the sign-on (%s); trying without one", transport.name, error)
        await _direct(transport, settings)
        return False
    return True


async def _direct(transport: Transport, settings: ConnectionSettings) -> None:
    parity = settings.parity or "none"
    await transport.configure(baud=settings.baud or DIRECT_BAUD, data_bits=8, parity=parity)
    if settings.wake_up:
        transport.write(settings.wake_up)
        await transport.drain()
    transport.discard()
