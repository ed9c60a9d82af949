"""A meter out of a capture: it answers what was asked in that session with the very octets of that session.

Questions are found again whatever their invoke id; from the place of the last one on, so that blocks come in order.
Every association is accepted: the capture holds no secret to check.
"""

from __future__ import annotations

import asyncio
import contextlib

from dlms_mqtt.errors import DecodeError, ResponseTimeout, TransportError
from dlms_mqtt.protocol.acse.messages import Aare, Aarq, AssociationResult, Diagnostic, DiagnosticSource, Rlre, Rlrq
from dlms_mqtt.protocol.acse.messages import ServiceUserDiagnostic as Reason
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.get import (
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithList,
)
from dlms_mqtt.protocol.apdu.initiate import LN_VAA, SN_VAA, InitiateResponse
from dlms_mqtt.protocol.apdu.results import DataAccessResult
from dlms_mqtt.protocol.apdu.short_name import (
    ParameterisedAccess,
    ReadRequest,
    ReadResponse,
    VariableName,
)
from dlms_mqtt.protocol.axdr.data import Data, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.link import Link, LinkDown, LinkOptions, Received, Side
from dlms_mqtt.protocol.framing.mode_e import Action, Done, Send, SetSpeed, SignOnServer
from dlms_mqtt.protocol.framing.registry import default_framing, link_class
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.transport.base import Transport

_NOBODY = Identification("DMQ", "5", ("2",), "REPLAY")
_INACTIVITY = 10.0  # s of silence after which a meter wants a new sign-on
_BAUD = 9600
#: Tags of services whose third octet holds the invoke id (GET, SET, ACTION and their answers).
_INVOKED = frozenset({0xC0, 0xC1, 0xC3, 0xC4, 0xC5, 0xC7})
_INVOKE_AT = 2


class ReplayServer:
    """One client on one link."""

    def __init__(self, capture: Capture, link: Link) -> None:
        self.capture = capture
        self.link = link
        self.ended = False
        self._at = 0
        if not link.has_connection:
            link.connect()

    def receive(self, data: bytes) -> bytes:
        """Bytes from the line to bytes for the line."""
        self.link.receive(data)
        while (event := self.link.next_event()) is not None:
            if isinstance(event, Received):
                for answer in self._answers(event.apdu):
                    self.link.send(answer)
            self.ended = self.ended or isinstance(event, LinkDown)
        return self.link.data_to_send()

    def _answers(self, question: bytes) -> tuple[bytes, ...]:
        if question[:1] in (b"\x60", b"\x62"):
            return self._association(question)
        begin, count = self.capture.begin, len(self.capture.exchanges)
        for index in (*range(self._at, count), *range(begin, self._at), *range(begin)):
            recorded, *answers = self.capture.exchanges[index]
            if _without_invoke(recorded) == _without_invoke(question):
                self._at = index + 1
                return tuple(_with_invoke(answer, question) for answer in answers)
        made = self._from_values(question)
        return (made,) if made else (ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON).encode(),)

    def _from_values(self, question: bytes) -> bytes | None:
        """Nobody asked just this, but perhaps for the same attributes in other company."""
        try:
            request = decode_apdu(question)
        except DecodeError:
            return None
        if isinstance(request, GetRequestNormal) and request.attribute in self.capture.values:
            value = self.capture.values[request.attribute]
            if isinstance(value, Data):
                return GetResponseNormal(request.invoke, None, encode(value)).encode()
            return GetResponseNormal(request.invoke, value, b"").encode()
        if isinstance(request, GetRequestWithList):
            found = [self.capture.values.get(item[0], DataAccessResult.OBJECT_UNDEFINED) for item in request.items]
            return GetResponseWithList(request.invoke, tuple(found)).encode()
        if isinstance(request, ReadRequest):
            named = [item.name for item in request.variables if isinstance(item, VariableName | ParameterisedAccess)]
            known = [self.capture.values.get(name, DataAccessResult.OBJECT_UNDEFINED) for name in named]
            return ReadResponse(tuple(known)).encode() if len(known) == len(request.variables) else None
        return None

    def _association(self, question: bytes) -> tuple[bytes, ...]:
        self._at = self.capture.begin
        try:
            request = decode_apdu(question)
        except DecodeError:
            return ()
        if isinstance(request, Rlrq):
            return (Rlre().encode(),)
        return (self._aare(request).encode(),) if isinstance(request, Aarq) else ()

    def _aare(self, request: Aarq) -> Aare:
        facts = self.capture.facts
        names = self.capture.connection.get("referencing") == "sn"
        response = InitiateResponse(
            conformance=Conformance.from_names(facts.get("conformance") or ()),
            max_pdu_size=int(facts.get("max_pdu") or 0),
            vaa=SN_VAA if names else LN_VAA,
        )
        return Aare(
            application_context=request.application_context,
            result=AssociationResult.ACCEPTED,
            diagnostic=Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, Reason.NULL),
            user_information=response.encode(),
        )


def _without_invoke(apdu: bytes) -> bytes:
    if apdu[:1] and apdu[0] in _INVOKED and len(apdu) > _INVOKE_AT:
        return apdu[:_INVOKE_AT] + apdu[_INVOKE_AT + 1 :]
    return apdu


def _with_invoke(answer: bytes, question: bytes) -> bytes:
    """The answer with the invoke id of this question."""
    if answer[:1] and answer[0] in _INVOKED and question[0] in _INVOKED:
        return answer[:_INVOKE_AT] + question[_INVOKE_AT : _INVOKE_AT + 1] + answer[_INVOKE_AT + 1 :]
    return answer


def replay_link(capture: Capture, framing: str | None = None) -> Link:
    """The meter's end of a link with the addresses of the capture."""
    known = capture.connection
    options = LinkOptions(
        client=int(known.get("client", 16)),
        server=int(known.get("server", 1)),
        physical=known.get("physical"),
        address_size=int(known.get("address_size", 0)),
    )
    return link_class(framing or known.get("framing") or default_framing(serial=True)).make(Side.SERVER, options)


async def replay_on(capture: Capture, transport: Transport, framing: str | None = None) -> None:
    """Serve a line until it ends or the task is cancelled."""
    await transport.open()
    try:
        while True:
            await _begin(capture, transport)
            await _converse(ReplayServer(capture, replay_link(capture, framing)), transport, capture.signs_on)
    except TransportError:
        return
    finally:
        await transport.close()


async def _begin(capture: Capture, transport: Transport) -> None:
    """As the captured line began: at its speed, or with the sign-on of its meter."""
    known = capture.connection
    if transport.format is None:
        return
    if not capture.signs_on:
        await transport.configure(baud=int(known.get("baud") or _BAUD), parity=str(known.get("parity") or "none"))
        return
    server = SignOnServer(capture.identification or _NOBODY, software_parity=known.get("parity") == "none")
    actions: list[Action] = [server.start()]
    while not any(isinstance(action, Done) for action in actions):
        for action in actions:
            await _carry_out(action, transport)
        actions = server.receive(await transport.read(None))
    for action in actions:
        await _carry_out(action, transport)


async def _carry_out(action: Action, transport: Transport) -> None:
    if isinstance(action, SetSpeed):
        await transport.configure(baud=action.baud, data_bits=action.data_bits, parity=action.parity)
    elif isinstance(action, Send):
        transport.write(action.data)
        await transport.drain()


async def _converse(server: ReplayServer, transport: Transport, signed_on: bool) -> None:
    """Answer for ever; after a sign-on until the link ends or falls silent."""
    with contextlib.suppress(ResponseTimeout):
        while not (signed_on and server.ended):
            answer = server.receive(await transport.read(_INACTIVITY if signed_on else None))
            if answer:
                transport.write(answer)
        await transport.drain()


async def replay_tcp(capture: Capture, host: str, port: int, framing: str | None = None) -> asyncio.Server:
    """Serve any number of clients on TCP; the server, already listening. OSError."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Client(capture, framing), host, port)


class _Client(asyncio.Protocol):
    """One client on TCP."""

    def __init__(self, capture: Capture, framing: str | None) -> None:
        self._server = ReplayServer(capture, replay_link(capture, framing))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        answer = self._server.receive(data)
        if answer and not self._transport.is_closing():
            self._transport.write(answer)
