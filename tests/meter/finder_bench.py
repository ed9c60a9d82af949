"""A meter on a test bench for the finder: it insists on speed, parity, opening, exact address and client, and keeps
everything it hears, so that a password in a wrong place is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ResponseTimeout
from dlms_mqtt.protocol.acse.messages import Aarq, Mechanism
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.framing.hdlc.address import decode_address, encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, FrameParser, Kind
from dlms_mqtt.protocol.framing.mode_e import Done, SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.framing.statistics import Statistics
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.states import State
from dlms_mqtt.simulator import Association, Faults, Meter, MeterServer, make_link
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat, Transport
from dlms_mqtt.transport.clock import Clock
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.line import carry_out

PASSWORD = b"secret-12345678"
INACTIVITY = 15.0
FRESH = SerialFormat(9600)


def public(client: int = 16, **options: Any) -> Association:
    return Association(client, "public", **options)


def reader(client: int = 32, password: bytes = PASSWORD, **options: Any) -> Association:
    return Association(client, "reader", 1, Mechanism.LLS, Secret(password), **options)


@dataclass
class Bench:
    """What the meter is like. ``station``: server, physical, octets. ``silent_clients``: unknown ones get no UA."""

    opening: str = "direct"
    baud: int = 9600
    parity: str = "none"
    station: tuple[int, int | None, int] = (1, None, 1)
    clients: tuple[Association, ...] = field(default_factory=lambda: (public(), reader()))
    identification: Identification = field(default_factory=lambda: Identification("ISK", "5", ("2",), "ME371-2105"))
    initial_baud: int = 300
    confirm: bool = True
    software_parity: bool = False
    silent_clients: bool = False
    faults: tuple[str, ...] = ()
    sign_on_faults: tuple[str, ...] = ()
    deaf_after_switch: float = 0.0
    asleep: bool = False
    wakes_by_break: bool = False
    readout: bytes = b""
    readout_always: bool = False
    echo: bool = False
    dm_first: int = 0
    frmr_first: int = 0
    breaks_frames_over: int = 0
    stuck: bool = False
    powered_by: tuple[bool, bool] | None = None
    latency: float = 0.03
    seed: int = 1
    server_options: dict[str, Any] = field(default_factory=dict)
    heard: bytearray = field(default_factory=bytearray, repr=False)
    passwords: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def line(self) -> SerialFormat:
        """How the meter's end is set when nobody has spoken."""
        if self.opening == "direct":
            return SerialFormat(self.baud, 8, self.parity)
        return SerialFormat(self.initial_baud, 7, "even")

    def meter(self, clock: Clock) -> Meter:
        server, physical, _ = self.station
        return household(self.seed, clock=clock, associations=self.clients, server=server, physical=physical)

    def wrong_passwords(self) -> list[tuple[int, bytes]]:
        """Passwords that reached a client to which they do not belong."""
        right = {(item.client, bytes(item.secret)) for item in self.clients}
        return [sent for sent in self.passwords if sent not in right]

    @property
    def refusals(self) -> dict[int, int]:
        """How often the meter has refused a secret, by client; a frame that was repeated on the line counts once."""
        return {client: times for client, times in self._meter.failures.items() if times}

    def astray(self, secret: bytes) -> int:
        """How often a secret was on the line outside an AARQ that the meter understood."""
        return self.heard.count(secret) - sum(value == secret for _, value in self.passwords)

    # -- the meter's end ----------------------------------------------------------------------------------------------

    async def play(self, end: Transport, clock: Clock) -> None:
        """Be the meter until cancelled."""
        self._faults = Faults(self.faults, self.seed)
        self._meter = self.meter(clock)
        if self.stuck:
            for row in self.clients:
                self._meter.left_open(row)
        if self.powered_by is not None:
            end = _Powered(end, self.powered_by)
        while True:
            if self.opening == "direct":
                await end.configure(baud=self.baud, data_bits=8, parity=self.parity)
            else:
                await self._sign_on(end)
            await self._hdlc(end)

    async def _sign_on(self, end: Transport) -> None:
        server = _Readout(self) if self.readout_always else self._server()
        faults = Faults(self.sign_on_faults, self.seed)
        await carry_out(end, server.start())
        while True:
            data = await end.read(None)
            self.heard += data
            if self.wakes_by_break and isinstance(end, MemoryTransport) and not end.breaks:
                continue
            if self.asleep:
                self.asleep = data.count(0) < 3 and bytes(data).strip(b"\0") != b""
                continue
            if faults.strike("deaf"):
                continue
            for action in server.receive(data):
                if isinstance(action, Done):
                    await asyncio.sleep(self.deaf_after_switch)
                    end.discard()
                    return
                if faults and (fault := faults.strike("noise-before-identification")):
                    end.write(bytes(Random(self.seed).choices(b"?\x7f\x00", k=int(fault.number))))
                await carry_out(end, action)

    def _server(self) -> SignOnServer:
        return SignOnServer(
            self.identification,
            confirm=self.confirm,
            software_parity=self.software_parity,
            initial_baud=self.initial_baud,
            readout=self.readout,
        )

    async def _hdlc(self, end: Transport) -> None:
        parser = FrameParser(Statistics())
        session = MeterServer(self._meter, make_link("hdlc", self._meter, self._faults, **self.server_options), None)
        while True:
            try:
                data = await end.read(INACTIVITY if self.opening != "direct" else None)
            except ResponseTimeout:
                return
            self.heard += data
            if self.echo:
                end.write(data)
            parser.feed(data)
            while (frame := parser.next()) is not None:
                if isinstance(frame, Frame) and self._mine(frame):
                    linked = session.connection.state is not State.NO_LINK
                    await self._answer(end, session, frame)
                    if linked and frame.kind is Kind.DISC and self.opening != "direct":
                        await end.drain()
                        return

    def _mine(self, frame: Frame) -> bool:
        server, physical, size = self.station
        known = {item.client for item in self.clients}
        client = decode_address(frame.source).upper
        return frame.destination == encode_address(server, physical, size) and (
            not self.silent_clients or client in known
        )

    async def _answer(self, end: Transport, session: MeterServer, frame: Frame) -> None:
        self._look(frame)
        if self.dm_first and frame.kind is Kind.SNRM:
            self.dm_first -= 1
            end.write(Frame(0x1F, frame.source, frame.destination, b"", False).encode())
            return
        if self.frmr_first and frame.kind is Kind.SNRM:
            self.frmr_first -= 1
            end.write(Frame(0x97, frame.source, frame.destination, b"\x93\x00\x01", False).encode())
            return
        if self._faults.strike("deaf"):
            return
        answer = session.receive(frame.encode())
        pieces = self._faults.shape(answer) if answer else []
        for delay, piece in pieces or ():
            if delay:
                await asyncio.sleep(delay)
            end.write(self._weakened(piece))

    def _weakened(self, piece: bytes) -> bytes:
        """A marginal link: whatever is long arrives damaged."""
        if not self.breaks_frames_over or len(piece) <= self.breaks_frames_over:
            return piece
        return piece[: self.breaks_frames_over] + b"\x00" + piece[self.breaks_frames_over + 1 :]

    def _look(self, frame: Frame) -> None:
        apdu = frame.information[3:]
        if frame.kind is not Kind.I or apdu[:1] != b"\x60" or frame.segmented:
            return
        aarq = decode_apdu(apdu)
        if isinstance(aarq, Aarq) and aarq.mechanism is Mechanism.LLS:
            self.passwords.append((decode_address(frame.source).upper, bytes(aarq.authentication_value or b"")))


class _Powered:
    """A head that hears and speaks only while DTR and RTS are as it needs them; it takes 0.3 s to wake up."""

    def __init__(self, inner: Any, wanted: tuple[bool, bool]) -> None:
        self.inner, self.wanted = inner, wanted

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def on(self) -> bool:
        return (self.inner.peer.dtr, self.inner.peer.rts) == self.wanted

    async def read(self, timeout: float | None) -> bytes:
        while True:
            data: bytes = await self.inner.read(timeout)
            if self.on:
                return data


class _Readout(SignOnServer):
    """A meter that answers the acknowledgement with its readout, whatever it says."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.identification, readout=bench.readout, initial_baud=bench.initial_baud, hdlc=False)


Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


class Path(Transport):
    """A line as a user's equipment makes it: what it does to octets each way, and which settings it takes."""

    def __init__(
        self,
        inner: MemoryTransport,
        *,
        out: Change = same,
        back: Change = same,
        fixed: bool = False,
        eight_bits: bool = False,
    ) -> None:
        self.inner, self.out, self.back, self.fixed, self.eight_bits = inner, out, back, fixed, eight_bits
        self.name = "path"

    @property
    def format(self) -> SerialFormat | None:
        return None if self.fixed else self.inner.format

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def write(self, data: bytes) -> None:
        self.inner.write(self.out(data))

    async def drain(self) -> None:
        await self.inner.drain()

    async def read(self, timeout: float | None) -> bytes:
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            data = self.back(await self.inner.read(None if end is None else max(0.0, end - loop.time())))
            if data:
                return data

    def discard(self) -> bytes:
        return self.back(self.inner.discard())

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        if self.fixed:
            return
        if self.eight_bits:
            data_bits, parity = 8, "none"
        await self.inner.configure(baud=baud, data_bits=data_bits, parity=parity, stop_bits=stop_bits)


@asynccontextmanager
async def on_line(
    bench: Bench, clock: Clock, *, start: SerialFormat = FRESH, **path: Any
) -> AsyncIterator[tuple[Callable[[ConnectionSettings], Transport], MemoryTransport]]:
    """The bench's meter at one end of a memory line, and what opens the other end."""
    near, far = memory_pair(line=start, latency=bench.latency)
    near.echo, bench_echo = bench.echo, bench.echo
    bench.echo = False
    await far.open()
    task = asyncio.create_task(bench.play(far, clock))
    through = Path(near, **path) if path else near
    try:
        yield (lambda _settings: through), near
    finally:
        bench.echo = bench_echo
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await near.close()
        await far.close()
