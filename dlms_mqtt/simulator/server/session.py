"""A client's session with the meter, without I/O: bytes in, bytes out, and nothing runs in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dlms_mqtt.errors import DecodeError, LocalProtocolError, ProtocolError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.acse.messages import Aarq, Rlre, Rlrq
from dlms_mqtt.protocol.apdu import action, get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.access import AccessRequest
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.initiate import InitiateResponse
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.apdu.short_name import ReadRequest, UnconfirmedWriteRequest, WriteRequest
from dlms_mqtt.protocol.axdr.data import Data, DataType, decode_whole
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.link import Link, LinkDown, LinkUp, Side
from dlms_mqtt.protocol.general_block_transfer import BlockTransfer
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.states import ANY_TIME, State
from dlms_mqtt.simulator.server.associations import CURRENT_LN
from dlms_mqtt.simulator.server.fault_injection import Dropped, in_spite_of_faults, refuse_counter
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.logical_names import LogicalNames
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context
from dlms_mqtt.simulator.server.opening import Opened, Refused, make_cipher, open_association, prove, refusal
from dlms_mqtt.simulator.server.services import RequestRefused
from dlms_mqtt.simulator.server.short_names import ShortNames
from dlms_mqtt.simulator.server.short_names import is_proof as is_short_proof

_CIPHERING = 31  # octets that ciphering adds at most
_UNCONFIRMED = 0x40  # the service-class bit of an invoke-id: 0 wants no answer
# What must have been granted for each request: a client that asks for more than that is refused, as by a meter. A list
# needs two bits, that of its service and multiple-references.
_NEEDED: tuple[tuple[tuple[type, ...], Conformance], ...] = (
    ((get.GetRequestNormal, get.GetRequestWithList), Conformance.GET),
    ((set_.SetRequestNormal, set_.SetRequestWithList, set_.SetRequestFirstBlock), Conformance.SET),
    ((action.ActionRequestNormal, action.ActionRequestWithList), Conformance.ACTION),
    ((get.GetRequestWithList, set_.SetRequestWithList), Conformance.MULTIPLE_REFERENCES),
    ((AccessRequest,), Conformance.ACCESS),
    ((ReadRequest,), Conformance.READ),
    ((WriteRequest,), Conformance.WRITE),
    ((UnconfirmedWriteRequest,), Conformance.UNCONFIRMED_WRITE),
)
_NO_FAULTS = Faults()


class MeterServer:
    """One client on one link. ``receive`` takes what came and gives what goes back; Dropped ends the line."""

    def __init__(self, meter: Meter, link: Link, faults: Faults | None = None) -> None:
        self.meter = meter
        self.link = link
        self.faults = _NO_FAULTS if faults is None else faults
        self.connection = Connection(Side.SERVER, link)
        self.opened: Opened | None = None
        self.restarts = meter.restarts
        self.write: Callable[[bytes], None] = lambda _data: None
        self._services: LogicalNames | ShortNames | None = None
        # The wrapper has no SNRM to wait for: its link stands from the beginning.
        if not link.has_connection:
            self.connection.connect()
            self.connection.next_event()

    def fresh(self) -> MeterServer:
        """What this line meets after the meter has dropped everything."""
        self.close()
        self.link.disconnect()
        return MeterServer(self.meter, self.link, self.faults)

    @property
    def client(self) -> int:
        """The number of the client that speaks, or spoke last."""
        return getattr(self.link, "client", 16)

    def push(self, octets: bytes) -> None:
        """Send an APDU that was not asked for, protected as this association is; the runner's ``write`` carries it."""
        cipher = self.connection.cipher
        octets = octets if cipher is None else cipher.protect_apdu(octets)
        self.link.send_unnumbered(octets)
        self.write(self.connection.data_to_send())

    @property
    def linked(self) -> bool:
        """Does the link stand?"""
        return self.connection.state is not State.NO_LINK

    def receive(self, data: bytes) -> bytes:
        """Bytes from the line to bytes for the line. Dropped: the line must be closed."""
        # One answer for all that came: a meter speaks when it has the turn, not between the pieces of a question. What
        # cannot be read is answered and the rest goes on, so that one bad message does not silence the next.
        if self.restarts != self.meter.restarts:
            self.restarted()
        self.connection.receive(data)
        if not self.link.has_connection and self.opened is None and self.link.statistics.frames:
            self._pre_establish()  # the wrapper has no connection: its first whole frame says who the client is
        while True:
            try:
                event = self.connection.next_event()
            except RemoteProtocolError as error:
                self._answer_unreadable(error)
                continue
            if event is None:
                return self.connection.data_to_send()
            self._take_while_linked(event)

    def _take_while_linked(self, event: Any) -> None:
        """A client that asks and hangs up in one breath gets no answer: the link is down before it is made."""
        try:
            self._take(event)
        except LocalProtocolError:
            if self.link.is_up:
                raise

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is LinkUp:
            self._link_up()
        elif kind is LinkDown:
            self._forget() if event.reason == "disc" else self.close()  # DISC ends the association too
        elif kind is Aarq:
            self._associate(event)
        elif kind is Rlrq:
            self._release(event)
        elif isinstance(event, Apdu) and kind not in ANY_TIME:  # a client has nothing to notify us of
            self._serve(event)

    def restarted(self) -> None:
        """The meter has forgotten its link and association."""
        # Over HDLC the client learns it by DM. Over the wrapper nothing tells it but the refusal of its next question.
        self.restarts = self.meter.restarts
        self._forget()
        if not self.link.has_connection:
            self.connection.state = State.NO_ASSOCIATION
            return
        self.link.disconnect()
        while self.connection.next_event() is not None:
            pass

    def close(self) -> None:
        """The line or the link has gone: an association that was not released is over."""
        if self.opened is not None:
            self.meter.left_open(self.opened.context.association)
        self._forget()

    def _forget(self) -> None:
        self.meter.sessions.discard(self)
        self.opened = self._services = None
        self.connection.cipher = self.connection.blocks = None

    def _link_up(self) -> None:
        # SNRM into a standing link: the association that was in it was never released.
        if self.opened is not None:
            self.close()
        self._pre_establish()

    def _pre_establish(self) -> None:
        row = self.meter.associations.get(self.client)
        if row is not None and row.pre_established:
            cipher = make_cipher(self.meter, row, row.keys, row.client_title or None) if row.keys else None
            kind, services = ("ln", row.ln_services) if row.speaks("ln") else ("sn", row.sn_services)
            self._established(Opened(Context(self.meter, row, kind), services, 0, cipher))
            self.connection.pre_establish()

    # -- opening and closing ------------------------------------------------------------------------------------------

    def _associate(self, aarq: Aarq) -> None:
        # A second AARQ ends the first association, whatever comes of it. An AARQ that cannot be deciphered is answered
        # in plain and not by an AARE; a malformed one by an AARE that gives no reason.
        self._forget()
        row = self.meter.associations.get(self.client)
        faults = row.faults if row is not None and row.faults is not None else self.faults
        if aarq.calling_ap_title and row and row.keys and (fault := faults.strike("counter-refused")):
            refuse_counter(self, fault.value)
            self.connection.state = State.NO_ASSOCIATION
            return
        try:
            if self.meter.stuck(self.client):
                raise Refused(1, transient=True)
            opened, aare = open_association(self.meter, self.client, aarq)
        except Refused as reason:
            self._refuse(refusal(aarq, reason))
        except SecurityError as error:
            self.connection.send(self._security_refusal(error))
        except ProtocolError:
            self._refuse(refusal(aarq, Refused(1)))
        else:
            self.connection.send(aare)
            self._established(opened)

    def _refuse(self, aare: Apdu) -> None:
        self.connection.send(aare)
        self.connection.state = State.NO_ASSOCIATION

    def _established(self, opened: Opened) -> None:
        self.opened = opened
        self.meter.sessions.add(self)
        self.connection.cipher = opened.cipher
        # ``room``: octets of an answer. General blocks cut it below the services, so these need not; ciphering adds to
        # it, so they have less.
        row, room = opened.context.association, opened.client_pdu
        if row.faults is not None and (small := row.faults.get("small-pdu")):
            room = min(room or 0xFFFF, int(small.number))
        if opened.agreed & Conformance.GENERAL_BLOCK_TRANSFER:
            self.connection.blocks = BlockTransfer(max_pdu=room, window=row.gbt_window, follow=True)
            room = 0
        elif room and opened.cipher is not None:
            room -= _CIPHERING
        if opened.context.referencing == "ln":
            self._services = LogicalNames(opened.context, room, opened.agreed)
        else:
            self._services = ShortNames(opened.context, room, opened.agreed, self._prove)

    def _release(self, rlrq: Rlrq) -> None:
        faults = self._association_faults
        if fault := faults.strike("refuse-release"):
            self.connection.state = State.READY
            if fault.value != "silence":
                self.link.send(
                    ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED).encode()
                )
            return
        self.connection.send(Rlre(user_information=self._released(rlrq)))
        self._forget()

    def _released(self, rlrq: Rlrq) -> bytes | None:
        """A ciphered question gets a ciphered answer, a plain one (some clients ask so) a plain one."""
        opened = self.opened
        if opened is None or opened.cipher is None or not rlrq.user_information:
            return None
        try:
            opened.cipher.unprotect_apdu(rlrq.user_information)
        except RemoteProtocolError:
            return None
        response = InitiateResponse(conformance=opened.agreed, max_pdu_size=opened.context.association.max_pdu)
        return opened.cipher.protect_apdu(response.encode())

    # -- services -----------------------------------------------------------------------------------------------------

    @property
    def _association_faults(self) -> Faults:
        found = self.opened.context.association.faults if self.opened else None
        return found if found is not None else self.faults

    def _serve(self, request: Any) -> None:
        # The order of a meter: is there an association, is it proved, is the service granted, and only then what is
        # asked. Before the proof nothing is answered but the proof itself: passes 3 and 4.
        if self.opened is None or self._services is None:
            self.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
            return
        if self._association_faults and not in_spite_of_faults(self, self._association_faults, request):
            return
        if not self.opened.proved and not _is_proof(request) and not is_short_proof(request):
            self.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
            return
        if not self._agreed(request):
            self.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.SERVICE_NOT_SUPPORTED)
            return
        try:
            answer = self._proof(request) if _is_proof(request) else self._services.answer(request)
        except DecodeError:
            self.refuse(request, StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON)
            return
        except RequestRefused:
            self.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
            return
        self._reply(request, answer)

    def _reply(self, request: Any, answer: Apdu | None) -> None:
        # Short names have no service class; who writes without confirmation gets none, by its own service.
        invoke = getattr(request, "invoke", _UNCONFIRMED)
        if answer is None or not invoke & _UNCONFIRMED:
            self.connection.abandon()
            return
        if isinstance(answer, get.GetResponseNormal) and (fault := self._association_faults.strike("stray-octets")):
            answer = replace(answer, data=answer.data + b"\x00" * int(fault.number))
        self.connection.send(answer)

    def _agreed(self, request: Any) -> bool:
        agreed = self.opened.agreed if self.opened else Conformance(0)
        return all(agreed & bit for kinds, bit in _NEEDED if isinstance(request, kinds))

    def refuse(self, request: Any, state: int, service: int) -> None:
        """Answer a whole request with an exception-response."""
        # Past the cipher: an exception-response has no ciphered form.
        if isinstance(request, UnconfirmedWriteRequest):
            return
        self.connection.abandon()
        self.link.send(ExceptionResponse(state, service).encode())

    def _answer_unreadable(self, error: RemoteProtocolError) -> None:
        """What could not be understood or must not be believed is answered in plain, as meters do."""
        # Three mistakes that a client tells apart: not deciphered or an old counter, not understood, not allowed now.
        if self.connection.state is State.NO_LINK:
            return
        self.connection.abandon()
        if isinstance(error, SecurityError):
            answer = self._security_refusal(error)
        elif isinstance(error, DecodeError):
            answer = ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED)
        else:
            answer = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
        self.link.send(answer.encode())

    def _security_refusal(self, error: SecurityError) -> ExceptionResponse:
        # The counter that would do is told, as the standard has it: a client whose counter is too low goes on from it.
        if error.reason == "counter":
            expected = self.meter.client_counter() + 1
            return ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, expected)
        return ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR)

    # -- proof of the secret (passes 3 and 4) -------------------------------------------------------------------------

    def _proof(self, request: action.ActionRequestNormal) -> Apdu:
        # A wrong proof is refused as an action that failed, and counted like a wrong password. The association stays,
        # but not proved: nothing else is answered in it.
        try:
            answer = self._prove(decode_whole(request.data or b""))
        except SecurityError:
            return action.ActionResponseNormal(request.invoke, ActionResult.OTHER_REASON)
        return action.ActionResponseNormal(request.invoke, 0, None, b"\x09" + bytes((len(answer),)) + answer)

    def _prove(self, value: Data) -> bytes:
        """Check the client's answer to our challenge; our answer to his. SecurityError: he does not know the secret."""
        if self.opened is None or value.type is not DataType.OCTET_STRING:
            raise SecurityError("no answer to a challenge", reason="authentication")
        return prove(self.meter, self.opened, value.value)


def _is_proof(request: Any) -> bool:
    return isinstance(request, action.ActionRequestNormal) and request.method == MethodDescriptor(*CURRENT_LN, 1)


__all__ = ["Dropped", "MeterServer"]
