"""Signs on to an optical port: carries out what the state machine of IEC 62056-21 says, over a transport.

The machine (``protocol.framing.mode_e``) knows what to send and when; this file only moves bytes and waits. When it
fails, what came over the line is turned into the most likely cause and the next step to try.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.framing.mode_e import (
    Discard,
    Done,
    Failed,
    Goal,
    Listen,
    Send,
    SetSpeed,
    SignOn,
    SignOnSettings,
    Wait,
)
from dlms_mqtt.protocol.framing.seven_bit import has_parity
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.transport.base import SerialFormat, Transport

log = logging.getLogger("dlms_mqtt.client")

_ANSWER_TIME = 2.0  # s: the standard gives the meter 1.5 s to begin
_PAUSE = 0.1  # s between two octets: three characters at 300 baud
_KEPT = 1024  # octets of the last attempt, for the diagnosis

_DIAGNOSES: dict[str, tuple[str, str]] = {
    "silent": (
        "nothing answers the sign-on",
        "Is the head in its place and does it get power (dtr, rts)? Some meters must be woken (wake_up, "
        "wake_up_break, a key press) or want no sign-on (opening: direct).",
    ),
    "echo": (
        "only our own octets come back, the meter does not answer the sign-on",
        "The head works but may sit the wrong way round; else try another iec_address, wake_up or opening: direct.",
    ),
    "parity": (
        "the answer to the sign-on is damaged: its octets carry a parity bit",
        "The port reads 8N1 where the meter sends 7E1: set the converter to 7E1, or parity: none.",
    ),
    "garbled": (
        "something answers the sign-on, but not with an identification",
        "Check baud (most meters begin at 300), the seat of the head and bright light on it.",
    ),
    "clear-text": (
        "the meter sends a clear-text readout instead of changing to HDLC",
        "Read that instead (opening: readout); it may speak DLMS without a sign-on (opening: direct).",
    ),
}


class SignOnFailed(ResponseTimeout):
    """The sign-on was tried often enough. ``reason``: silent, echo, parity, garbled or clear-text.

    ``identification``: what the meter said it is, where it did.
    """

    def __init__(self, reason: str, received: bytes, name: str, identification: Identification | None = None) -> None:
        sentence, hint = _DIAGNOSES[reason]
        super().__init__(f"{name}: {sentence}", received=received, hint=hint)
        self.reason, self.identification = reason, identification


async def sign_on(transport: Transport, settings: ConnectionSettings) -> Identification | None:
    """Bring an open line to HDLC at full speed; what the meter said it is. SignOnFailed, TransportError."""
    return (await sign_on_for(Goal.HDLC, transport, settings)).identification


async def sign_on_for(goal: Goal, transport: Transport, settings: ConnectionSettings) -> Done:
    """Bring an open line to what is wanted. SignOnFailed, TransportError."""
    plan = replace(plan_sign_on(transport, settings), goal=goal)
    if goal is not Goal.HDLC and transport.format is None and not settings.max_baud:
        plan = replace(plan, max_baud=plan.initial_baud)  # nobody could follow to another speed
    await _set_speed(transport, SetSpeed(plan.initial_baud, *((8, "none") if plan.software_parity else (7, "even"))))
    first, *others = _runs(transport, plan)
    try:
        async with asyncio.timeout(settings.exchange_timeout):
            return await _try_in_turn(transport, first, others)
    except TimeoutError:  # octets that dribble in for ever keep the machine listening
        raise SignOnFailed("garbled", b"", transport.name) from None


async def _try_in_turn(transport: Transport, first: SignOnSettings, others: list[SignOnSettings]) -> Done:
    try:
        return await run_sign_on(transport, first)
    except SignOnFailed as error:
        if not others or error.reason == "clear-text":
            raise
    return await _try_in_turn(transport, others[0], others[1:])


def plan_sign_on(transport: Transport, settings: ConnectionSettings) -> SignOnSettings:
    """The machine's settings for a user's settings. ``parity: none`` means that the port can do 8N1 only."""
    local = transport.format is not None
    return SignOnSettings(
        address=settings.iec_address,
        initial_baud=settings.baud or 300,
        max_baud=settings.max_baud or 0,
        attempts=2 if settings.opening == "auto" else settings.retries + 1,
        wake_up=settings.wake_up,
        response_timeout=min(settings.timeout, _ANSWER_TIME) if local else settings.timeout,
        software_parity=settings.parity == "none",
        echo=settings.echo != "no",
    )


def _runs(transport: Transport, plan: SignOnSettings) -> list[SignOnSettings]:
    """A port that does not do seven bits is tried plainly, then with the parity put into bit 7.

    A converter that is fixed at 7E1 and a pseudo-terminal want the one, a converter fixed at 8N1 the other.
    """
    seven_bits = transport.format is not None and transport.format.data_bits == 7
    if seven_bits or plan.software_parity or plan.attempts < 2:
        return [plan]
    later = plan.attempts // 2
    return [replace(plan, attempts=plan.attempts - later), replace(plan, attempts=later, software_parity=True)]


async def run_sign_on(transport: Transport, plan: SignOnSettings) -> Done:
    """One run of the machine, with all its attempts. SignOnFailed, TransportError."""
    machine = SignOn(plan)
    seen = _Seen()
    while True:
        action = machine.next_action()
        if not isinstance(action, Listen):
            seen.tell(transport.name, action)
        if isinstance(action, Done):
            return replace(action, notes=action.notes | seen.notes)
        if isinstance(action, Failed):
            received = action.received or bytes(seen.received)
            raise SignOnFailed(seen.reason(action), received, transport.name, machine.identification)
        if isinstance(action, Listen):
            await _listen(transport, machine, action, seen)
        else:
            seen.note(action)
            await _STEPS[type(action)](transport, action)


class _Seen:
    """What went over the line in the last attempt, before echoes are taken out."""

    def __init__(self) -> None:
        self.sent = b""
        self.received = bytearray()
        self.notes: set[str] = set()
        self._unlogged = b""

    def keep(self, data: bytes) -> None:
        """Keep what came."""
        self.received = (self.received + data)[-_KEPT:]
        self._unlogged += data

    def tell(self, name: str, action: object) -> None:
        """The trace, a line for what came in a row and one for what goes."""
        if self._unlogged:
            log.debug("%s < %s", name, self._unlogged.hex())
            self._unlogged = b""
        if isinstance(action, Send):
            log.debug("%s > %s", name, action.data.hex())

    def note(self, action: object) -> None:
        if isinstance(action, Discard):
            self.received.clear()
        elif isinstance(action, Send):
            self.sent = action.data

    def reason(self, failed: Failed) -> str:
        received = bytes(self.received)
        if failed.reason == "silent" and received:
            return "echo" if received.strip(b"\0") == self.sent else "garbled"
        return "parity" if failed.reason == "garbled" and has_parity(received) else failed.reason


async def _listen(transport: Transport, machine: SignOn, action: Listen, seen: _Seen) -> None:
    loop = asyncio.get_running_loop()
    began, within = loop.time(), machine.within_confirmation
    try:
        data = await transport.read(action.seconds)
    except ResponseTimeout:
        machine.timeout()
    else:
        if within and loop.time() - began > _PAUSE:
            seen.notes.add("confirmation-in-pieces")
        seen.keep(data)
        machine.receive(data)


async def _send(transport: Transport, action: Send) -> None:
    transport.write(action.data)
    await transport.drain()


async def _set_speed(transport: Transport, action: SetSpeed) -> None:
    if transport.format != SerialFormat(action.baud, action.data_bits, action.parity):
        await transport.configure(baud=action.baud, data_bits=action.data_bits, parity=action.parity)


async def _wait(_transport: Transport, action: Wait) -> None:
    if action.seconds:
        await asyncio.sleep(action.seconds)


async def _discard(transport: Transport, _action: Discard) -> None:
    transport.discard()


_STEPS: dict[type, Callable[[Transport, Any], Awaitable[None]]] = {
    Send: _send,
    SetSpeed: _set_speed,
    Wait: _wait,
    Discard: _discard,
}
