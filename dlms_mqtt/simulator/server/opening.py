"""AARQ to AARE in the meter's role: who is it, may he come in, and what do we agree on."""

from __future__ import annotations

from dataclasses import dataclass

from dlms_mqtt.errors import DecodeError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.acse.messages import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    ServiceUserDiagnostic,
)
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS
from dlms_mqtt.protocol.apdu.initiate import DLMS_VERSION, LN_VAA, SN_VAA, InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import (
    Cipher,
    HlsContext,
    Keys,
    Security,
    Unprotected,
    answer_challenge,
    check_password,
    verify_answer,
)
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.meter import Meter
from dlms_mqtt.simulator.server.objects import Context

D = ServiceUserDiagnostic
_FORMS = (
    dict.fromkeys(GLO_TAGS.values(), "global")
    | dict.fromkeys(DED_TAGS.values(), "dedicated")
    | {0xDB: "general-global", 0xDC: "general-dedicated"}
)
_CHALLENGE = 16
_LEAST_PDU = 12


class MeterCipher(Cipher):
    """A meter answers in the form and with the protection in which it was asked."""

    def open(self, apdu: bytes) -> Unprotected:
        """As of ``Cipher``; remembers how the message was protected."""
        found = super().open(apdu)
        if apdu[0] in _FORMS:
            self.form = _FORMS[apdu[0]]
            self.security = found.security
        return found


class Refused(Exception):
    """The AARE that refuses."""

    def __init__(self, diagnostic: int, information: bytes | None = None, *, transient: bool = False) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
        self.information = information
        self.result = AssociationResult.REJECTED_TRANSIENT if transient else AssociationResult.REJECTED_PERMANENT


@dataclass(slots=True)
class Opened:
    """An association that stands, perhaps waiting for the client's proof (``challenge`` is ours)."""

    context: Context
    agreed: Conformance
    client_pdu: int
    cipher: MeterCipher | None
    challenge: bytes = b""
    client_challenge: bytes = b""
    proved: bool = True


def refusal(aarq: Aarq, reason: Refused) -> Aare:
    """The AARE that says no."""
    return Aare(
        application_context=aarq.application_context,
        result=reason.result,
        diagnostic=Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, ServiceUserDiagnostic.of(reason.diagnostic)),
        user_information=reason.information,
    )


def open_association(meter: Meter, client: int, aarq: Aarq) -> tuple[Opened, Aare]:
    """The association and the AARE; Refused, SecurityError."""
    row = meter.associations.get(client)
    if row is None:
        raise Refused(D.NO_REASON_GIVEN)
    context_name = _application_context(row, aarq)
    _mechanism(row, aarq)
    _password(meter, row, aarq)
    context = Context(meter, row, "ln" if context_name.logical_names else "sn")
    context.client_title = aarq.calling_ap_title or b""
    opened = Opened(context, Conformance(0), 0, _cipher(meter, row, aarq, context_name))
    response = _initiate(opened, aarq)
    if row.mechanism >= Mechanism.HLS:
        _challenge(meter, opened, aarq)
    return opened, _acceptance(meter, opened, context_name, response)


def _application_context(row: Association, aarq: Aarq) -> ApplicationContext:
    name = aarq.application_context
    if not isinstance(name, ApplicationContext) or not row.speaks("ln" if name.logical_names else "sn"):
        raise Refused(D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
    if (name.ciphered and row.keys is None) or (not name.ciphered and row.policy):
        raise Refused(D.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
    return name


def _mechanism(row: Association, aarq: Aarq) -> None:
    wanted = Mechanism.NONE if aarq.mechanism is None else aarq.mechanism
    if wanted == row.mechanism:
        return
    raise Refused(D.AUTHENTICATION_REQUIRED if wanted == 0 else D.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED)


def _password(meter: Meter, row: Association, aarq: Aarq) -> None:
    if meter.locked(row):
        raise Refused(D.AUTHENTICATION_FAILURE)
    if row.mechanism is Mechanism.LLS and not check_password(row.secret, aarq.authentication_value or b""):
        meter.count_failure(row.client)
        raise Refused(D.AUTHENTICATION_FAILURE)


def _cipher(meter: Meter, row: Association, aarq: Aarq, name: ApplicationContext) -> MeterCipher | None:
    if row.keys is None or not aarq.calling_ap_title or not name.ciphered:
        return None
    if len(aarq.calling_ap_title) != 8:
        raise Refused(D.CALLING_AP_TITLE_NOT_RECOGNIZED)
    return make_cipher(meter, row, row.keys, aarq.calling_ap_title)


def make_cipher(meter: Meter, row: Association, keys: Keys, title: bytes | None) -> MeterCipher:
    """The meter's side of a ciphered association; ``title``: the client's, None where its messages tell it."""
    return MeterCipher(
        suite=row.suite,
        security=Security.BOTH,
        minimum=row.policy,
        keys=keys,
        system_title=meter.title,
        peer_title=title,
        next_counter=meter.next_counter,
        peer_counters=meter.peer_counters,
        accept_unauthenticated=not row.policy & Security.AUTHENTICATION,
        warn=lambda _text: None,
    )


def _initiate(opened: Opened, aarq: Aarq) -> bytes:
    """Agree on services and sizes: the InitiateResponse, protected where the request was."""
    row, cipher = opened.context.association, opened.cipher
    information = aarq.user_information or b""
    request = decode_apdu(cipher.unprotect_apdu(information) if cipher else information)
    if not isinstance(request, InitiateRequest):
        raise DecodeError("the AARQ carries no InitiateRequest")
    logical = opened.context.referencing == "ln"
    opened.agreed = request.conformance & (row.ln_services if logical else row.sn_services)
    opened.client_pdu = request.max_pdu_size
    for refused, value in (
        (request.dlms_version < DLMS_VERSION, 1),
        (not opened.agreed, 2),
        (0 < request.max_pdu_size < _LEAST_PDU, 3),
    ):
        if refused:
            raise Refused(D.NO_REASON_GIVEN, ConfirmedServiceError(1, 6, value).encode())
    if request.dedicated_key and cipher is not None:
        cipher.use_dedicated_key(request.dedicated_key)
    small = row.faults.strike("small-pdu") if row.faults else None
    response = InitiateResponse(
        quality_of_service=request.quality_of_service,
        conformance=opened.agreed,
        max_pdu_size=int(small.number) if small else row.max_pdu,
        vaa=LN_VAA if logical else SN_VAA,
    ).encode()
    return cipher.protect_apdu(response) if cipher else response


def _challenge(meter: Meter, opened: Opened, aarq: Aarq) -> None:
    opened.client_challenge = bytes(aarq.authentication_value or b"")
    if not 8 <= len(opened.client_challenge) <= 64:
        raise Refused(D.AUTHENTICATION_FAILURE)
    # The coded password of Landis+Gyr is worked out digit by digit, so its challenge is made of digits.
    digits = opened.context.association.algorithm is not None and not opened.context.association.algorithm.mutual
    octets = meter.random(_CHALLENGE)
    opened.challenge = octets.hex().upper().encode()[:_CHALLENGE] if digits else octets
    opened.proved = False


def _acceptance(meter: Meter, opened: Opened, name: ApplicationContext, response: bytes) -> Aare:
    row = opened.context.association
    high = row.mechanism >= Mechanism.HLS
    return Aare(
        application_context=name,
        result=AssociationResult.ACCEPTED,
        diagnostic=Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, D.AUTHENTICATION_REQUIRED if high else D.NULL),
        responding_ap_title=meter.title if opened.context.client_title or high else None,
        acse_requirements=AUTHENTICATION_REQUIREMENT if high else None,
        mechanism=row.mechanism if high else None,
        authentication_value=Secret(opened.challenge) if high else None,
        user_information=response,
    )


def prove(meter: Meter, opened: Opened, answer: bytes) -> bytes:
    """Pass 3 to pass 4: check the client's answer and give ours; SecurityError."""
    row = opened.context.association
    hls = HlsContext(
        own_challenge=opened.challenge,
        peer_challenge=opened.client_challenge,
        secret=row.secret,
        own_title=meter.title,
        peer_title=opened.context.client_title,
        suite=row.suite,
        key=_gmac_cipher(meter, opened).key if row.mechanism is Mechanism.HLS_GMAC else None,
        next_counter=meter.next_counter,
        algorithm=row.algorithm,
    )
    try:
        verify_answer(row.mechanism, hls, answer)
        # Meters whose algorithm proves only the client answer nothing.
        one_way = row.algorithm is not None and not row.algorithm.mutual
        proof = b"" if one_way else answer_challenge(row.mechanism, hls)
    except RemoteProtocolError as error:
        meter.count_failure(row.client)
        raise SecurityError("the client does not know the secret", reason="authentication") from error
    opened.proved = True
    meter.failures.pop(row.client, None)
    return proof


def _gmac_cipher(meter: Meter, opened: Opened) -> Cipher:
    """GMAC needs the keys of the association even where its messages are not ciphered."""
    if opened.cipher is not None:
        return opened.cipher
    row = opened.context.association
    if row.keys is None:
        raise SecurityError("this association has no keys", reason="key")
    return Cipher(
        suite=row.suite,
        security=Security.NONE,
        keys=row.keys,
        system_title=meter.title,
        next_counter=meter.next_counter,
        warn=lambda _text: None,
    )
