"""Reads the clear-text data block of a meter (IEC 62056-21): sign-on in modes A, B and C, listening in mode D."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import field
from typing import Protocol

from dlms_mqtt.client.line.opening import make_ready
from dlms_mqtt.client.line.sign_on import SignOnFailed, sign_on_for
from dlms_mqtt.client.quality import SessionFigures
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import FramingError, ResponseTimeout
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.data_block import MAX_SIZE, DataBlock, find_data_block, holds_data
from dlms_mqtt.protocol.framing.mode_e import Goal
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.framing.sign_on import ETX, Identification, find_identification
from dlms_mqtt.transport.base import Transport

log = logging.getLogger("dlms_mqtt.client")

_MODE_D_BAUD = 2400
_SPEAKS = 12.0  # s at least in which a meter that sends by itself begins
_MOST_TRIES = 3  # of a whole readout, which takes up to a minute at 300 baud
_MAY_END = (ETX, b"\x04", b"/")

_CUT = "the readout ended in the middle"
_CUT_HINT = "Check the seat of the head; a longer pause between octets is allowed by octet_timeout."
_NO_BEGIN = "the meter signs on, but sends no readout"
_NO_BEGIN_HINT = (
    "It may speak DLMS only (opening: sign-on), or at another speed than the port (max_baud: 300 keeps it)."
)
_UNREADABLE = "octets come in the place of a readout, but they mean nothing"
SPEED_HINT = (
    "The port does not follow the change of speed: keep the first one (max_baud: 300), or set the converter to the "
    "meter's own."
)


@dataclass(slots=True)
class Tally:
    """What went well and what did not, for the line's quality."""

    readouts: int = 0
    damaged: int = 0
    repeats: int = 0
    signed_on: bool | None = None
    turn_rounds: list[float] = field(default_factory=list)

    def figures(self) -> SessionFigures:
        """As of a session of DLMS: a readout counts as a frame."""
        return SessionFigures(self.readouts, self.damaged, self.repeats, 0, self.signed_on, tuple(self.turn_rounds))


@dataclass(frozen=True, slots=True)
class Readout:
    """``text``: the lines of the data block; ``checked``: a check character proved them."""

    identification: Identification | None
    text: str
    checked: bool


async def read_out(transport: Transport, settings: ConnectionSettings, tally: Tally) -> Readout:
    """Open the line and read the data block; again where it was damaged. TransportError, FramingError."""
    tries = min(settings.retries + 1, _MOST_TRIES)
    for left in reversed(range(tries)):
        await transport.open()
        await make_ready(transport, settings)
        try:
            async with asyncio.timeout(settings.exchange_timeout):
                return await _once(transport, settings, tally)
        except (FramingError, Broken) as error:
            tally.damaged += isinstance(error, FramingError)
            if not left:
                raise
            tally.repeats += 1
            log.debug("%s: %s; it is read again", transport.name, error.message)
        except TimeoutError:
            raise Broken(f"the readout takes longer than {settings.exchange_timeout:g} s", hint=SPEED_HINT) from None
        await transport.close()
    raise AssertionError("a try ends with a readout or an error")


class Broken(ResponseTimeout):
    """The meter signed on, and no whole readout came."""


async def _once(transport: Transport, settings: ConnectionSettings, tally: Tally) -> Readout:
    loop = asyncio.get_running_loop()
    try:
        done = await sign_on_for(Goal.READOUT, transport, settings)
    except SignOnFailed as error:
        tally.signed_on = False
        return await _overhear(transport, settings, error, tally)
    tally.signed_on = True
    began = loop.time()
    block = await read_block(transport, settings, done.rest)
    tally.turn_rounds.append(loop.time() - began)
    tally.readouts += 1
    return Readout(done.identification, block.text, block.checked)


async def _overhear(transport: Transport, settings: ConnectionSettings, silent: SignOnFailed, tally: Tally) -> Readout:
    """Nobody answers: a meter of mode D, or one with a port for customers, sends by itself."""
    parity, bits = (settings.parity, 8) if settings.parity in ("none", "odd") else ("even", 7)
    await transport.configure(baud=settings.baud or _MODE_D_BAUD, data_bits=bits, parity=parity or "even")
    transport.discard()
    try:
        block, received = await _collect(transport, max(_SPEAKS, settings.timeout), settings.octet_timeout, b"")
    except (ResponseTimeout, FramingError):
        raise silent from None
    tally.signed_on = None
    tally.readouts += 1
    found = find_identification(received)
    return Readout(found[0] if found else None, block.text, block.checked)


class Source(Protocol):
    """Where octets come from: a transport, or one whose echoes are taken out."""

    async def read(self, timeout: float | None) -> bytes:
        """The next octets. TransportError."""


async def read_block(source: Source, settings: ConnectionSettings, received: bytes = b"") -> DataBlock:
    """The data block that is on its way; ``received``: what came of it already. Broken, FramingError."""
    return (await _collect(source, settings.timeout, settings.octet_timeout, received))[0]


async def _collect(source: Source, first_wait: float, octet_wait: float, received: bytes) -> tuple[DataBlock, bytes]:
    data, wait = bytearray(received), first_wait if not received else octet_wait
    while len(data) < MAX_SIZE:
        try:
            octets = await source.read(wait)
        except ResponseTimeout:
            return _at_the_end(bytes(data)), bytes(data)
        data += octets
        wait = octet_wait
        tail = strip_parity(bytes(data[-len(octets) - 4 :]))
        if any(end in tail for end in _MAY_END) and (block := find_data_block(bytes(data))):
            return block, bytes(data)
    raise Broken("the readout does not end", received=bytes(data[-64:]), hint=SPEED_HINT)


def _at_the_end(data: bytes) -> DataBlock:
    """The line has fallen silent: what there is may be a readout without a check character."""
    block = find_data_block(data, final=True)
    if block is not None:
        return block
    if not data:
        raise Broken(_NO_BEGIN, hint=_NO_BEGIN_HINT)
    sentence, hint = (_CUT, _CUT_HINT) if holds_data(data) else (_UNREADABLE, SPEED_HINT)
    raise Broken(sentence, received=data[-64:], hint=hint)
