"""Programming mode of IEC 62056-21 (mode C): a password where one is given, then tables are read, never written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dlms_mqtt.client.line.opening import make_ready
from dlms_mqtt.client.line.readout import read_block
from dlms_mqtt.client.line.sign_on import sign_on_for
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, AuthenticationRefused
from dlms_mqtt.protocol.framing.data_block import DataBlock
from dlms_mqtt.protocol.framing.mode_e import Goal
from dlms_mqtt.protocol.framing.seven_bit import add_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import ACK, BREAK, ETX, SOH, STX, block_check
from dlms_mqtt.transport.base import Transport

_MOST_BLOCKS = 4096
_REACTION = 0.2  # s that a meter leaves us, and we leave it
_NO_DATA = ("(ERROR", "ERROR", "(ER", "ER")


async def read_table(
    transport: Transport, settings: ConnectionSettings, request: str, before_secret: Callable[[], None] | None
) -> str:
    """Sign on, read one table (``P.01(from;to)``) and leave. TransportError, FramingError.

    AuthenticationRefused for the password; AccessRefused where the meter has no such table. ``before_secret`` is called
    before the password is sent.
    """
    await transport.open()
    await make_ready(transport, settings)
    async with asyncio.timeout(settings.exchange_timeout):
        done = await sign_on_for(Goal.PROGRAMMING, transport, settings)
        await read_block(transport, settings, done.rest)  # P0: the meter asks for the password
        line = _Line(transport, settings)
        if settings.password is not None:
            if before_secret is not None:
                before_secret()
            await line.prove(bytes(settings.password))
        try:
            return await line.table(request)
        finally:
            await line.send(BREAK)


class _Line:
    def __init__(self, transport: Transport, settings: ConnectionSettings) -> None:
        self._transport, self._settings = transport, settings

    async def send(self, data: bytes) -> None:
        await asyncio.sleep(_REACTION)
        self._transport.discard()
        self._transport.write(add_parity(data) if self._settings.parity == "none" else data)
        await self._transport.drain()

    async def command(self, name: bytes, content: bytes) -> None:
        body = name + STX + content + ETX
        await self.send(SOH + body + block_check(body))

    async def prove(self, password: bytes) -> None:
        """Send the password, once. AuthenticationRefused for any answer but an acknowledgement."""
        await self.command(b"P1", b"(" + password + b")")
        answer = strip_parity(await self._transport.read(self._settings.timeout))
        if ACK not in answer:
            raise AuthenticationRefused(
                "the meter did not accept the password of its programming mode",
                hint="It is not tried again by itself: meters lock.",
            )

    async def table(self, request: str) -> str:
        """What a table holds; long ones come in several blocks."""
        await self.command(b"R5", request.encode("ascii"))
        text = ""
        for _ in range(_MOST_BLOCKS):
            block: DataBlock = await read_block(self._transport, self._settings)
            text += block.text
            if not block.more:
                break
            await self.send(ACK)
        if not text or text.startswith(_NO_DATA):
            raise AccessRefused(
                f"the meter has no {request}: {text.strip()[:40] or 'an empty answer'}",
                code=4,
                name="object-undefined",
                target=request,
                hint="It may want another password, or keep no such table.",
            )
        return text
