"""Replies to requests, and the one table from exceptions to the codes of the API."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dlms_mqtt import errors
from dlms_mqtt.bridge.api.errors import LockedOut, RequestError

# data-access-result and action-result share these numbers (IEC 62056-5-3); every other result is meter-refused
_RESULTS = {
    2: "temporary-failure",
    3: "access-denied",
    4: "object-undefined",
    12: "type-unmatched",
    13: "access-denied",
}
# words of an exception-response or confirmed service error
_SERVICE = {
    "service-not-supported": "not-supported",
    "service-unsupported": "not-supported",
    "service-unknown": "not-supported",
    "deciphering-error": "security-error",
    "invocation-counter-error": "security-error",
    "object-undefined": "object-undefined",
}


def _service_code(error: errors.ServiceRefused) -> str:
    return next((code for word, code in _SERVICE.items() if word in error.name), "meter-refused")


# what such an answer says of our own message, in the words of a SecurityError
_REASONS = {"deciphering-error": "key", "invocation-counter-error": "counter"}

_Code = str | Callable[[Any], str]

#: The first row that fits counts.
_TABLE: tuple[tuple[type[BaseException], _Code], ...] = (
    (RequestError, lambda error: str(error.code)),
    (LockedOut, "locked-out"),
    (errors.AuthenticationRefused, "authentication-refused"),
    (errors.AssociationRefused, "association-refused"),
    (errors.AttributeFailed, lambda error: code_of(error.error)),
    (errors.AccessRefused, lambda error: _RESULTS.get(error.code, "meter-refused")),
    (errors.ServiceRefused, _service_code),
    (errors.MeterRefused, "meter-refused"),
    (errors.ResponseTimeout, "no-answer"),
    (errors.TransportError, "link-down"),
    (errors.SecurityError, "security-error"),
    (errors.RemoteProtocolError, "no-answer"),  # something came, but no answer that means anything
    (errors.ConfigError, "invalid-value"),
    (TimeoutError, "timeout"),
    (CancelledError, "cancelled"),
)

_HINTS = {
    "link-down": "Check the port or address, the cable and the converter; another program may hold the port.",
    "no-answer": "Check address, speed and the position of the optical head.",
    "temporary-failure": "Try again later.",
    "access-denied": "This client may not do that; another client address or authentication may.",
    "object-undefined": "The meter has no such object; `objects` lists what it has.",
    "type-unmatched": "Give the type in the request.",
    "timeout": "Ask again with a longer timeout.",
}
_MESSAGES = {
    "timeout": "The request took longer than it may",
    "cancelled": "The request was cancelled",
    "internal": "A fault of the bridge; its log says more",
}


def code_of(error: BaseException) -> str:
    """The API's code for an exception."""
    code = next((code for kind, code in _TABLE if isinstance(error, kind)), "internal")
    return code if isinstance(code, str) else code(error)


def error_of(error: BaseException) -> dict[str, Any]:
    """The ``error`` object of a reply: code, message, hint, detail."""
    code = code_of(error)
    message = getattr(error, "message", "") or _MESSAGES.get(code, code)
    return {
        "code": code,
        "message": message,
        "hint": getattr(error, "hint", "") or _HINTS.get(code, ""),
        "detail": _detail(error),
    }


def _detail(error: BaseException) -> dict[str, Any]:
    detail = dict(error.detail) if isinstance(error, RequestError) else {}
    if isinstance(error, errors.MeterRefused):
        facts = {"result": error.code, "name": error.name, "target": getattr(error, "target", "")}
        detail |= {key: value for key, value in facts.items() if value not in (None, "")}
    if isinstance(error, LockedOut):
        detail["until"] = datetime.fromtimestamp(error.until, UTC).isoformat(timespec="seconds")
    if reason := _reason(error):
        detail["reason"] = reason
    return detail


def _reason(error: BaseException) -> str:
    """The finer word: of a SecurityError, an answer that did not come, or an exception about our message."""
    if isinstance(error, errors.ServiceRefused):
        return next((reason for word, reason in _REASONS.items() if word in error.name), "")
    return str(getattr(error, "reason", ""))


def ok(data: Any) -> dict[str, Any]:
    """A reply that says yes."""
    return {"status": "ok", "data": {} if data is None else data}


def failed(error: BaseException) -> dict[str, Any]:
    """A reply that says no and why."""
    return {"status": "error", "error": error_of(error)}


def progress(done: int, total: int, stage: str) -> dict[str, Any]:
    """What long work says on its way."""
    return {"status": "progress", "data": {"done": done, "total": total, "stage": stage}}
