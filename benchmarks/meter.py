"""A small fast meter in a process of its own: it answers GETs out of a table of encoded values, and nothing else.

    with served("wrapper") as port: ...

It reads just enough of a request to find the value. PDU 1024; HDLC information field 128 and window 1.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks import names, samples
from dlms_mqtt.protocol.acse.messages import Aare, ApplicationContext, AssociationResult
from dlms_mqtt.protocol.acse.names import Diagnostic, DiagnosticSource, ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.initiate import InitiateResponse
from dlms_mqtt.protocol.axdr.data import encode
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Received, Side
from dlms_mqtt.protocol.obis import Obis

MAX_PDU = 1024
_BLOCK = MAX_PDU - 16
_RLRE = bytes.fromhex("6303800100")
_SERVICES = (
    Conformance.GET
    | Conformance.BLOCK_TRANSFER_WITH_GET_OR_READ
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.SELECTIVE_ACCESS
)


def association(class_id: int, obis: bytes, attribute: int) -> bytes:
    """The key of a value: as it stands in a request."""
    return class_id.to_bytes(2, "big") + bytes(obis) + bytes([attribute])


def values(rows: int = 1000, objects: int = 300) -> dict[bytes, bytes]:
    """What the meter holds, encoded."""
    table = {
        association(15, Obis(names.VIEW), 2): samples.view(objects),
        association(7, samples.PROFILE, 2): samples.buffer(rows),
        association(7, samples.PROFILE, 3): samples.capture_objects(),
        association(7, samples.PROFILE, 4): encode(samples.u32(900)),
    }
    table[association(8, Obis(names.CLOCK), 2)] = encode(
        samples.octets(DateTime.from_datetime(datetime.now(UTC)).encode())
    )
    for index, obis in enumerate(samples.REGISTERS):
        table[association(3, obis, 2)] = encode(samples.u32(names.FIRST + index))
        table[association(3, obis, 3)] = encode(samples.scaler_unit())
    return table


class Answers:
    """The application of one connection: request in, response out."""

    def __init__(self, table: dict[bytes, bytes]) -> None:
        self._table = table
        self._rest = b""

    def __call__(self, request: bytes) -> bytes:
        """The response to any request that it knows."""
        if request[0] == 0xC0:
            return _GETS[request[1]](self, request)
        return _aare() if request[0] == 0x60 else _RLRE

    def _normal(self, request: bytes) -> bytes:
        value = self._table.get(request[3:12])
        if value is None:
            return b"\xc4\x01" + request[2:3] + b"\x01\x04"
        if len(value) > _BLOCK:
            return self._first(request[2:3], value)
        return b"\xc4\x01" + request[2:3] + b"\x00" + value

    def _next(self, request: bytes) -> bytes:
        return self._block(request[2:3], int.from_bytes(request[3:7], "big") + 1)

    def _list(self, request: bytes) -> bytes:
        keys = [request[at : at + 9] for at in range(4, 4 + 10 * request[3], 10)]
        body = bytes([len(keys)]) + b"".join(
            b"\x00" + self._table[key] if key in self._table else b"\x01\x04" for key in keys
        )
        if len(body) > _BLOCK:
            return self._first(request[2:3], body)
        return b"\xc4\x03" + request[2:3] + body

    def _first(self, invoke: bytes, value: bytes) -> bytes:
        self._rest = value
        return self._block(invoke, 1)

    def _block(self, invoke: bytes, number: int) -> bytes:
        data, self._rest = self._rest[:_BLOCK], self._rest[_BLOCK:]
        last = b"\x00" if self._rest else b"\x01"
        size = b"\x82" + len(data).to_bytes(2, "big")
        return b"\xc4\x02" + invoke + last + number.to_bytes(4, "big") + b"\x00" + size + data


_GETS = {1: Answers._normal, 2: Answers._next, 3: Answers._list}


def _aare() -> bytes:
    initiate = InitiateResponse(conformance=_SERVICES, max_pdu_size=MAX_PDU)
    return Aare(
        application_context=ApplicationContext.LN,
        result=AssociationResult.ACCEPTED,
        diagnostic=Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, ServiceUserDiagnostic.NULL),
        user_information=initiate.encode(),
    ).encode()


class _Wrapper(asyncio.Protocol):
    def __init__(self, table: dict[bytes, bytes]) -> None:
        self._answer, self._buffer = Answers(table), b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while len(buffer) >= 8 and len(buffer) >= 8 + (size := int.from_bytes(buffer[6:8], "big")):
            answer = self._answer(buffer[8 : 8 + size])
            head = b"\x00\x01" + buffer[4:6] + buffer[2:4] + len(answer).to_bytes(2, "big")
            self._transport.write(head + answer)
            buffer = buffer[8 + size :]
        self._buffer = buffer


class HdlcMeter:
    """The same behind HDLC, for a TCP connection or a serial line: bytes in, bytes out."""

    def __init__(self, table: dict[bytes, bytes], max_info: int = 128) -> None:
        self._answer = Answers(table)
        self._link = HdlcLink(Side.SERVER, max_info_transmit=max_info, max_info_receive=max_info)

    def feed(self, data: bytes) -> bytes:
        """Octets of the line; the octets that answer them."""
        self._link.receive(data)
        while (event := self._link.next_event()) is not None:
            if type(event) is Received:
                self._link.send(self._answer(event.apdu))
        return self._link.data_to_send()


class _Hdlc(asyncio.Protocol):
    def __init__(self, table: dict[bytes, bytes]) -> None:
        self._meter = HdlcMeter(table)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if answer := self._meter.feed(data):
            self._transport.write(answer)


_PROTOCOLS = {"wrapper": _Wrapper, "hdlc": _Hdlc}


def _serve(framing: str, ready: Any) -> None:
    async def run() -> None:
        table = values()
        server = await asyncio.get_running_loop().create_server(lambda: _PROTOCOLS[framing](table), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def served(framing: str) -> Iterator[int]:
    """The meter in another process; the port it listens on."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(framing, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()
