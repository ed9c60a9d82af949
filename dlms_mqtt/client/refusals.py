"""The meter said no: its codes turned into sentences with a next step. One table per kind of answer."""

from __future__ import annotations

from dlms_mqtt.errors import (
    AccessRefused,
    ActionRefused,
    AuthenticationRefused,
    DlmsMqttError,
    MeterRefused,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse
from dlms_mqtt.protocol.apdu.results import ActionResult, DataAccessResult, code_text

_HINTS = {
    "read-write-denied": "This client may not do that; another client address or a higher authentication may.",
    "object-undefined": "The meter has no such object for this client; `dlms-mqtt objects` lists what it has.",
    "object-class-inconsistent": "The object is of another class; `dlms-mqtt objects` shows which.",
    "object-unavailable": "The object exists but cannot be used now.",
    "type-unmatched": "The meter wants another type; --type sets it.",
    "scope-of-access-violated": "This client may see only a part of the object.",
    "temporary-failure": "Try again in a minute.",
    "hardware-fault": "The meter reports a fault of its own.",
    "other-reason": "The meter gives no reason.",
}
#: Names of the codes that say: not this object, at least not in this class.
NO_SUCH_OBJECT = frozenset({"object-undefined", "object-class-inconsistent"})
_BLOCKS = "The meter lost a transfer in blocks; try again, or ask for less at a time."
_OWN_CODE = "The code is the meter's own; its manual may explain it."


def _hint(name: str) -> str:
    return _HINTS.get(name) or (_OWN_CODE if name.startswith("code ") else _BLOCKS)


def access_refused(code: int, target: object, verb: str = "read") -> AccessRefused:
    """A data-access-result as an error."""
    known = DataAccessResult.of(code)
    name = code_text(known)
    message = f"the meter refused to {verb} {target}: {name}"
    return AccessRefused(message, code=int(code), name=name, target=str(target), hint=_hint(name))


def action_refused(code: int, target: object) -> ActionRefused:
    """An action-result as an error."""
    name = code_text(ActionResult.of(code))
    message = f"the meter refused to run {target}: {name}"
    return ActionRefused(message, code=int(code), name=name, target=str(target), hint=_hint(name))


def service_refused(answer: object, *, unprotected: bool = False) -> MeterRefused | None:
    """An exception-response or confirmed service error as an error; None for any other answer.

    ``unprotected``: it came in plain where messages are ciphered, so anybody may have sent it.
    """
    doubt = " (unauthenticated: the refusal came in plain)" if unprotected else ""
    if isinstance(answer, ExceptionResponse):
        return ServiceRefused(
            f"the meter answered with an exception: {answer.text}{doubt}",
            code=int(answer.service),
            name=answer.text,
            invocation_counter=answer.invocation_counter,
            hint=_EXCEPTION_HINTS.get(int(answer.service), ""),
        )
    if isinstance(answer, ConfirmedServiceError):
        return ServiceRefused(
            f"the meter answered with a service error: {answer.text}{doubt}", code=answer.value, name=answer.text
        )
    return None


_EXCEPTION_HINTS = {
    1: "The meter cannot do this service in this association.",
    2: "The meter does not know this service.",
    4: "The answer would be too long; ask for less at a time.",
    5: "A key is wrong, the invocation counter is too low (`dlms-mqtt counter` shows and raises it), or the message "
    "was not protected as the meter's policy asks.",
    6: "The invocation counter was too low; `dlms-mqtt counter` shows and raises it.",
}


def about_secrets(error: DlmsMqttError) -> bool:
    """Is this about a wrong password or key? Then it must not be tried again by itself: meters lock."""
    if isinstance(error, ServiceRefused):
        return "deciphering-error" in error.name
    return isinstance(error, AuthenticationRefused) or (
        isinstance(error, SecurityError) and error.reason in ("tag", "key")
    )
