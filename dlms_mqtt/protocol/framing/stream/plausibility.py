"""Whether octets that can be read as an APDU were meant as one: without framing, any octets may happen to fit.

A stream that is entered in the middle of a frame begins with such octets. What is refused here is never sent by a
meter: a request for nothing, a time of another length, a ciphered content without a header that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu import TABLE, decode_prefix
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.general import CipheredApdu, GeneralDedCiphering, GeneralGloCiphering
from dlms_mqtt.protocol.apdu.notification import DataNotification, DataNotificationConfirm, EventNotification
from dlms_mqtt.protocol.apdu.short_name import (
    InformationReportRequest,
    ReadRequest,
    ReadResponse,
    UnconfirmedWriteRequest,
    WriteRequest,
    WriteResponse,
)
from dlms_mqtt.protocol.axdr.data import CONTAINERS
from dlms_mqtt.protocol.layout import Apdu

TAGS = frozenset(head[0] for head in TABLE)
_HEADER, _TAG = 5, 12  # octets of the header and of the authentication tag of a ciphered content
_PROTECTED, _TAGGED, _SUITE, _SUITES = 0x30, 0x10, 0x0F, 3
_TITLES = (0, 8)
_TIME_LENGTH = 12
_YEARS = range(1990, 2200)
_FIRST_TAGS = b"\x0f\x18\xc2\xdb\xdc\xdd\xdf\xe0"  # of what a meter sends by itself
_NOTIFICATION, _NULL = 0x0F, 0
_TIME_AT = 5  # octets of tag and invoke id before the date-time of a data notification
_TIMES = (b"\x00", b"\x0c", b"\x09\x0c")


_PUSHED = (EventNotification, InformationReportRequest, GeneralGloCiphering, GeneralDedCiphering)


def plausible(message: Apdu) -> bool:
    """Whether this is a message that somebody would send."""
    rule = _RULES.get(type(message))
    return rule is None or rule(message)


def pushed(message: Apdu) -> bool:
    """Whether this is what meters send by themselves: no other message begins a line that is only listened to."""
    if isinstance(message, DataNotification):
        return message.data[0] in CONTAINERS
    return isinstance(message, _PUSHED)


def begins_apdu(data: bytes, *, whole: bool) -> bool:
    """Whether an APDU begins here, though no LLC octets say so; ``whole``: it also ends here."""
    if not whole:
        return plausible_head(data)
    try:
        return plausible(decode_prefix(data)[0])
    except DecodeError:
        return False


def plausible_head(data: bytes) -> bool:
    """The same of the first octets of an APDU whose end is not here."""
    if data[:2] in TABLE:
        return True
    if data[:1] != bytes((_NOTIFICATION,)):
        return data[:1] != b"" and data[0] in _FIRST_TAGS
    time = data[_TIME_AT : _TIME_AT + 2]
    return any(known.startswith(time[: len(known)]) for known in _TIMES)


def _ciphered(message: Any) -> bool:
    body, title = message.body, getattr(message, "system_title", b"")
    control = body[0] if body else 0
    least = _HEADER + (_TAG if control & _TAGGED else 0)
    known = control & _PROTECTED and control & _SUITE < _SUITES
    return bool(known and len(body) >= least and len(title) in _TITLES)


def _time(raw: bytes | None) -> bool:
    if not raw:
        return True
    return len(raw) == _TIME_LENGTH and (raw[:2] == b"\xff\xff" or int.from_bytes(raw[:2], "big") in _YEARS)


def _notification(message: DataNotification) -> bool:
    return _time(message.date_time) and message.data[0] != _NULL


def _event(message: EventNotification) -> bool:
    return _time(message.date_time)


def _confirm(message: DataNotificationConfirm) -> bool:
    return _time(message.date_time)


def _exception(message: ExceptionResponse) -> bool:
    return isinstance(message.state, StateError) and isinstance(message.service, ServiceError)


def _service_error(message: ConfirmedServiceError) -> bool:
    return 0 < message.service < 20 and message.category < 11 and message.value < 8


def _asks(message: Any) -> bool:
    return bool(message.variables)


def _answers(message: Any) -> bool:
    return bool(message.results)


_RULES: dict[type, Callable[[Any], bool]] = {
    CipheredApdu: _ciphered,
    GeneralGloCiphering: _ciphered,
    GeneralDedCiphering: _ciphered,
    DataNotification: _notification,
    DataNotificationConfirm: _confirm,
    EventNotification: _event,
    ExceptionResponse: _exception,
    ConfirmedServiceError: _service_error,
    ReadRequest: _asks,
    WriteRequest: _asks,
    UnconfirmedWriteRequest: _asks,
    InformationReportRequest: _asks,
    ReadResponse: _answers,
    WriteResponse: _answers,
}
