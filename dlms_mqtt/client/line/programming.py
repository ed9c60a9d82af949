"""Programming mode of IEC 62056-21 (mode C): a password where one is given, then registers and tables are read.

Nothing is ever written there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from dlms_mqtt.client.line.opening import STEP, make_ready
from dlms_mqtt.client.line.readout import SPEED_HINT, Broken, read_block
from dlms_mqtt.client.line.sign_on import sign_on_for
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, AuthenticationRefused, FramingError, ResponseTimeout, TransportError
from dlms_mqtt.protocol.apdu.results import DataAccessResult, code_text
from dlms_mqtt.protocol.framing.data_block import Check, DataBlock
from dlms_mqtt.protocol.framing.echo import EchoFilter
from dlms_mqtt.protocol.framing.mode_e import Goal
from dlms_mqtt.protocol.framing.programming import NAK, Command
from dlms_mqtt.protocol.framing.seven_bit import add_parity, strip_parity
from dlms_mqtt.protocol.framing.sign_on import ACK, BREAK, block_check
from dlms_mqtt.transport.base import Transport

log = logging.getLogger("dlms_mqtt.client")

REGISTER, TABLE = ("R1", "R5"), ("R5", "R6")
"""Commands by which a register and a table are read: makers know one or the other."""

_MOST_BLOCKS = 4096
_REPEATS = 2  # of a message that was damaged on its way, either way
_REACTION = 0.2  # s that a meter leaves us, and we leave it
_NO_DATA = ("(ERROR", "ERROR", "(ER", "ER")
_ENDED = "B0"
_NO_MODE = "the meter has no programming mode"
_PASSWORD_HINT = "It may want a password (another one), or keep no such value."  # noqa: S105
_ENDED_HINT = "It left its programming mode: it may want a password, or know no such command."


async def read_sets(
    transport: Transport,
    settings: ConnectionSettings,
    requests: Sequence[str],
    commands: Sequence[str],
    before_secret: Callable[[], None] | None,
) -> list[str | AccessRefused]:
    """Sign on, read data sets (``1.8.0()``, ``P.01(from;to)``) and leave. TransportError, FramingError.

    An answer for each, in order. AuthenticationRefused for the password; AccessRefused where there is no programming
    mode. ``before_secret`` is called before the password is sent.
    """
    await transport.open()
    await make_ready(transport, settings)
    try:
        async with asyncio.timeout(settings.exchange_timeout):
            done = await sign_on_for(Goal.PROGRAMMING, transport, settings)
            return await _converse(_Line(transport, settings), done.rest, requests, commands, before_secret)
    except TimeoutError:
        raise Broken(f"programming mode takes longer than {settings.exchange_timeout:g} s", hint=SPEED_HINT) from None


async def _converse(
    line: _Line,
    received: bytes,
    requests: Sequence[str],
    commands: Sequence[str],
    before_secret: Callable[[], None] | None,
) -> list[str | AccessRefused]:
    await line.introduced(received)
    try:
        if line.settings.password is not None:
            if before_secret is not None:
                before_secret()
            await line.prove(bytes(line.settings.password))
        log.log(STEP, "%s: programming mode, %s", line.name, ", ".join(requests))
        return [await line.answer(request, commands) for request in requests]
    finally:
        await line.leave()


class _Line:
    """One conversation in programming mode."""

    def __init__(self, transport: Transport, settings: ConnectionSettings) -> None:
        self.settings, self.name = settings, transport.name
        self._transport = transport
        self._echo = EchoFilter()
        self._known = ""  # the command that this meter has answered
        self._over = False
        self._check: Check = block_check

    def _command(self, name: str, content: bytes) -> bytes:
        return Command(name, content).encode(self._check)

    async def read(self, timeout: float | None) -> bytes:
        """What the meter says; a head may reflect what we say. TransportError."""
        try:
            while not (data := self._echo.strip(await self._transport.read(timeout))):
                pass
        except ResponseTimeout:
            if held := self._echo.flush():
                return held
            raise
        return data

    async def _send(self, data: bytes) -> None:
        await asyncio.sleep(_REACTION)
        self._transport.discard()
        octets = add_parity(data) if self.settings.parity == "none" else data
        if self.settings.echo != "no":
            self._echo.sent(octets)
        self._transport.write(octets)
        await self._transport.drain()

    async def introduced(self, received: bytes) -> None:
        """The meter asks for the password (P0). AccessRefused where it breaks off instead, or says nothing."""
        try:
            block = await read_block(self, self.settings, received)
        except ResponseTimeout:
            block = None
        if block is None or block.text.startswith(_ENDED):
            raise _refused(_NO_MODE, "", "Only what stands in its readout can be read.")
        self._check = block.check

    async def prove(self, password: bytes) -> None:
        """Send the password, once. AuthenticationRefused for any answer but an acknowledgement."""
        await self._send(self._command("P1", b"(" + password + b")"))
        if ACK not in strip_parity(await self.read(self.settings.timeout)):
            raise AuthenticationRefused(
                "the meter did not accept the password of its programming mode",
                hint="It is not tried again by itself: meters lock.",
            )

    async def answer(self, request: str, commands: Sequence[str]) -> str | AccessRefused:
        """What a data set holds, by the first command that the meter knows. TransportError, FramingError."""
        refusal, silence = "", None
        for command in [self._known] if self._known in commands else commands:
            try:
                text = _ENDED if self._over else await self._data(self._command(command, request.encode("ascii")))
            except Broken as error:  # a command that it does not know
                silence = error
                continue
            if text and not text.startswith((*_NO_DATA, _ENDED)):
                self._known = command
                return text
            self._over, refusal = text.startswith(_ENDED), text.strip() or "an empty answer"
        if silence is not None and not refusal:
            raise silence
        hint = _ENDED_HINT if self._over else _PASSWORD_HINT
        return _refused(f"the meter has no {request}: {refusal[:40]}", request, hint)

    async def _data(self, message: bytes) -> str:
        """The answer to a command; long ones come in several blocks."""
        text = ""
        for _ in range(_MOST_BLOCKS):
            block = await self._block(message)
            text += block.text
            if not block.more:
                break
            message = ACK
        return text

    async def _block(self, message: bytes) -> DataBlock:
        """One block; it is asked for again where it was damaged, and our message is where the meter found it so."""
        for left in reversed(range(_REPEATS + 1)):
            await self._send(message)
            try:
                return await read_block(self, self.settings)
            except FramingError:
                if not left:
                    raise
                message = NAK
            except Broken as error:
                if not left or strip_parity(error.received) != NAK:
                    raise
        raise AssertionError("a message ends with an answer or an error")

    async def leave(self) -> None:
        """Tell the meter that it is over; it falls back to the first speed, as it does where the line has gone."""
        if not self._over:
            with suppress(TransportError):
                await self._send(BREAK)


def _refused(message: str, target: str, hint: str) -> AccessRefused:
    code = DataAccessResult.OBJECT_UNDEFINED
    return AccessRefused(message, code=int(code), name=code_text(code), target=target, hint=hint)
