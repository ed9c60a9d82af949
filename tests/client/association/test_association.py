"""Every authentication with every protection, suite and form, by logical and short names, over HDLC and the wrapper.

Each row is played against the meter of pydlms, another project's, and against our own simulated one.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any, NamedTuple

import pytest
from pydlms.security.context import SecurityContext, SecurityPolicy
from pydlms.simulator import ClientProfile, example_meter

from dlms_mqtt.client.association import association
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AssociationRefused,
    AuthenticationRefused,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.protocol.acse.messages import (
    Aare,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    Rlrq,
)
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS
from dlms_mqtt.protocol.apdu.get import GetResponseNormal
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest, InitiateResponse
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import MANUFACTURER_ALGORITHMS, Keys, Security
from dlms_mqtt.simulator import MANAGER, Association, Meter, make, named
from dlms_mqtt.simulator.household.household import bare_meter
from dlms_mqtt.transport.clock import Clock
from tests.client.our_meter import WAYS, OurMeter
from tests.client.pydlms_meter import PydlmsMeter
from tests.client.scripted import Scripted
from tests.client.some_objects import ENERGY, SERIAL

KEYS = {length: Keys(Secret(bytes(range(length))), Secret(bytes(range(0xD0 - length, 0xD0)))) for length in (16, 32)}
CLIENT = 1
SECRET = b"0123456789abcdef"
AUTHENTICATIONS = {
    "none": Mechanism.NONE,
    "low": Mechanism.LLS,
    "hls": Mechanism.HLS,
    "md5": Mechanism.HLS_MD5,
    "sha1": Mechanism.HLS_SHA1,
    "sha256": Mechanism.HLS_SHA256,
    "gmac": Mechanism.HLS_GMAC,
}
LEVELS = {
    "none": Security.NONE,
    "authentication": Security.AUTHENTICATION,
    "encryption": Security.ENCRYPTION,
    "both": Security.BOTH,
}
FORMS = ("global", "dedicated", "general-global", "general-dedicated")
FIRST_TAG = {"ln": 0xC0, "sn": 0x05}


class Row(NamedTuple):
    """One way in."""

    authentication: str
    security: str
    suite: int
    form: str

    @property
    def keys(self) -> Keys:
        """The keys of the suite."""
        return KEYS[32 if self.suite == 2 else 16]

    @property
    def secret(self) -> bytes:
        """The password, where there is one."""
        return b"" if self.authentication in ("none", "gmac") else SECRET

    def settings(self, referencing: str) -> dict[str, Any]:
        """What the client is told."""
        options: dict[str, Any] = {"client": CLIENT, "authentication": self.authentication, "referencing": referencing}
        options |= {"security": self.security, "suite": self.suite, "ciphering": self.form, "max_info": 128}
        if self.secret:
            options["password"] = Secret(self.secret)
        if self.authentication == "hls":
            options["hls_algorithm"] = "aes"
        if self.security != "none" or self.authentication == "gmac":
            options |= {"encryption_key": self.keys.encryption, "authentication_key": self.keys.authentication}
            options |= {"invocation_counter": 1, "accept_unauthenticated": self.security == "encryption"}
        return options

    def tag(self, referencing: str) -> int:
        """The tag of a question."""
        plain = FIRST_TAG[referencing]
        if self.security == "none":
            return plain
        general = 0xDC if self.form.endswith("dedicated") else 0xDB
        return {"global": GLO_TAGS[plain], "dedicated": DED_TAGS[plain]}.get(self.form, general)


def rows(maker: str) -> list[Any]:
    """All of them; what carries no tag is taken with one warning."""
    warning = pytest.mark.expect_log("nothing proves who sent them")
    found = []
    for authentication, security, suite, form in product(AUTHENTICATIONS, LEVELS, (0, 1, 2), FORMS):
        row = Row(authentication, security, suite, form)
        unkeyed = security == "none" and (form != "global" or (suite and authentication != "gmac"))
        # The meter of pydlms names suite 0 in its proof (pass 4 of GMAC), whatever suite is in use.
        unsupported = maker == "pydlms" and authentication == "gmac" and suite
        if not unkeyed and not unsupported:
            marks = (warning,) if security == "encryption" else ()
            name = f"{maker}-{authentication}-{security}-{suite}-{form}"
            found.append(pytest.param(maker, row, id=name, marks=marks))
    return found


def pydlms_meter(row: Row, framing: str) -> PydlmsMeter:
    """Theirs; PydlmsMeter speaks either framing."""
    encryption, authentication = bytes(row.keys.encryption), bytes(row.keys.authentication)
    policy = {"authentication": SecurityPolicy.AUTHENTICATED, "encryption": SecurityPolicy.ENCRYPTED}
    sim = example_meter(max_pdu=400)
    sim.encryption_key, sim.authentication_key = encryption, authentication
    sim.security = SecurityContext(
        encryption,
        authentication,
        client_system_title=sim.system_title,
        suite=row.suite,
        policy=policy.get(row.security, SecurityPolicy.AUTHENTICATED_ENCRYPTED),
    )
    sim.clients[CLIENT] = ClientProfile(
        mechanism=type(ClientProfile().mechanism)(int(AUTHENTICATIONS[row.authentication])),
        secret=row.secret or None,
        ciphered=row.security != "none",
    )
    return PydlmsMeter(sim, hdlc=framing == "hdlc")


class OurRow(OurMeter):
    """Ours, with nothing but what is read here."""

    def __init__(self, row: Row, framing: str) -> None:
        super().__init__(framing=framing)
        self.row = row

    def make_meter(self) -> Meter:
        row = self.row
        mine = Association(
            CLIENT,
            "the row",
            MANAGER,
            AUTHENTICATIONS[row.authentication],
            secret=Secret(row.secret),
            algorithm=MANUFACTURER_ALGORITHMS["aes"] if row.authentication == "hls" else None,
            keys=row.keys if row.security != "none" or row.authentication == "gmac" else None,
            suite=row.suite,
            policy=LEVELS[row.security],
            max_pdu=400,
        )
        meter = bare_meter(clock=Clock(), associations=(mine,))
        meter.add(
            make(3, str(ENERGY.obis), named("double-long-unsigned", 12345678)),
            make(1, str(SERIAL.obis), named("visible-string", "one"), writable=(2,)),
        )
        return meter


MAKERS: dict[str, Any] = {"pydlms": pydlms_meter, "ours": OurRow}


@pytest.mark.parametrize(("maker", "row"), [case for maker in MAKERS for case in rows(maker)])
async def test_reads_writes_and_lists(maker: str, row: Row) -> None:
    """The text goes in blocks both ways; each question carries the tag and the security control of its row."""
    for framing, referencing in product(("wrapper", "hdlc"), ("ln", "sn")):
        text = Data(DataType.VISIBLE_STRING, "x" * (900 if row.form == "global" and not row.suite else 90))
        async with MAKERS[maker](row, framing) as peer:
            with Store(MEMORY) as store:
                async with peer.client(store, **row.settings(referencing)) as client:
                    peer.line.sent.clear()
                    assert (await client.get(ENERGY)).value == 12345678
                    sent = list(peer.line.sent)
                    await client.set(SERIAL, text)
                    many = await client.get_many([ENERGY, SERIAL, ENERGY])
                    assert [answer.value for answer in many if not isinstance(answer, MeterRefused)] == [
                        12345678,
                        text.value,
                        12345678,
                    ]
        if framing == "wrapper":
            question = sent[-1][8:]
            assert question[0] == row.tag(referencing)
            if row.security != "none":
                control = question[11] if question[0] >= 0xDB else question[2]
                assert control == LEVELS[row.security] | row.suite


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("authentication", ["none", "low", "sha256", "gmac"])
@pytest.mark.parametrize("key", ["encryption_key", "authentication_key"])
async def test_a_wrong_key(maker: str, authentication: str, key: str) -> None:
    """It is told from other refusals, whatever the meter says, and costs one attempt."""
    row = Row(authentication, "both", 0, "global")
    async with MAKERS[maker](row, "wrapper") as peer:
        with Store(MEMORY) as store:
            client = peer.client(store, **row.settings("ln") | {key: Secret(b"another key-16..")})
            with pytest.raises(
                (AuthenticationRefused, ServiceRefused), match=r"other-reason|deciphering-error"
            ) as caught:
                await client.open()
            assert "key" in caught.value.hint
        assert sum(data[8] == 0x60 for data in peer.line.sent) == 1


def test_every_row_is_there() -> None:
    assert len(rows("ours")) == 7 * (1 + 3 * 3 * 4) + 2
    assert len(rows("pydlms")) == len(rows("ours")) - 2 * (3 * 4 + 1)


# -- what is made of an AARE, or of what comes instead -----------------------------------------------------------------

LOW = {"authentication": "low", "password": Secret(SECRET)}
HIGH = {"authentication": "md5", "password": Secret(SECRET)}
CIPHERED = {
    "encryption_key": KEYS[16].encryption,
    "authentication_key": KEYS[16].authentication,
    "invocation_counter": 1,
}
ACCEPTED = InitiateResponse(conformance=Conformance.GET, max_pdu_size=500).encode()


def refusal(code: int, source: DiagnosticSource = DiagnosticSource.ACSE_SERVICE_USER, **fields: Any) -> Aare:
    found = {"result": AssociationResult.REJECTED_PERMANENT, "application_context": ApplicationContext.LN, **fields}
    return Aare(diagnostic=Diagnostic(source, code), **found)


UNDER_KEYS = refusal(13, application_context=ApplicationContext.LN_CIPHERED)


async def opened(answer: Any, **settings: Any) -> Any:
    """What opening with this answer to the AARQ ends in: the association, or the error."""
    meter = Scripted(aare=answer, settings=settings)
    try:
        await meter.client.open()
    except DlmsMqttError as error:
        return error
    else:
        return meter.client.association
    finally:
        await meter.client.close()


async def check_refusal(answer: Any, settings: dict[str, Any], kind: type, words: str, hint: str) -> None:
    """``words``: what the message says; ``hint``: a part of the next step, "" for none."""
    error = await opened(answer, **settings)
    assert type(error) is kind
    assert re.search(words, error.message), error.message
    assert (hint in error.hint) if hint else not error.hint


@pytest.mark.parametrize(
    ("answer", "settings", "kind", "words", "hint"),
    [
        (refusal(13), LOW, AuthenticationRefused, "authentication-failure", "The password is wrong. It is not tried"),
        (UNDER_KEYS, LOW | CIPHERED, AuthenticationRefused, "authentication-failure", "The password or a key is"),
        (UNDER_KEYS, {"authentication": "gmac"} | CIPHERED, AuthenticationRefused, "failure", "No password was sent"),
        (refusal(13), {}, AssociationRefused, "authentication-failure", ""),
        (refusal(14), {}, AssociationRefused, "authentication-required", "needs a password or key"),
        (refusal(11), LOW, AuthenticationRefused, "not-recognised", "wants another authentication"),
        (refusal(1), LOW, AssociationRefused, "no-reason-given", "never released"),
        (refusal(2), LOW, AssociationRefused, "application-context", "Try the other referencing"),
        (refusal(2, DiagnosticSource.ACSE_SERVICE_PROVIDER), LOW, AssociationRefused, "no-common-acse-version", ""),
        (
            refusal(1, user_information=ConfirmedServiceError(1, 6, 1).encode()),
            {},
            AssociationRefused,
            r"\(initiate-error.*dlms-version-too-low\)",
            "never released",
        ),
        (refusal(1, user_information=ACCEPTED), {}, AssociationRefused, "no-reason-given$", "never released"),
        (refusal(1, user_information=b"\xff\xff"), {}, AssociationRefused, "no-reason-given$", "never released"),
        (
            refusal(13, application_context=ApplicationContext.LN),
            {"authentication": "gmac", "security": "both"} | CIPHERED,
            AssociationRefused,
            "authentication-failure",
            "--security none",
        ),
    ],
)
async def test_a_refusal_is_sorted_by_whether_it_can_be_about_a_secret(
    clock: object, answer: Aare, settings: dict[str, Any], kind: type, words: str, hint: str
) -> None:
    await check_refusal(answer, settings, kind, words, hint)


@pytest.mark.parametrize(
    ("answer", "settings", "kind", "words", "hint"),
    [
        (ExceptionResponse(1, 1), {}, ServiceRefused, "operation-not-possible", "never released"),
        (ExceptionResponse(1, 5), {}, ServiceRefused, "deciphering-error", "A key is wrong"),
        (ExceptionResponse(2, 3), {}, ServiceRefused, "other-reason", "another --client"),
        (ConfirmedServiceError(1, 6, 2), {}, ServiceRefused, "incompatible-conformance", "another --client"),
        (
            ExceptionResponse(1, 3),
            {"authentication": "gmac"} | CIPHERED | {"security": "both"},
            AuthenticationRefused,
            "unauthenticated",
            "A key or the security suite may be wrong",
        ),
    ],
)
async def test_an_answer_that_is_no_aare(
    clock: object, answer: Any, settings: dict[str, Any], kind: type, words: str, hint: str
) -> None:
    await check_refusal(answer, settings, kind, words, hint)


@pytest.mark.parametrize("octets", [b"\x61", b"\x61\x1d\xa1\x09\x06\x07", b"\xe0\x80\x00\x01\x00\x00\x00"])
async def test_an_aare_that_is_cut_and_other_octets_have_a_next_step(clock: object, octets: bytes) -> None:
    error = await opened(octets)
    assert isinstance(error, DlmsMqttError)
    assert error.hint


def test_an_answer_that_is_not_even_a_refusal_says_nothing_of_the_association() -> None:
    error = association._no_aare(GetResponseNormal(0xC1, None, b"\x00"), ciphered=True)
    assert type(error) is RemoteProtocolError and error.message == "GetResponseNormal does not answer an AARQ"


def acceptance(information: bytes | None = ACCEPTED, **fields: Any) -> Aare:
    ok: dict[str, Any] = {"result": AssociationResult.ACCEPTED, "application_context": ApplicationContext.LN}
    return Aare(
        diagnostic=Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, 0), user_information=information, **ok, **fields
    )


@pytest.mark.parametrize(
    ("answer", "settings", "kind", "words"),
    [
        (acceptance(None), {}, RemoteProtocolError, "without saying what it offers"),
        (acceptance(ConfirmedServiceError(1, 6, 3).encode()), {}, ServiceRefused, "pdu-size-too-short"),
        (acceptance(InitiateRequest().encode()), {}, RemoteProtocolError, "the AARE carries InitiateRequest"),
        (acceptance(), HIGH, RemoteProtocolError, "without a challenge of its own"),
        (
            acceptance(responding_ap_title=b"EVIL0000"),
            {"meter_system_title": b"GOOD0000"},
            SecurityError,
            "4556494c30303030, 474f4f4430303030 is expected",
        ),
    ],
)
async def test_an_acceptance_that_cannot_be_taken(
    clock: object, answer: Aare, settings: dict[str, Any], kind: type, words: str
) -> None:
    error = await opened(answer, **settings)
    assert type(error) is kind and words in error.message
    assert error.hint


async def test_what_was_agreed_on(clock: object) -> None:
    agreed = await opened(acceptance(responding_ap_title=b"GOOD0000"), meter_system_title=b"GOOD0000")
    assert (agreed.conformance, agreed.max_pdu, agreed.vaa) == (Conformance.GET, 500, 7)
    assert (agreed.system_title, agreed.high, agreed.unknown) == (b"GOOD0000", False, ())


def test_what_is_proposed() -> None:
    line = ConnectionSettings(tcp=("192.0.2.1", 4059), conformance=("get", "set"))
    assert association.proposal(line) == Conformance.GET | Conformance.SET
    line = ConnectionSettings(tcp=("192.0.2.1", 4059), ciphering="general-global", gbt_window=3)
    assert association.proposal(line) == association.PROPOSALS["ln"] | Conformance.GENERAL_BLOCK_TRANSFER
    line = ConnectionSettings(tcp=("192.0.2.1", 4059), ciphering="general-global", security="both", **CIPHERED)
    assert association.proposal(line) == association.PROPOSALS["ln"] | Conformance.GENERAL_PROTECTION


async def test_a_release_is_protected_as_the_association_is(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter:
        for way, protected in (("public", False), ("gmac", False), ("gmac, ciphered", True)):
            with Store(MEMORY) as store:
                async with meter.client(store, **WAYS[way]):
                    meter.line.sent.clear()
            (request,) = [decode_apdu(data[8:]) for data in meter.line.sent]
            assert isinstance(request, Rlrq)
            assert (bytes(request.user_information or b"")[:1] == b"\x21") == protected
