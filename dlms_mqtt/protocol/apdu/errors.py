"""How a server refuses a whole request: exception-response, and the older confirmedServiceError.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from typing import Self

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.buffer import Reader
from dlms_mqtt.protocol.layout import U8, U32, Apdu, Code, code_text


class StateError(Code):
    """state-error of an exception-response."""

    SERVICE_NOT_ALLOWED = 1
    SERVICE_UNKNOWN = 2


class ServiceError(Code):
    """service-error of an exception-response."""

    OPERATION_NOT_POSSIBLE = 1
    SERVICE_NOT_SUPPORTED = 2
    OTHER_REASON = 3
    PDU_TOO_LONG = 4
    DECIPHERING_ERROR = 5
    INVOCATION_COUNTER_ERROR = 6


@dataclass(frozen=True, slots=True)
class ExceptionResponse(Apdu, head=(0xD8,), name="exception-response"):
    """The request was not carried out; ``invocation_counter`` is the one the server expects (service-error 6)."""

    state: int
    service: int
    invocation_counter: int | None = None

    @property
    def text(self) -> str:
        """Both errors in the standard's words."""
        return f"{code_text(self.state)}, {code_text(self.service)}"

    def encode_body(self) -> bytes:
        """The octets after the head."""
        counter = b"" if self.invocation_counter is None else U32.encode(self.invocation_counter)
        return bytes((self.state, self.service)) + counter

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        state = StateError.of(reader.u8("state-error"))
        service = ServiceError.of(reader.u8("service-error"))
        # Older servers know the error but do not say the counter.
        has_counter = service == ServiceError.INVOCATION_COUNTER_ERROR and reader.remaining >= 4
        return cls(state, service, reader.u32("invocation-counter") if has_counter else None)


# ConfirmedServiceError: the service that failed (from 1), the category of the error, its number within the category.
_SERVICES = (
    "initiate-error, get-status, get-name-list, get-variable-attribute, read, write, get-data-set-attribute, "
    "get-ti-attribute, change-scope, start, stop, resume, make-usable, initiate-load, load-segment, terminate-load, "
    "initiate-up-load, up-load-segment, terminate-up-load"
)
_CATEGORIES: dict[int, tuple[str, str]] = {
    0: (
        "application-reference",
        "other, time-elapsed, application-unreachable, application-reference-invalid, "
        "application-context-unsupported, provider-communication-error, deciphering-error",
    ),
    1: (
        "hardware-resource",
        "other, memory-unavailable, processor-resource-unavailable, mass-storage-unavailable, "
        "other-resource-unavailable",
    ),
    2: ("vde-state-error", "other, no-dlms-context, loading-data-set, status-nochange, status-inoperable"),
    3: ("service", "other, pdu-size, service-unsupported"),
    4: ("definition", "other, object-undefined, object-class-inconsistent, object-attribute-inconsistent"),
    5: ("access", "other, scope-of-access-violated, object-access-violated, hardware-fault, object-unavailable"),
    6: (
        "initiate",
        "other, dlms-version-too-low, incompatible-conformance, pdu-size-too-short, refused-by-the-VDE-handler",
    ),
    7: (
        "load-data-set",
        "other, primitive-out-of-sequence, not-loadable, dataset-size-too-large, not-awaited-segment, "
        "interpretation-failure, storage-failure, data-set-not-ready",
    ),
    8: ("change-scope", "other"),
    9: ("task", "other, no-remote-control, ti-stopped, ti-running, ti-unusable"),
    10: ("other", "other"),
}


def _word(words: str, number: int, what: str, first: int = 0) -> str:
    known = dict(enumerate(words.split(", "), first)) if words else {}
    return known.get(number, f"{what} {number}")


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError(Apdu, head=(0x0E,), name="confirmed-service-error", layout=(U8, U8, U8)):
    """The service that failed, the category of the error and its number, as the standard counts them."""

    service: int
    category: int
    value: int

    @property
    def text(self) -> str:
        """The three numbers in the standard's words."""
        category, values = _CATEGORIES.get(self.category, (f"category {self.category}", ""))
        service = _word(_SERVICES, self.service, "service", 1)
        return f"{service}: {category}: {_word(values, self.value, 'code')}"


APDUS: tuple[type[Apdu], ...] = (ExceptionResponse, ConfirmedServiceError)
