"""Where the faults of an association and of the meter strike: between a request and its answer."""

from __future__ import annotations

from typing import Any, Protocol

from dlms_mqtt.protocol.apdu import action, get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.access import AccessRequest
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.connection import Connection
from dlms_mqtt.protocol.framing.link import Link
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.meter import Meter

_AHEAD = 100  # how far the counter that a fault names is ahead of the last one
_LISTS = (
    get.GetRequestWithList,
    set_.SetRequestWithList,
    set_.SetRequestWithListFirstBlock,
    action.ActionRequestWithList,
    action.ActionRequestWithListFirstPblock,
    AccessRequest,
)


class Session(Protocol):
    """What a fault strikes: the session of one client."""

    meter: Meter
    link: Link
    connection: Connection
    restarts: int

    def restarted(self) -> None:
        """The meter has forgotten its link and association."""

    def refuse(self, request: Any, state: int, service: int) -> None:
        """Answer a request with an exception-response."""


class Dropped(Exception):
    """A fault: the connection ends here."""


_METER_FAULTS: dict[str, Any] = {
    "tariff-switch": lambda meter, fault: meter.force_tariff(int(fault.number)),
    "clock-drift": lambda meter, fault: meter.drift(fault.seconds),
    "clock-jump": lambda meter, fault: meter.jump(fault.seconds),
    "register-reset": lambda meter, _fault: meter.reset_registers(),
    "restart": lambda meter, _fault: meter.restart(),
}


def in_spite_of_faults(session: Session, faults: Faults, request: Any) -> bool:
    """Let the faults of this association and the meter strike; False: the request is done with. Dropped."""
    for name, strike in _METER_FAULTS.items():
        if fault := faults.strike(name):
            strike(session.meter, fault)
    if session.restarts != session.meter.restarts:
        session.restarted()
        raise Dropped
    if isinstance(request, (get.GetRequestNext, set_.SetRequestBlock, action.ActionRequestPblock)):
        _count_block(faults, request)
    if session.connection.cipher is not None and (fault := faults.strike("counter-refused")):
        refuse_counter(session, fault.value)
        return False
    if faults.strike("exception"):
        session.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
        return False
    if isinstance(request, _LISTS) and (fault := faults.strike("refuse-lists")):
        return _refuse_list(session, request, fault.value)
    return True


def _count_block(faults: Faults, request: Any) -> None:
    fault = faults.get("drop-in-blocks")
    if fault is not None and request.block_number + 1 >= fault.number and faults.strike("drop-in-blocks"):
        raise Dropped


def refuse_counter(session: Session, how: str) -> None:
    """As if somebody else had used this client's key meanwhile."""
    session.connection.abandon()
    if how == "silence":
        return
    expected = session.meter.client_counter() + _AHEAD if how == "told" else None
    refusal = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, expected)
    session.link.send(refusal.encode())


def _refuse_list(session: Session, request: Any, how: str) -> bool:
    if how == "silence":
        session.connection.abandon()
    elif how == "error" and isinstance(request, get.GetRequestWithList):
        session.connection.send(get.GetResponseNormal(request.invoke, 250, b""))
    else:
        session.refuse(request, StateError.SERVICE_NOT_ALLOWED, ServiceError.SERVICE_NOT_SUPPORTED)
    return False
