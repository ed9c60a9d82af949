"""ACSE (BER): AARQ and AARE open an association, RLRQ and RLRE release it.

A message is a row of tagged fields. What we send is minimal and in the order of the standard; what we read may have
fields that we do not know (kept in ``unknown``), leave out any (None), or go on after its end (kept in ``trailing``).

    60 36                                       AARQ with the password 12345678
       A1 09  06 07 60 85 74 05 08 01 01        application-context-name: logical names, not ciphered
       8A 02  07 80                             sender-acse-requirements: authentication
       8B 07  60 85 74 05 08 02 01              mechanism-name: low-level security
       AC 0A  80 08 31 32 33 34 35 36 37 38     calling-authentication-value
       BE 10  04 0E 01 00 00 00 06 5F 1F 04 ..  user-information: an InitiateRequest
    61 29                                       AARE
       A1 09  06 07 60 85 74 05 08 01 01        application-context-name
       A2 03  02 01 00                          result: accepted
       A3 05  A1 03 02 01 00                    result-source-diagnostic: user, null
       BE 10  04 0E 08 00 06 5F 1F 04 ..        user-information: an InitiateResponse

Two encodings meet here: these messages are BER, where each field says what it is and how long, the xDLMS APDU in their
user-information is A-XDR, where the place alone says it. In the clear go both, even in a ciphered association: only
that inner APDU is protected then, as the other side must first know by whom it is called and with which title.

Source: IEC 62056-5-3:2017, clause 8 (the ACSE APDUs, a subset of ISO/IEC 8650-1) and annex D (examples of encoding);
Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.acse.ber import decode_integer, encode_integer, encode_tlv, iter_tlv, read_tlv
from dlms_mqtt.protocol.acse.names import (
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    ReleaseRequestReason,
    ReleaseResponseReason,
    ServiceProviderDiagnostic,
    ServiceUserDiagnostic,
)
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.layout import Apdu, Code, code_text
from dlms_mqtt.protocol.secret import Secret

# Names are object identifiers of the DLMS User Association: joint-iso-ccitt(2) country(16) ch(756) identified-
# organisation(5) dlms-ua(8), then 1 for application contexts and 2 for mechanisms.
_CONTEXT_OID = bytes.fromhex("60857405080100")[:-1]  # 2.16.756.5.8.1, then the number of the context
_MECHANISM_OID = bytes.fromhex("60857405080200")[:-1]  # 2.16.756.5.8.2, then the number of the mechanism
AUTHENTICATION_REQUIREMENT = b"\x07\x80"  # ACSE requirements: one bit (seven of the octet unused), authentication


_DIAGNOSTICS: dict[int, type[Code]] = {1: ServiceUserDiagnostic, 2: ServiceProviderDiagnostic}


class _Form(NamedTuple):
    """How the contents of one field are read and written."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def _inner(contents: bytes, tag: int, what: str) -> bytes:
    """Contents of the one element inside an EXPLICIT tag; what is behind it is left alone."""
    found, octets = read_tlv(Reader(contents))
    if found != tag:
        raise DecodeError(f"{what} is tagged {found:02x}, not {tag:02x}")
    return octets


# Most fields are EXPLICIT: the field's own tag (a1) holds one whole element (06, an object identifier). The few
# IMPLICIT ones (8b, 80) hold the bare contents. Which is which stands in the rows of FIELDS.
def _explicit(tag: int, what: str, form: _Form) -> _Form:
    return _Form(
        lambda contents: form.decode(_inner(contents, tag, what)),
        lambda value: encode_tlv(tag, form.encode(value)),
    )


def _named_oid(prefix: bytes, kind: type[Code]) -> _Form:
    """An object identifier of ours as its last number, any other one as its bytes."""

    # A name that is not the DLMS User Association's is that of a private context or algorithm: it is kept as it came,
    # so that an error can show it.
    def decode(contents: bytes) -> Any:
        ours = len(contents) == len(prefix) + 1 and contents.startswith(prefix)
        return kind.of(contents[-1]) if ours else contents

    return _Form(decode, lambda value: value if isinstance(value, bytes) else prefix + bytes((value,)))


def _decode_authentication(contents: bytes) -> Secret:
    # CHOICE charstring [0], bitstring [1], external [2], other [3]: the octets are what counts.
    _, octets = read_tlv(Reader(contents))
    return Secret(octets)


def _decode_diagnostic(contents: bytes) -> Diagnostic:
    # A1 the ACSE service user (the meter's application), A2 the provider: the same number means another thing in each.
    tag, octets = read_tlv(Reader(contents))
    source = tag & 0x1F
    code = decode_integer(_inner(octets, 0x02, "diagnostic"))
    return Diagnostic(DiagnosticSource.of(source), _DIAGNOSTICS[source].of(code) if source in _DIAGNOSTICS else code)


def _encode_diagnostic(value: Diagnostic) -> bytes:
    return encode_tlv(0xA0 | value.source, encode_tlv(0x02, encode_integer(value.code)))


_RAW = _Form(bytes, bytes)
_INTEGER = _Form(decode_integer, encode_integer)
_RESULT = _Form(lambda contents: AssociationResult.of(decode_integer(contents)), encode_integer)
_DIAGNOSTIC = _Form(_decode_diagnostic, _encode_diagnostic)
_AUTHENTICATION = _Form(_decode_authentication, lambda value: encode_tlv(0x80, value))
_CONTEXT = _explicit(0x06, "application-context-name", _named_oid(_CONTEXT_OID, ApplicationContext))
_MECHANISM = _named_oid(_MECHANISM_OID, Mechanism)


def _octets(what: str) -> _Form:
    return _explicit(0x04, what, _RAW)


def _number(what: str) -> _Form:
    return _explicit(0x02, what, _INTEGER)


_Fields = dict[int, tuple[str, _Form]]


class _Acse(Apdu):
    """A message made of tagged fields: FIELDS has a row for each, tag -> attribute and form.

    A tag is class and form in the upper three bits (80 context-specific, A0 the same with elements inside), the field's
    number in the lower five.
    """

    __slots__ = ()
    FIELDS: ClassVar[_Fields] = {}

    def encode_body(self) -> bytes:
        """The octets after the head."""
        known = [
            (tag, form.encode(value))
            for tag, (name, form) in self.FIELDS.items()
            if (value := getattr(self, name)) is not None
        ]
        unknown: tuple[tuple[int, bytes], ...] = getattr(self, "unknown", ())
        # The standard numbers the fields in their order.
        # A field's number is the lower five bits of its tag; the others say class and whether there are elements
        # inside.
        fields = sorted([*known, *unknown], key=lambda field: field[0] & 0x1F if field[0] < 0x100 else field[0])
        body = b"".join([encode_tlv(tag, contents) for tag, contents in fields])
        return encode_length(len(body)) + body

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head, and keep what comes after the message."""
        found: dict[str, Any] = {name: None for name, _ in cls.FIELDS.values()}
        unknown: list[tuple[int, bytes]] = []
        for tag, contents in iter_tlv(reader.octets(cls.NAME)):
            name, form = cls.FIELDS.get(tag, ("", _RAW))
            # Tolerated: fields that we do not know or that come twice. They are kept apart and change nothing; of two
            # the first counts, so that a field put in behind a message cannot replace what it says.
            if name and found[name] is None:
                found[name] = form.decode(contents)
            else:
                unknown.append((tag, contents))
        found |= {"unknown": tuple(unknown), "trailing": reader.rest()}
        return cls(**found)


# Never sent by us: version 1 is the only one and the default, and the other says who made the implementation.
_PROTOCOL_VERSION = ("protocol_version", _RAW)
_IMPLEMENTATION = ("implementation_information", _RAW)
_USER_INFORMATION = ("user_information", _octets("user-information"))


@dataclass(frozen=True, slots=True)
class Aarq(_Acse, head=(0x60,), name="aarq"):
    """Asks for an association. ``calling_ae_invocation_id`` is the user id; ``user_information`` an initiate APDU.

    ``calling_ap_title`` is the client's system title, which a meter needs to decipher. ``authentication_value`` is the
    password itself with low-level security, with high-level security a challenge to the meter (pass 1).
    """

    FIELDS: ClassVar[_Fields] = {
        0x80: _PROTOCOL_VERSION,
        0xA1: ("application_context", _CONTEXT),
        0xA2: ("called_ap_title", _octets("called-AP-title")),
        0xA3: ("called_ae_qualifier", _octets("called-AE-qualifier")),
        0xA4: ("called_ap_invocation_id", _number("called-AP-invocation-id")),
        0xA5: ("called_ae_invocation_id", _number("called-AE-invocation-id")),
        0xA6: ("calling_ap_title", _octets("calling-AP-title")),
        0xA7: ("calling_ae_qualifier", _octets("calling-AE-qualifier")),
        0xA8: ("calling_ap_invocation_id", _number("calling-AP-invocation-id")),
        0xA9: ("calling_ae_invocation_id", _number("calling-AE-invocation-id")),
        # The three that authentication needs; without it all three are left out. Two are IMPLICIT (8A, 8B); the value
        # is a CHOICE, which cannot be, as its own tag says which of the forms it has.
        0x8A: ("acse_requirements", _RAW),
        0x8B: ("mechanism", _MECHANISM),
        0xAC: ("authentication_value", _AUTHENTICATION),
        0xBD: _IMPLEMENTATION,
        0xBE: _USER_INFORMATION,
    }

    application_context: ApplicationContext | int | bytes | None = None
    calling_ap_title: bytes | None = None
    acse_requirements: bytes | None = None
    mechanism: Mechanism | int | bytes | None = None
    authentication_value: Secret | None = None
    user_information: bytes | None = None
    calling_ae_invocation_id: int | None = None
    calling_ap_invocation_id: int | None = None
    calling_ae_qualifier: bytes | None = None
    called_ap_title: bytes | None = None
    called_ae_qualifier: bytes | None = None
    called_ap_invocation_id: int | None = None
    called_ae_invocation_id: int | None = None
    protocol_version: bytes | None = None
    implementation_information: bytes | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()
    trailing: bytes = b""


@dataclass(frozen=True, slots=True)
class Aare(_Acse, head=(0x61,), name="aare"):
    """Answers an AARQ. ``user_information`` is an initiate response or a confirmedServiceError, perhaps ciphered.

    ``responding_ap_title`` is the meter's system title; ``authentication_value`` its challenge to us (pass 2). Who
    refuses may leave all but result and diagnostic out.
    """

    FIELDS: ClassVar[_Fields] = {
        0x80: _PROTOCOL_VERSION,
        0xA1: ("application_context", _CONTEXT),
        0xA2: ("result", _explicit(0x02, "result", _RESULT)),
        0xA3: ("diagnostic", _DIAGNOSTIC),
        0xA4: ("responding_ap_title", _octets("responding-AP-title")),
        0xA5: ("responding_ae_qualifier", _octets("responding-AE-qualifier")),
        0xA6: ("responding_ap_invocation_id", _number("responding-AP-invocation-id")),
        0xA7: ("responding_ae_invocation_id", _number("responding-AE-invocation-id")),
        0x88: ("acse_requirements", _RAW),
        0x89: ("mechanism", _MECHANISM),
        0xAA: ("authentication_value", _AUTHENTICATION),
        0xBD: _IMPLEMENTATION,
        0xBE: _USER_INFORMATION,
    }

    application_context: ApplicationContext | int | bytes | None = None
    result: AssociationResult | int | None = None
    diagnostic: Diagnostic | None = None
    responding_ap_title: bytes | None = None
    acse_requirements: bytes | None = None
    mechanism: Mechanism | int | bytes | None = None
    authentication_value: Secret | None = None
    user_information: bytes | None = None
    responding_ae_invocation_id: int | None = None
    responding_ap_invocation_id: int | None = None
    responding_ae_qualifier: bytes | None = None
    protocol_version: bytes | None = None
    implementation_information: bytes | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()
    trailing: bytes = b""

    @property
    def accepted(self) -> bool:
        """Did the meter accept? (It may still want the second half of an HLS authentication.)"""
        # With high-level security the diagnostic is then authentication-required: before passes 3 and 4 a meter answers
        # nothing but our proof.
        return self.result == AssociationResult.ACCEPTED

    @property
    def initiate(self) -> bytes | None:
        """The whole user-information: meters that count too few octets leave its end behind the message."""
        # What lies behind a message that was counted right is in the way of nobody: an InitiateResponse ends by itself.
        return self.user_information + self.trailing if self.user_information else None

    @property
    def text(self) -> str:
        """Result and diagnostic in the standard's words."""
        result = "no result" if self.result is None else code_text(self.result)
        return f"{result}: {self.diagnostic.text}" if self.diagnostic else result


# Meters without a release answer the RLRQ with an error or not at all; who asks must live with that. Over HDLC the DISC
# behind it ends the association anyway; over UDP, which has no connection, the release is all there is.
_RELEASE_FIELDS: _Fields = {0x80: ("reason", _INTEGER), 0xBE: _USER_INFORMATION}


@dataclass(frozen=True, slots=True)
class Rlrq(_Acse, head=(0x62,), name="rlrq"):
    """Asks for the release; ``user_information`` a ciphered initiate request where the association is ciphered.

    The protected copy is there for its tag: anybody on the line could write the rest, and end an association of others.
    """

    FIELDS: ClassVar[_Fields] = _RELEASE_FIELDS

    reason: int | None = ReleaseRequestReason.NORMAL
    user_information: bytes | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()
    trailing: bytes = b""


@dataclass(frozen=True, slots=True)
class Rlre(_Acse, head=(0x63,), name="rlre"):
    """Answers an RLRQ."""

    FIELDS: ClassVar[_Fields] = _RELEASE_FIELDS

    reason: int | None = ReleaseResponseReason.NORMAL
    user_information: bytes | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()
    trailing: bytes = b""


APDUS: tuple[type[Apdu], ...] = (Aarq, Aare, Rlrq, Rlre)

__all__ = [
    "APDUS",
    "AUTHENTICATION_REQUIREMENT",
    "Aare",
    "Aarq",
    "ApplicationContext",
    "AssociationResult",
    "Diagnostic",
    "DiagnosticSource",
    "Mechanism",
    "ReleaseRequestReason",
    "ReleaseResponseReason",
    "Rlre",
    "Rlrq",
    "ServiceProviderDiagnostic",
    "ServiceUserDiagnostic",
]
