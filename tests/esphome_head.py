"""An optical head that runs ESPHome: a server of its native API, in plain text or with Noise, before a meter's line.

Messages and their numbers are those of aioesphomeapi; the frames are written here after ESPHome's protocol description
(https://developers.esphome.io/architecture/api/protocol_details/). Octets that the client sends or receives pass the
line with the speed and parity that it has set: where the meter's differ, they are rubbish.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any, Self

import pytest

pytest.importorskip("aioesphomeapi", reason="the extra esphome is not installed")

from aioesphomeapi import api_pb2
from aioesphomeapi.core import MESSAGE_TYPE_TO_PROTO
from noise.connection import NoiseConnection

from dlms_mqtt.simulator.lines.virtual_ports import MeterLine
from dlms_mqtt.transport.base import SerialFormat

KEY = base64.b64encode(bytes(range(1, 33))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()
SIGN_ON_BAUD = 300
_NUMBERS = {cls: number for number, cls in MESSAGE_TYPE_TO_PROTO.items()}
_PARITIES = ("none", "even", "odd")
OK, NOT_SUPPORTED, IN_USE, INVALID = 0, 4, 5, 6
SUBSCRIBE, UNSUBSCRIBE, FLUSH, CONFIGURE, SET_PINS, SET_MODE = range(6)
ACKNOWLEDGES = (1, 16)  # the first version of the API that answers each request of a port


class HeadLine(MeterLine):
    """The meter's end of the UART of the head: it is there as long as the head is, whoever is connected."""

    def __init__(self, *, paced: bool = False, patient: bool = False) -> None:
        super().__init__("head", paced=paced)
        self.patient = patient
        self.uart = SerialFormat()
        self.changed = asyncio.Event()  # the UART
        self.loop: asyncio.AbstractEventLoop
        self.sent_until = 0.0
        self.to_client: Callable[[bytes], None] = lambda _data: None

    async def open(self) -> None:
        """It is."""

    async def close(self) -> None:
        """It stays."""

    @property
    def client_format(self) -> SerialFormat:
        return self.uart

    async def configure(self, *, baud: int, data_bits: int = 8, parity: str = "none", stop_bits: int = 1) -> None:
        """A ``patient`` meter sends at its new speed when the head has followed, on a busy machine too."""
        await super().configure(baud=baud, data_bits=data_bits, parity=parity, stop_bits=stop_bits)
        while self.patient and baud > SIGN_ON_BAUD and self.uart.baud != baud:
            self.changed.clear()
            await self.changed.wait()

    def from_client(self, data: bytes) -> None:
        """Octets reach the meter when the UART has sent them, with the format that it has then."""
        loop = asyncio.get_running_loop()
        self.sent_until = max(loop.time(), self.sent_until) + (self.uart.seconds(len(data)) if self.paced else 0.0)
        if self.paced:
            loop.call_at(self.sent_until, super().from_client, data)
        else:
            super().from_client(data)

    def _put(self, data: bytes) -> None:
        self.to_client(data)

    def to_client_soon(self, data: bytes) -> None:
        """The meter sends something by itself; from another thread."""
        self.loop.call_soon_threadsafe(self.to_client, data)


class EsphomeHead:
    """``url`` names its port. ``log`` holds what clients asked; attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        key: str = "",
        names: tuple[str, ...] = ("meter",),
        version: tuple[int, int] = (1, 18),
        paced: bool = False,
        patient: bool = False,
    ) -> None:
        self.key, self.names, self.version = key, names, version
        self.line = HeadLine(paced=paced, patient=patient)
        self.line.to_client = self._to_client
        self.speeds: set[int] = set()  # none: all
        self.pins = 0
        self.has_pins = True
        self.answers = True
        self.taken = False  # by somebody else
        self.log: list[Any] = []
        self.peers: list[Peer] = []
        self.owner: Peer | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    async def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = await asyncio.get_running_loop().create_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.line.loop = asyncio.get_running_loop()

    def _connected(self) -> Peer:
        self.peers.append(Peer(self))
        return self.peers[-1]

    @property
    def url(self) -> str:
        """Without a key."""
        return f"esphome://127.0.0.1:{self.port}/?port_name={self.names[0] if self.names else ''}"

    def cut(self) -> None:
        """The power fails: connections end without a word, and nobody listens."""
        self._server.close()
        self.drop()

    def drop(self) -> None:
        """Connections end without a word."""
        for peer in list(self.peers):
            peer.transport.abort()
        self.owner = None

    async def restart(self) -> None:
        """As after an update over the air: the head says goodbye, is away, and starts with the port as configured."""
        for peer in list(self.peers):
            peer.send(api_pb2.DisconnectRequest())
        self.cut()
        self.line.uart = SerialFormat()
        await self.start()

    def unplug(self) -> None:
        """A USB probe is pulled out of the head."""
        identity = api_pb2.SerialProxyIdentity(instance=0, source=2, flags=0)
        for peer in self.peers:
            peer.send(identity)

    def _to_client(self, data: bytes) -> None:
        if self.owner is not None:
            self.owner.send(api_pb2.SerialProxyDataReceived(instance=0, data=data))


class Peer(asyncio.Protocol):
    """One client of the head."""

    def __init__(self, head: EsphomeHead) -> None:
        self.head = head
        self.buffer = bytearray()
        self.noise: NoiseConnection | None = None
        self.stage = "hello" if head.key else "plain"

    # -- frames -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.head.peers.remove(self)
        if self.head.owner is self:
            self.head.owner = None

    def data_received(self, data: bytes) -> None:
        if not self.head.answers:
            return
        self.buffer += data
        take = self._take_plain if self.stage == "plain" else self._take_noise
        while not self.transport.is_closing() and take():
            pass

    def _take_plain(self) -> bool:
        if self.buffer[:1] == b"\x01":
            self.transport.write(b"\x00\x13\x00Bad indicator byte")
            self.transport.close()
            return False
        length = number = None
        at = 1
        for position in (0, 1):
            value = shift = 0
            while True:
                if at >= len(self.buffer):
                    return False
                octet = self.buffer[at]
                at, value, shift = at + 1, value | (octet & 0x7F) << shift, shift + 7
                if octet < 0x80:
                    break
            length, number = (value, number) if position == 0 else (length, value)
        assert length is not None and number is not None
        if len(self.buffer) < at + length:
            return False
        body = bytes(self.buffer[at : at + length])
        del self.buffer[: at + length]
        self._message(number, body)
        return True

    def _take_noise(self) -> bool:
        if self.buffer[:1] not in (b"", b"\x01"):
            self._frame(b"\x01Bad indicator byte")
            self.transport.close()
            return False
        length = int.from_bytes(self.buffer[1:3], "big") if len(self.buffer) > 2 else 1 << 16
        if len(self.buffer) < 3 + length:
            return False
        frame = bytes(self.buffer[3 : 3 + length])
        del self.buffer[: 3 + length]
        getattr(self, f"_noise_{self.stage}")(frame)
        return True

    def _noise_hello(self, _frame: bytes) -> None:
        self._frame(b"\x01head\x00020304050607\x00")
        self.stage = "handshake"

    def _noise_handshake(self, frame: bytes) -> None:
        noise = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
        noise.set_as_responder()
        noise.set_psks(base64.b64decode(self.head.key))
        noise.set_prologue(b"NoiseAPIInit\x00\x00")
        noise.start_handshake()
        try:
            noise.read_message(frame[1:])
        except Exception:
            self._frame(b"\x01Handshake MAC failure")
            self.transport.close()
            return
        self._frame(b"\x00" + bytes(noise.write_message()))
        self.noise, self.stage = noise, "open"

    def _noise_open(self, frame: bytes) -> None:
        assert self.noise is not None
        plain = bytes(self.noise.decrypt(frame))
        self._message(int.from_bytes(plain[:2], "big"), plain[4:])

    def _frame(self, frame: bytes) -> None:
        self.transport.write(b"\x01" + len(frame).to_bytes(2, "big") + frame)

    def send(self, message: Any) -> None:
        """One message to the client."""
        number, body = _NUMBERS[type(message)], message.SerializeToString()
        if self.transport.is_closing():
            return
        if self.noise is not None:
            head = number.to_bytes(2, "big") + len(body).to_bytes(2, "big")
            self._frame(bytes(self.noise.encrypt(head + body)))
        else:
            self.transport.write(b"\x00" + _varint(len(body)) + _varint(number) + body)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _message(self, number: int, body: bytes) -> None:
        message = MESSAGE_TYPE_TO_PROTO[number]()
        message.ParseFromString(body)
        self.head.log.append(message)
        getattr(self, f"_on_{type(message).__name__}", lambda _message: None)(message)

    def _on_HelloRequest(self, _: Any) -> None:
        major, minor = self.head.version
        self.send(
            api_pb2.HelloResponse(api_version_major=major, api_version_minor=minor, server_info="head", name="head")
        )

    def _on_PingRequest(self, _: Any) -> None:
        self.send(api_pb2.PingResponse())

    def _on_DisconnectRequest(self, _: Any) -> None:
        self.send(api_pb2.DisconnectResponse())
        self.transport.close()

    def _on_DeviceInfoRequest(self, _: Any) -> None:
        ports = [api_pb2.SerialProxyInfo(name=name) for name in self.head.names]
        self.send(api_pb2.DeviceInfoResponse(name="head", serial_proxies=ports))

    def _on_SerialProxyRequest(self, message: Any) -> None:
        head, status = self.head, OK
        if message.type == FLUSH:
            loop = asyncio.get_running_loop()
            loop.call_at(head.line.sent_until, self._acknowledge, FLUSH, OK)
            return
        if message.type == SUBSCRIBE and (head.taken or head.owner not in (None, self)):
            status = IN_USE
        else:
            head.owner = self if message.type == SUBSCRIBE else None
        self._acknowledge(message.type, status)

    def _on_SerialProxySetModeRequest(self, message: Any) -> None:
        self._acknowledge(SET_MODE, OK if message.mode == 0 else NOT_SUPPORTED)

    def _on_SerialProxyConfigureRequest(self, message: Any) -> None:
        wrong = self.head.speeds and message.baudrate not in self.head.speeds
        if not wrong:
            self.head.line.uart = SerialFormat(
                message.baudrate, message.data_size, _PARITIES[message.parity], message.stop_bits
            )
            self.head.line.changed.set()
        self._acknowledge(CONFIGURE, INVALID if wrong else OK)

    def _on_SerialProxySetModemPinsRequest(self, message: Any) -> None:
        if self.head.has_pins:
            self.head.pins = message.line_states
        self._acknowledge(SET_PINS, OK if self.head.has_pins else NOT_SUPPORTED)

    def _on_SerialProxyGetModemPinsRequest(self, message: Any) -> None:
        self.send(api_pb2.SerialProxyGetModemPinsResponse(instance=message.instance, line_states=self.head.pins))

    def _on_SerialProxyWriteRequest(self, message: Any) -> None:
        if self.head.owner is self:
            self.head.line.from_client(message.data)

    def _acknowledge(self, kind: int, status: int) -> None:
        if self.head.version >= ACKNOWLEDGES:
            self.send(api_pb2.SerialProxyRequestResponse(instance=0, type=kind, status=status))


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])
