"""Opening an association: what we propose, what the meter agrees to, and the proof of the secret (passes 1 to 4).

    client                                              meter
    AARQ  context (names, ciphering), system title
          mechanism and password, or challenge    ->                                            pass 1: the challenge
          services and octets that we would like
                                                  <-    AARE  result and diagnostic
                                                              its system title, its challenge   pass 2
                                                              services and octets that it grants
    reply_to_HLS_authentication(answer to it)     ->                                            pass 3
                                                  <-    its answer to our challenge             pass 4

Lowest security (no secret) and low security (the password in the AARQ) end with the AARE. In high security neither side
sends the secret: each answers the other's challenge with something made of both, a hash or a GMAC or what the maker has
devised. Passes 3 and 4 are an action on the association object (``proof.py``).

Every refusal is sorted by one question: can it be about a secret? Where it can, nothing here or above tries again by
itself, since meters count wrong passwords and lock, some of them for good.

Source: IEC 62056-5-3:2017, clauses 6 (COSEM-OPEN, COSEM-RELEASE) and 7; Green Book ed. 8, clauses 9.3 and 9.4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dlms_mqtt.client.line.exchange import Exchange
from dlms_mqtt.client.refusals import service_refused
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    MeterRefused,
    RemoteProtocolError,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.acse.messages import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    Mechanism,
    Rlrq,
    ServiceUserDiagnostic,
)
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, make_challenge
from dlms_mqtt.protocol.security.hls import MECHANISM_BY_WORD

log = logging.getLogger("dlms_mqtt.client")

# The conformance block is a wish: the meter answers with the services that it grants, and may grant fewer. What is not
# granted is not used later, so everything that we have is asked for. The two ways of naming share blocks and lists;
# each has its own services for reading and writing: GET, SET and ACTION with logical names, READ and WRITE with short
# ones.
_COMMON = (
    Conformance.BLOCK_TRANSFER_WITH_GET_OR_READ
    | Conformance.BLOCK_TRANSFER_WITH_SET_OR_WRITE
    | Conformance.MULTIPLE_REFERENCES
)
PROPOSALS = {
    "ln": _COMMON
    | Conformance.PRIORITY_MGMT_SUPPORTED
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.DATA_NOTIFICATION
    | Conformance.ACCESS
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.EVENT_NOTIFICATION
    | Conformance.ACTION,
    "sn": _COMMON
    | Conformance.READ
    | Conformance.WRITE
    | Conformance.UNCONFIRMED_WRITE
    | Conformance.INFORMATION_REPORT
    | Conformance.PARAMETERIZED_ACCESS,
}


@dataclass(frozen=True, slots=True)
class Association:
    """What client and meter agreed on. ``max_pdu``: octets the meter takes in one APDU (0: any).

    ``vaa``: 7 with logical names, where it means nothing; with short names the base name of the association object.
    ``unknown``: fields of the AARE that the standard does not have, to be shown. ``in_doubt``: it was accepted with a
    diagnostic that speaks against it. The rest serves the proof.
    """

    conformance: Conformance
    max_pdu: int
    vaa: int = 7
    system_title: bytes = b""
    mechanism: int = 0
    own_challenge: bytes = b""
    peer_challenge: bytes = b""
    unknown: tuple[tuple[int, bytes], ...] = ()
    in_doubt: bool = False

    @property
    def high(self) -> bool:
        """Is the proof of the secret (passes 3 and 4) still to come?"""
        return self.mechanism >= Mechanism.HLS


def proposal(settings: ConnectionSettings) -> Conformance:
    """The services we propose: those of the configuration, else all that we have."""
    # The two general bits only where they are configured: a meter may use for every long answer, or for every message,
    # what it has granted.
    if settings.conformance:
        return Conformance.from_names(settings.conformance)
    blocks = Conformance.GENERAL_BLOCK_TRANSFER if settings.gbt_window else Conformance(0)
    general = settings.protection != "none" and settings.ciphering.startswith("general")
    protection = Conformance.GENERAL_PROTECTION if general else Conformance(0)
    return PROPOSALS[settings.referencing] | blocks | protection


def initiate_request(settings: ConnectionSettings, dedicated_key: Secret | None) -> bytes:
    """The InitiateRequest, plain."""
    # ``max_pdu_size`` is what we take in one APDU: longer answers come in blocks. What the meter takes is told by its
    # InitiateResponse. 0 means no limit, which some meters insist on (Landis+Gyr ZMD).
    return InitiateRequest(
        dedicated_key=dedicated_key, conformance=proposal(settings), max_pdu_size=settings.max_pdu
    ).encode()


def _context(settings: ConnectionSettings, ciphered: bool) -> ApplicationContext:
    # The contexts are numbered so: 1 LN, 2 SN, and the same with ciphering 3 and 4. The meter refuses a context that it
    # does not have for this client before it looks at any password.
    plain = ApplicationContext.LN if settings.referencing == "ln" else ApplicationContext.SN
    return ApplicationContext(plain + 2) if ciphered else plain


def _aarq(
    settings: ConnectionSettings, title: bytes, cipher: Cipher | None, dedicated_key: Secret | None, challenge: bytes
) -> Aarq:
    # Lowest security sends no authentication fields at all. Low sends the password itself here, and in the clear,
    # ciphered association or not: so it is sent once. High sends a challenge (pass 1) and keeps the secret to itself.
    mechanism = MECHANISM_BY_WORD[settings.authentication]
    information = initiate_request(settings, dedicated_key)
    value = settings.password if mechanism is Mechanism.LLS else Secret(challenge) if challenge else None
    # Our system title goes along wherever there is one: the meter needs it for the nonce of whatever we cipher, also of
    # the proof by GMAC in an association that is not ciphered.
    return Aarq(
        application_context=_context(settings, cipher is not None and bool(cipher.security)),
        calling_ap_title=title or None,
        acse_requirements=AUTHENTICATION_REQUIREMENT if mechanism else None,
        mechanism=mechanism or None,
        authentication_value=value,
        user_information=cipher.protect_initiate(information) if cipher else information,
    )


async def associate(
    exchange: Exchange,
    settings: ConnectionSettings,
    random: Callable[[int], bytes],
    *,
    title: bytes = b"",
    cipher: Cipher | None = None,
    dedicated_key: Secret | None = None,
) -> Association:
    """Send the AARQ and read the AARE. AssociationRefused, AuthenticationRefused, ServiceRefused, SecurityError."""
    high = MECHANISM_BY_WORD[settings.authentication] >= Mechanism.HLS
    # A new one each time: an answer to an old challenge could be played back by anybody who has heard it.
    challenge = make_challenge(random, settings.challenge_length) if high else b""
    # One question, one answer (AARQ, AARE), never repeated by itself above the link: a meter counts it as an attempt.
    try:
        answer = await exchange.ask(_aarq(settings, title, cipher, dedicated_key, challenge))
        return _accepted(answer, settings, cipher, challenge)
    except (RemoteProtocolError, ServiceRefused) as error:  # an AARE that is cut, another APDU, an error for no reason
        if not isinstance(error, SecurityError):  # those are about keys and titles
            error.hint = error.hint or _ODD
        raise


def _accepted(answer: Apdu, settings: ConnectionSettings, cipher: Cipher | None, challenge: bytes) -> Association:
    if not isinstance(answer, Aare):
        raise _no_aare(answer, ciphered=bool(cipher and cipher.security))
    # The title before the result: a ciphered refusal can only be opened with it.
    _check_title(answer.responding_ap_title or b"", settings, cipher)
    _check_result(answer, settings, cipher)
    # Pass 2 is the meter's challenge. Without it there is nothing that we could prove our secret against, and a peer
    # that skips it may be anybody.
    if challenge and not answer.authentication_value:
        raise RemoteProtocolError(
            "the meter accepted without a challenge of its own, though HLS was asked for",
            hint="This client address may have no HLS: try --authentication low or none, or another --client.",
        )
    return _agreed(answer, settings, cipher, challenge, MECHANISM_BY_WORD[settings.authentication] if challenge else 0)


def _no_aare(answer: Apdu, *, ciphered: bool) -> MeterRefused | RemoteProtocolError:
    """What an AARQ was answered with instead of an AARE."""
    # Meters answer so what they could not even look into, such as an AARQ whose InitiateRequest they cannot decipher.
    refused = service_refused(answer, unprotected=ciphered)
    # Anything that is no refusal either is a peer out of step, such as an answer to the association before: it says
    # nothing about what we asked for.
    if refused is None:
        return RemoteProtocolError(f"{type(answer).__name__} does not answer an AARQ")
    if ciphered and isinstance(answer, ExceptionResponse) and answer.service == ServiceError.OTHER_REASON:
        # Meters that could not decipher the AARQ may say no more than this: a wrong key must not be tried for ever.
        return AuthenticationRefused(
            refused.message,
            code=refused.code,
            name=refused.name,
            hint="A key or the security suite may be wrong. It is not tried again by itself: meters lock.",
        )
    # service-not-allowed is the state of the association, not of a password; and of a counter the meter tells the one
    # that it expects, with which the session opens once more (``Ciphering.adopt``).
    explained = (ServiceError.DECIPHERING_ERROR, ServiceError.INVOCATION_COUNTER_ERROR)  # by themselves
    if (
        isinstance(answer, ExceptionResponse)
        and answer.state == StateError.SERVICE_NOT_ALLOWED
        and answer.service not in explained
    ):
        refused.hint = _NOT_ALLOWED
    return refused


def _check_title(title: bytes, settings: ConnectionSettings, cipher: Cipher | None) -> None:
    """SecurityError when the meter calls itself otherwise than it should."""
    # A title that was configured is a promise of the user: another meter on the line (an address that two share) must
    # not be read in its name. Without a cipher the title serves the proof alone, or nothing, but says as much.
    expected = settings.meter_system_title
    if cipher is not None and title:
        cipher.learn_title(title)
    elif title and expected and title != expected:
        raise SecurityError(
            f"the meter's system title is {title.hex()}, {expected.hex()} is expected",
            reason="title",
            hint="Another meter answers at this address, or the title that is configured is another one's.",
        )


def _agreed(
    answer: Aare, settings: ConnectionSettings, cipher: Cipher | None, challenge: bytes, mechanism: int
) -> Association:
    response = _initiate_response(answer, cipher)
    return Association(
        conformance=response.conformance,
        max_pdu=response.max_pdu_size,
        vaa=response.vaa,
        system_title=answer.responding_ap_title or settings.meter_system_title or b"",
        mechanism=mechanism,
        own_challenge=challenge,
        peer_challenge=bytes(answer.authentication_value or b""),
        unknown=answer.unknown,
        in_doubt=not mechanism and bool(answer.diagnostic and answer.diagnostic.code),
    )


def _initiate_response(answer: Aare, cipher: Cipher | None) -> InitiateResponse:
    # An accepted AARE carries an InitiateResponse: which services, how many octets in an APDU, and which base of names.
    # Where an error stands there in spite of "accepted", the error counts.
    # In a ciphered association its tag is the first proof that the meter has the keys, as it is ours to the meter.
    information = answer.initiate
    if not information:
        raise RemoteProtocolError("the meter accepted the association without saying what it offers")
    message = decode_apdu(cipher.unprotect_apdu(information) if cipher else information)
    if isinstance(message, InitiateResponse):
        return message
    raise service_refused(message) or RemoteProtocolError(f"the AARE carries {type(message).__name__}")


_ODD = (
    "An association is not opened so: another --client, --server or --referencing may fit; -vv shows what came, which "
    "a report should have."
)
_PLAIN = {ApplicationContext.LN, ApplicationContext.SN}
_WANTS_PLAIN = (
    "The meter names the application context without ciphering, so it may not want messages to be ciphered: try "
    "--security none (the keys still serve the authentication)."
)
_NOT_ALLOWED = (
    "Often an earlier association that was never released: wait for the meter's inactivity time, or end the other "
    "program that reads it."
)
# Diagnostics after which the same AARQ must not be sent again. no-reason-given is not among them: it is also said of an
# association that was left open. What may be repeated after it stands in the session (``_may_be_stuck``).
_WRONG_SECRET = {
    ServiceUserDiagnostic.AUTHENTICATION_FAILURE,
    ServiceUserDiagnostic.AUTHENTICATION_REQUIRED,
    ServiceUserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED,
    ServiceUserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED,
}
#: What a meter says of the caller, whatever was left open before: DISC and the same AARQ again would change nothing.
ABOUT_THE_CALLER = frozenset(
    code.text for code in (*_WRONG_SECRET, ServiceUserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
)
_HINTS: dict[int, str] = {
    ServiceUserDiagnostic.NO_REASON_GIVEN: "Often an earlier association that was never released (wait for the meter's "
    "inactivity time), a client address that the meter does not know, or a wrong secret.",
    ServiceUserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: "Try the other referencing (ln, sn), or with or "
    "without ciphering.",
    ServiceUserDiagnostic.AUTHENTICATION_REQUIRED: "This client address needs a password or key.",
    ServiceUserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED: "This client address needs an authentication.",
    ServiceUserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED: "The meter wants another authentication "
    "mechanism for this client address.",
    ServiceUserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED: "The meter wants a system title, or does not take ours.",
}


def wrong_secret(settings: ConnectionSettings) -> str:
    """What to check where the meter does not take what was sent: nobody shall look for a password that was not."""
    if settings.password is None:
        what = (
            "No password was sent: check both keys, system_title and the invocation counter (one too low is refused)."
        )
    elif settings.protection != "none":
        what = "The password or a key is wrong."
    else:
        what = "The password is wrong."
    return f"{what} It is not tried again by itself: meters lock."


def _check_result(answer: Aare, settings: ConnectionSettings, cipher: Cipher | None) -> None:
    if answer.accepted:
        return
    # Result and diagnostic are told by two bodies: the service user (the meter's application) and the provider (its
    # ACSE). Only the user's words can be about a password.
    code = answer.diagnostic.code if answer.diagnostic else 0
    ours = isinstance(code, ServiceUserDiagnostic)  # the provider counts its own diagnostics, which explain themselves
    wrong = ours and code in _WRONG_SECRET and settings.authentication != "none"
    kind = AuthenticationRefused if wrong else AssociationRefused
    hint = _HINTS.get(int(code), wrong_secret(settings) if wrong else "") if ours else ""
    # A meter that answers a ciphered context with a plain one tells which it would have taken: no wrong secret then,
    # and the bridge need not stop asking.
    if cipher is not None and cipher.security and answer.application_context in _PLAIN:
        kind, hint = AssociationRefused, _WANTS_PLAIN
    raise kind(
        f"the meter refused the association: {answer.text}{_explanation(answer, cipher)}",
        code=int(code),
        name=answer.diagnostic.text if answer.diagnostic else "",
        reason="context" if hint is _WANTS_PLAIN else "",
        hint=hint,
    )


def _explanation(answer: Aare, cipher: Cipher | None) -> str:
    """What the user-information of a refusal adds; it may be missing or unreadable, which is no second error."""
    # Where the dialogue was refused and not the caller, the true reason stands here: a confirmedServiceError such as
    # "dlms-version-too-low" or "pdu-size-too-short", while the diagnostic says no more than no-reason-given.
    if not answer.user_information:
        return ""
    try:
        message = decode_apdu(cipher.unprotect_apdu(answer.user_information) if cipher else answer.user_information)
    except RemoteProtocolError as error:
        log.debug("user-information of the refusal cannot be read: %s", error)
        return ""
    # Anything else there, for instance an InitiateResponse in spite of the refusal, explains nothing.
    refused = service_refused(message)
    return f" ({refused.name})" if isinstance(refused, MeterRefused) else ""


def release_request(settings: ConnectionSettings, cipher: Cipher | None) -> Rlrq:
    """The RLRQ; in a ciphered association it carries a ciphered InitiateRequest."""
    # Not each meter knows it. Who gets no answer, or a refusal, goes on to the end of the link or of the connection.
    if cipher is None or not cipher.security:
        return Rlrq()
    # So the release has a tag of its own: without one anybody on the line could end the association.
    return Rlrq(user_information=cipher.protect_initiate(initiate_request(settings, None)))
