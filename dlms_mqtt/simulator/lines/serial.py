"""Simulated meters on lines: any Transport (serial, memory), pseudo-terminals, RFC 2217; with and without sign-on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dlms_mqtt.errors import ResponseTimeout, TransportError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.mode_e import Action, Done, Send, SetSpeed, SignOnServer, Wait
from dlms_mqtt.protocol.framing.sign_on import Identification, begins_readout
from dlms_mqtt.simulator.lines.programming import ProgrammingMode
from dlms_mqtt.simulator.lines.readout import readout_of
from dlms_mqtt.simulator.lines.virtual_ports import BridgedLine, PtyLine, Rfc2217Line
from dlms_mqtt.simulator.server.faults import Faults, Piece, rubbish
from dlms_mqtt.simulator.server.links import make_link
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.session import Dropped, MeterServer
from dlms_mqtt.transport.base import SerialFormat, Transport

log = logging.getLogger("dlms_mqtt.simulator")

_IDENTIFICATION = Identification("DMQ", "5", ("2",), "SIM1.4")
_REACTION = 0.02  # s between a command and its answer
#: Of a meter that knows clear text only.
CLEAR_TEXT = Identification("DMQ", "5", (), "SIM1.4")


@dataclass(frozen=True, slots=True)
class SignOnOptions:
    """How the meter signs on. ``readout``: lines of its data block; None: its registers as they are.

    ``hdlc``: it speaks HDLC after a sign-on, else clear text only. ``programming``: it has a programming mode.
    ``inactivity``: seconds of silence after which it wants a new sign-on.
    """

    identification: Identification = _IDENTIFICATION
    address: str = ""
    confirm: bool = True
    readout: bytes | None = None
    inactivity: float = 10.0
    hdlc: bool = True
    programming: bool = False


#: A meter that is read in clear text.
READOUT_ONLY = SignOnOptions(identification=CLEAR_TEXT, hdlc=False, programming=True)


async def serve_transport(
    meter: Meter,
    transport: Transport,
    framing: str = "hdlc",
    *,
    faults: Faults | None = None,
    sign_on: SignOnOptions | None = None,
    **hdlc: Any,
) -> None:
    """Serve one line until it ends or the task is cancelled."""
    session = MeterServer(meter, make_link(framing, meter, faults, datagram=transport.datagram, **hdlc), faults)
    session.write = transport.write
    await transport.open()
    try:
        while True:
            try:
                if sign_on is None:
                    await serve_once(session, transport)
                else:
                    await serve_signed_on(session, transport, sign_on)
            except Dropped:
                if transport.format is None:  # a connection ends; a serial line only falls silent
                    break
                session = session.fresh()
                session.write = transport.write
    except TransportError as error:
        log.debug("%s: %s", transport.name, error)
    finally:
        session.close()
        await transport.close()


async def serve_signed_on(session: MeterServer, transport: Transport, options: SignOnOptions) -> None:
    """One sign-on and the HDLC link or programming mode after it, until it ends or falls silent."""
    server = SignOnServer(
        options.identification,
        address=options.address,
        confirm=options.confirm,
        hdlc=options.hdlc,
        programming=options.programming,
    )
    await _carry_out(session, transport, server.start())
    while (done := await _signed_on(session, transport, server, options.readout)) is None:
        pass
    if done.programming:
        await _serve_programming(session, transport, options.inactivity)
        return
    was_linked = False
    try:
        while not was_linked or session.linked:
            await serve_once(session, transport, options.inactivity)
            was_linked = was_linked or session.linked
    except ResponseTimeout:
        session.close()
    await transport.drain()


async def _serve_programming(session: MeterServer, transport: Transport, inactivity: float) -> None:
    mode = ProgrammingMode(session.meter)
    answer = mode.begin()
    with contextlib.suppress(ResponseTimeout):
        while not mode.over:
            if answer:
                await _answer(transport, session.faults.shape(answer))
                await transport.drain()
            data = await transport.read(inactivity)
            _reflect(session, transport, data)
            answer = mode.receive(data)
            await asyncio.sleep(_REACTION)


async def _signed_on(
    session: MeterServer, transport: Transport, server: SignOnServer, readout: bytes | None
) -> Done | None:
    data = await transport.read(None)
    _reflect(session, transport, data)
    server.readout = readout_of(session.meter) if readout is None else readout
    for action in server.receive(data):
        if isinstance(action, Done):
            return action
        await _carry_out(session, transport, action)
    return None


async def _carry_out(session: MeterServer, transport: Transport, action: Action) -> None:
    if isinstance(action, SetSpeed):
        await transport.configure(baud=action.baud, data_bits=action.data_bits, parity=action.parity)
    elif isinstance(action, Wait):
        await asyncio.sleep(action.seconds)
    elif isinstance(action, Send) and begins_readout(action.data):
        await _answer(transport, session.faults.shape(action.data))
        await transport.drain()
    elif isinstance(action, Send):
        noise = session.faults.strike("noise-before-identification") if action.data[:1] == b"/" else None
        silent = session.faults.get("silence") is not None
        transport.write(
            (rubbish(session.faults.random, int(noise.number)) if noise else b"") + action.data * (not silent)
        )
        await transport.drain()


def _reflect(session: MeterServer, transport: Transport, data: bytes) -> None:
    if echo := session.faults.echo(data):
        transport.write(echo)


async def serve_once(session: MeterServer, transport: Transport, timeout: float | None = None) -> None:
    """Take what comes next and answer it. TransportError, Dropped."""
    data = await transport.read(timeout)
    faults = session.faults
    if faults and faults.strike("deaf"):
        return
    _reflect(session, transport, data)
    answer = session.receive(data)
    while answer:
        await _answer(transport, faults.shape(answer))
        answer = session.connection.data_to_send()  # the next one, where there are datagrams


async def _answer(transport: Transport, pieces: list[Piece] | None) -> None:
    if pieces is None:
        raise Dropped
    for delay, piece in pieces:
        if delay:
            await asyncio.sleep(delay)
        if piece:
            transport.write(piece)


@asynccontextmanager
async def serve_memory(
    meter: Meter, transport: Transport, framing: str = "hdlc", **options: Any
) -> AsyncIterator[None]:
    """Serve the meter's end of a line in the background; ``options`` of ``serve_transport``."""
    await transport.open()
    task = asyncio.create_task(serve_transport(meter, transport, framing, **options))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()  # a mistake of the meter's; behind an error of the caller's own it says nothing


@asynccontextmanager
async def serve_pty(
    meter: Meter, framing: str = "hdlc", *, paced: bool = True, **options: Any
) -> AsyncIterator[PtyLine]:
    """Serve a pseudo-terminal, whose ``device`` clients open; ``options`` of ``serve_transport``."""
    line = PtyLine(paced=paced)
    async with serve_memory(meter, line, framing, **options):
        yield line


@asynccontextmanager
async def serve_rfc2217(
    meter: Meter, host: str = "127.0.0.1", port: int = 0, framing: str = "hdlc", *, paced: bool = True, **options: Any
) -> AsyncIterator[tuple[str, int]]:
    """Serve a serial port over RFC 2217; yields its address. OSError."""
    async with _served(lambda: Rfc2217Line(paced=paced), meter, host, port, framing, options) as address:
        yield address


@asynccontextmanager
async def serve_bridged(
    meter: Meter,
    host: str = "127.0.0.1",
    port: int = 0,
    framing: str = "hdlc",
    *,
    kept: SerialFormat = BridgedLine.KEPT,
    paced: bool = True,
    **options: Any,
) -> AsyncIterator[tuple[str, int]]:
    """Serve a serial port as a converter to plain TCP does, which keeps its speed; yields its address. OSError."""
    async with _served(lambda: BridgedLine(kept=kept, paced=paced), meter, host, port, framing, options) as address:
        yield address


@asynccontextmanager
async def _served(
    make: Callable[[], BridgedLine], meter: Meter, host: str, port: int, framing: str, options: dict[str, Any]
) -> AsyncIterator[tuple[str, int]]:
    tasks: set[asyncio.Task[None]] = set()
    lines: list[BridgedLine] = []

    def connected() -> BridgedLine:
        line = make()
        lines.append(line)
        task = asyncio.get_running_loop().create_task(serve_transport(meter, line, framing, **options))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return line

    listener = await asyncio.get_running_loop().create_server(connected, host, port)
    try:
        yield listener.sockets[0].getsockname()[:2]
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in lines:
            await line.close()
