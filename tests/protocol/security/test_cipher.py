"""The ciphering of an association: what is sent, what is believed, what is refused and with which words."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError, LocalProtocolError, RemoteProtocolError, SecurityError
from dlms_mqtt.protocol.apdu.general import DED_TAGS, GLO_TAGS
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import FORMS, SUITES, Cipher, Keys, PeerCounters, Security, protect
from tests.frames_data import entries, entry, entry_id

CLIENT, METER = b"DMQ00001", bytes.fromhex("4d4d4d0000bc614e")
GET = bytes.fromhex("c0010000080000010000ff0200")
ANSWER = bytes.fromhex("c401000009060102030405ff")
ENCRYPTION = Secret(bytes(range(16)))
AUTHENTICATION = Secret(bytes(range(0xD0, 0xE0)))
DEDICATED = Secret(b"dedicated-key-16")
BROADCAST = Secret(b"broadcast-key-16")
KEYS = Keys(ENCRYPTION, AUTHENTICATION, DEDICATED, BROADCAST)
LEVELS = [Security.AUTHENTICATION, Security.ENCRYPTION, Security.BOTH]


def cipher(**changes: Any) -> Cipher:
    """The client's, unless changed."""
    good: dict[str, Any] = {
        "suite": 0,
        "security": Security.BOTH,
        "keys": KEYS,
        "system_title": CLIENT,
        "peer_title": METER,
        "next_counter": count(1).__next__,
        "warn": pytest.fail,
    }
    return Cipher(**(good | changes))


def meter(**changes: Any) -> Cipher:
    return cipher(**({"system_title": METER, "peer_title": CLIENT} | changes))


def refused(receiver: Cipher, apdu: bytes) -> SecurityError:
    with pytest.raises(SecurityError) as caught:
        receiver.unprotect_apdu(apdu)
    assert not any(bytes(key).hex() in str(caught.value) for key in (ENCRYPTION, AUTHENTICATION, DEDICATED, BROADCAST))
    return caught.value


# -- the published examples -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", entries("vectors_ciphered_apdus", group="ciphered-apdu"), ids=entry_id)
def test_vectors_both_ways(vector):
    keys = Keys(*(Secret.fromhex(vector["keys"][name]) for name in ("encryption", "authentication")))
    title = bytes.fromhex(vector["originator_system_title"])
    whole, expected = bytes.fromhex(vector["apdu"]), vector["expected"]
    security = Security(int(expected["security_control"], 16))
    warnings: list[str] = []
    accept = not security & Security.AUTHENTICATION
    receiver = cipher(
        keys=keys, peer_title=title, security=security, accept_unauthenticated=accept, warn=warnings.append
    )
    opened = receiver.open(whole)
    assert opened.plaintext.hex() == expected["plaintext"]
    assert (opened.verified, opened.invocation_counter) == (None if accept else True, expected["invocation_counter"])
    assert len(warnings) == accept
    sender = cipher(
        keys=keys,
        system_title=title,
        peer_title=None,
        security=security,
        next_counter=lambda: expected["invocation_counter"],
    )
    method = sender.protect_initiate if whole[0] in (33, 40) else sender.protect_apdu
    assert method(opened.plaintext) == whole


def test_tampered_vector():
    vector = entry("vectors_ciphered_apdus", "gb-get-request-tampered-tag")
    receiver = cipher(peer_title=bytes.fromhex(vector["originator_system_title"]), minimum=Security.AUTHENTICATION)
    assert refused(receiver, bytes.fromhex(vector["apdu"])).reason == "tag"


def test_general_glo_with_an_empty_title_is_from_the_peer_we_know():
    vector = entry("vectors_ciphered_apdus", "general-glo-empty-system-title")
    whole = bytes.fromhex(vector["apdu"])
    assert refused(cipher(peer_title=None), whole).reason == "title"
    assert refused(cipher(), whole).reason == "key"  # its keys are not published
    sent = meter(form="general-global").protect_apdu(ANSWER)
    assert cipher().unprotect_apdu(sent[:1] + b"\0" + sent[10:]) == ANSWER


CIPHERED_INITIATES = [e for e in entries("vectors_association") if "ciphered_initiate" in e["expected"]]


@pytest.mark.parametrize("vector", CIPHERED_INITIATES, ids=entry_id)
def test_initiates_inside_of_aarq_rlrq_and_rlre(vector):
    """Their sources use the keys of the published examples; the tag proves it."""
    opened = cipher().open(bytes.fromhex(vector["expected"]["user_information"]))
    assert (opened.verified, opened.invocation_counter) == (
        True,
        vector["expected"]["ciphered_initiate"]["invocation_counter"],
    )
    assert opened.plaintext[0] in (0x01, 0x08)


def test_conversations_wait_for_keys():
    """None of the published conversations comes with keys; one that does must be played here."""
    assert not [talk["id"] for talk in entries("conversations") if "keys" in talk]


def test_every_ciphered_vector_has_a_test():
    assert len(CIPHERED_INITIATES) == 3
    groups = {vector["group"] for vector in entries("vectors_ciphered_apdus")}
    assert groups == {"ciphered-apdu", "ciphered-apdu-must-fail", "ciphered-apdu-header", "p1-ciphered"}


@pytest.mark.parametrize("with_key", [True, False])
def test_luxembourg_telegram_through_a_listener(with_key):
    vector = entry("vectors_ciphered_apdus", "p1-luxembourg-authenticated")
    keys = Keys(
        Secret.fromhex(vector["keys"]["encryption"]),
        Secret.fromhex(vector["keys"]["authentication"]) if with_key else Secret(),
    )
    warnings: list[str] = []
    listener = a_listener(keys, accept_unauthenticated=not with_key, warn=warnings.append)
    opened = listener.open(bytes.fromhex(vector["hex"]))
    assert opened.plaintext.startswith(b"/Lux5")
    assert opened.verified is (True if with_key else None)
    assert len(warnings) == (not with_key)


# -- pushed messages --------------------------------------------------------------------------------------------------


def a_listener(keys: Keys, **changes: Any) -> Cipher:
    """A push source: sends nothing, learns suite and title from each message."""
    listening = {"security": Security.NONE, "minimum": Security.AUTHENTICATION, "suite": None, "peer_title": None}
    return cipher(keys=keys, system_title=b"", **(listening | changes))


def deframed(push: dict[str, Any]) -> bytes:
    """The ciphered APDU of a published push, taken out of its frames by the plainest means."""
    data, expected = bytes.fromhex(push["hex"]), push["expected"]
    if push["framing"] == "wrapper-udp":
        return data[8:]
    joined, offset = b"", 0
    for frame in expected["frames"]:
        if push["framing"] == "mbus":
            joined += data[offset + 4 + 5 : offset + 4 + frame["length"]]
            offset += frame["length"] + 6
        else:
            addresses = (len(frame["dst"]) + len(frame["src"])) // 2
            info = data[offset + 3 + addresses + 3 : offset + frame["length"] - 1]
            joined += unblocked(info.removeprefix(bytes.fromhex("e6e700")))
            offset += frame["length"] + (1 if data[offset + 1 + frame["length"]] != 0x7E else 2)
    return joined


def unblocked(block: bytes) -> bytes:
    return block[7:] if block[0] == 0xE0 else block


PUSHES = [push for push in entries("push") if "keys" in push]


def keys_of(push: dict[str, Any]) -> Keys:
    return Keys(*(Secret.fromhex(push["keys"].get(name, "")) for name in ("encryption", "authentication")))


def pushed(push: dict[str, Any], **changes: Any) -> Cipher:
    tagged = push["expected"]["ciphering"]["authenticated"]
    usual = {"accept_unauthenticated": not tagged, "warn": lambda _: None, "keys": keys_of(push)}
    return a_listener(**(usual | changes))


def test_the_ciphered_pushes_are_there():
    assert len(PUSHES) == 11


@pytest.mark.parametrize("push", PUSHES, ids=entry_id)
def test_push(push):
    warnings: list[str] = []
    listener, whole = pushed(push, warn=warnings.append), deframed(push)
    expected = push["expected"]["ciphering"]
    opened = listener.open(whole)
    assert opened.plaintext.hex() == push["expected"]["plaintext"]
    assert opened.system_title.hex() == expected["system_title"]
    assert opened.control == int(expected["security_control"], 16)
    assert opened.invocation_counter == expected["invocation_counter"]
    assert opened.verified is (True if expected["authenticated"] else None)
    assert len(warnings) == (not expected["authenticated"])
    replay = refused(listener, whole)
    assert replay.reason == "counter"
    assert "replay" in replay.message


@pytest.mark.parametrize("push", PUSHES, ids=entry_id)
def test_push_with_a_wrong_key_or_title(push):
    whole = deframed(push)
    wrong = Keys(Secret(bytes(16)), keys_of(push).authentication)
    assert refused(pushed(push, keys=wrong), whole).reason == "key"
    other = refused(pushed(push, peer_title=b"OTHER001"), whole)
    assert other.reason == "title"
    assert b"OTHER001".hex() in other.message
    if keys_of(push).authentication:
        wrong = Keys(keys_of(push).encryption, Secret(bytes(16)))
        assert refused(pushed(push, keys=wrong), whole).reason == "tag"


@pytest.mark.parametrize("push", PUSHES, ids=entry_id)
def test_push_with_a_flipped_bit(push):
    """Every single bit. Without a tag nothing can notice a changed content, so nothing passes without leave."""
    whole, listener = deframed(push), pushed(push, accept_unauthenticated=False)
    for bit in range(len(whole) * 8):
        refused(listener, flipped(whole, bit))
    if push["expected"]["ciphering"]["authenticated"]:
        assert listener.unprotect_apdu(whole).hex() == push["expected"]["plaintext"]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# -- an association ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", sorted(SUITES))
@pytest.mark.parametrize("security", LEVELS)
@pytest.mark.parametrize("form", sorted(FORMS))
def test_matrix(suite, security, form):
    length = SUITES[suite].key_length
    keys = Keys(Secret(b"e" * length), Secret(b"a" * length), Secret(b"d" * length))
    warnings: list[str] = []
    common = {
        "suite": suite,
        "security": security,
        "form": form,
        "keys": keys,
        "accept_unauthenticated": security == Security.ENCRYPTION,
        "warn": warnings.append,
    }
    client, server = cipher(**common), meter(**common)
    for _ in range(3):
        sent = client.protect_apdu(GET)
        assert sent[0] == ({**FORMS[form].tags}.get(0xC0) or FORMS[form].general)
        assert (GET in sent) == (security == Security.AUTHENTICATION)
        assert server.unprotect_apdu(sent) == GET
        assert client.unprotect_apdu(server.protect_apdu(ANSWER)) == ANSWER
    assert len(warnings) == (2 if security == Security.ENCRYPTION else 0)


@pytest.mark.parametrize("form", ["global", "general-global"])
def test_a_flipped_bit_of_an_answer(form):
    whole, client = meter(form=form).protect_apdu(ANSWER), cipher()
    reasons = {refused(client, flipped(whole, bit)).reason for bit in range(len(whole) * 8)}
    assert {"tag", "key", "cut", "compression", "suite", "unprotected"} <= reasons
    assert client.unprotect_apdu(whole) == ANSWER


@pytest.mark.parametrize("role", ["client", "meter"])
@pytest.mark.parametrize("security", [Security.AUTHENTICATION, Security.BOTH])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_flipped_bit_of_every_service_on_both_sides(form, security, role):
    """And the message itself, as it was sent, is still taken after all those."""
    makers = (meter, cipher) if role == "client" else (cipher, meter)
    sender, receiver = makers[0](form=form, security=security), makers[1](security=security)
    for tag in sorted(set(GLO_TAGS) | {0x0F, 0xD9, 0xDA}):
        apdu = bytes((tag,)) + b"content"
        whole = sender.protect_apdu(apdu)
        for bit in range(len(whole) * 8):
            with pytest.raises(SecurityError):
                receiver.open(flipped(whole, bit))
        assert receiver.unprotect_apdu(whole) == apdu
        assert refused(receiver, whole).reason == "counter"


@pytest.mark.parametrize("tag", sorted(GLO_TAGS))
def test_service_specific_tags(tag):
    apdu = bytes((tag,)) + b"content"
    for form, table in (("global", GLO_TAGS), ("dedicated", DED_TAGS)):
        sent = cipher(form=form).protect_apdu(apdu)
        assert sent[0] == table[tag]
        assert meter().unprotect_apdu(sent) == apdu


@pytest.mark.parametrize("tag", [0x0F, 0xD9, 0xDA])
def test_services_without_a_tag_of_their_own_go_general(tag):
    apdu = bytes((tag,)) + b"content"
    for form, outer in (("global", 0xDB), ("dedicated", 0xDC)):
        sent = cipher(form=form).protect_apdu(apdu)
        assert sent[:10] == bytes((outer, 8)) + CLIENT
        assert meter().unprotect_apdu(sent) == apdu


def test_what_is_never_ciphered():
    assert cipher().protect_apdu(b"\xd8\x01\x02") == b"\xd8\x01\x02"
    for tag in (0x60, 0x61, 0xE0, 0xDB, 0xC8):
        with pytest.raises(LocalProtocolError):
            cipher().protect_apdu(bytes((tag, 0)))
    plain = cipher(security=Security.NONE)
    assert plain.protect_apdu(GET) == GET
    assert plain.unprotect_apdu(ANSWER) == ANSWER


def test_initiate_always_uses_the_global_key():
    request = bytes.fromhex("01011000112233445566778899aabbccddeeff0000065f1f0400007e1f04b0")
    for form in FORMS:
        sent = cipher(form=form).protect_initiate(request)
        assert sent[0] == 33
        assert meter(keys=Keys(ENCRYPTION, AUTHENTICATION)).unprotect_apdu(sent) == request
    with pytest.raises(LocalProtocolError, match="dedicated key"):
        cipher(security=Security.NONE).protect_initiate(request)
    plain = b"\1\0" + bytes(12)
    assert cipher(security=Security.NONE).protect_initiate(plain) == plain


@pytest.mark.parametrize(("tells_title", "title"), [(True, CLIENT), (False, b"")])
def test_our_title_is_left_out_of_general_messages_on_request(tells_title, title):
    sent = cipher(form="general-global", tells_title=tells_title).protect_apdu(GET)
    assert sent[1 : 2 + len(title)] == bytes((len(title),)) + title
    assert meter(form="general-global").unprotect_apdu(sent) == GET


@pytest.mark.parametrize(("suite", "length"), [(None, 16), (0, 16), (1, 16), (2, 32)])
def test_a_dedicated_key_is_as_long_as_its_suite_wants(suite, length):
    keys = Keys(Secret(bytes(range(length))), Secret(bytes(range(length))))
    security = Security.NONE if suite is None else Security.BOTH
    receiver = cipher(suite=suite, security=security, keys=keys)
    receiver.use_dedicated_key(Secret(bytes(length)))
    with pytest.raises(ConfigError):
        receiver.use_dedicated_key(Secret(bytes(48 - length)))


def test_a_dedicated_key_that_is_told():
    server = meter(keys=Keys(ENCRYPTION, AUTHENTICATION))
    sent = cipher(form="dedicated").protect_apdu(GET)
    assert refused(server, sent).reason == "key"
    server.use_dedicated_key(DEDICATED)
    assert server.unprotect_apdu(sent) == GET
    with pytest.raises(ConfigError):
        server.use_dedicated_key(Secret(bytes(15)))


def test_counters_of_global_and_dedicated_key():
    shared = cipher(form="dedicated")
    numbers = [shared.protect_apdu(GET)[3:7], shared.protect_initiate(b"\1\0" + bytes(12))[3:7]]
    assert numbers == [b"\0\0\0\1", b"\0\0\0\2"]
    own = cipher(form="dedicated", next_dedicated=count(100).__next__)
    numbers = [own.protect_apdu(GET)[3:7], own.protect_initiate(b"\1\0" + bytes(12))[3:7]]
    assert numbers == [b"\0\0\0\x64", b"\0\0\0\1"]


def test_broadcast_key():
    sent = cipher(broadcast=True).protect_apdu(GET)
    assert sent[2] == 0x70
    assert meter().unprotect_apdu(sent) == GET
    assert refused(meter(keys=Keys(ENCRYPTION, AUTHENTICATION)), sent).reason == "key"


# -- what is believed -------------------------------------------------------------------------------------------------


def test_counters_must_rise():
    numbers = iter([0, 1, 1, 0, 5, 4])
    server, client = meter(next_counter=lambda: next(numbers)), cipher()
    client.unprotect_apdu(server.protect_apdu(ANSWER))
    client.unprotect_apdu(server.protect_apdu(ANSWER))
    replay, fell = (refused(client, server.protect_apdu(ANSWER)) for _ in range(2))
    assert (replay.reason, fell.reason) == ("counter", "counter")
    assert replay.message != fell.message
    client.unprotect_apdu(server.protect_apdu(ANSWER))
    assert refused(client, server.protect_apdu(ANSWER)).reason == "counter"


def test_a_forged_counter_silences_nobody():
    client, server = cipher(accept_unauthenticated=True, warn=lambda _: None), meter()
    forged = bytearray(meter(next_counter=lambda: 0xFFFFFFFF).protect_apdu(ANSWER))
    forged[-1] ^= 1
    assert refused(client, bytes(forged)).reason == "tag"
    unsigned = meter(security=Security.ENCRYPTION, next_counter=lambda: 0xFFFFFFFF).protect_apdu(ANSWER)
    client.unprotect_apdu(unsigned)
    assert client.unprotect_apdu(server.protect_apdu(ANSWER)) == ANSWER
    assert refused(client, unsigned).reason == "counter"


def test_counters_are_kept_per_key_and_title_and_source():
    counters = PeerCounters()
    client = cipher(peer_counters=counters)
    glo, ded = meter(), meter(form="dedicated", next_dedicated=count(1).__next__)
    for _ in range(2):
        client.unprotect_apdu(glo.protect_apdu(ANSWER))
        client.unprotect_apdu(ded.protect_apdu(ANSWER))
    again = PeerCounters(counters.keep())
    assert again.keep() == counters.keep()
    assert len(counters.keep()) == 2
    assert refused(cipher(peer_counters=again), meter().protect_apdu(ANSWER)).reason == "counter"
    assert cipher().unprotect_apdu(meter().protect_apdu(ANSWER)) == ANSWER
    for other in (b"OTHER001", b"OTHER002"):
        sent = meter(system_title=other).protect_apdu(ANSWER)
        assert cipher(peer_counters=again, peer_title=other).unprotect_apdu(sent) == ANSWER


def test_less_protection_than_sent_is_refused():
    for sent, minimum, reason in (
        (Security.AUTHENTICATION, None, "security"),
        (Security.ENCRYPTION, None, "security"),
        (Security.ENCRYPTION, Security.ENCRYPTION, "unauthenticated"),
    ):
        error = refused(cipher(minimum=minimum), meter(security=sent).protect_apdu(ANSWER))
        assert error.reason == reason
    allowed = cipher(minimum=Security.AUTHENTICATION)
    assert allowed.unprotect_apdu(meter(security=Security.AUTHENTICATION).protect_apdu(ANSWER)) == ANSWER
    naked = b"\xcc" + bytes((5 + len(ANSWER),)) + b"\0\0\0\0\1" + ANSWER
    assert refused(cipher(), naked).reason == "security"
    assert refused(cipher(accept_unauthenticated=True), naked).reason == "security"
    # More than was asked for is welcome.
    assert cipher(security=Security.AUTHENTICATION).unprotect_apdu(meter().protect_apdu(ANSWER)) == ANSWER


@pytest.mark.parametrize(
    ("sent", "agreed", "told"),
    [
        (Security.ENCRYPTION, Security.BOTH, True),  # only a tag is missing
        (Security.AUTHENTICATION, Security.BOTH, False),
        (Security.ENCRYPTION, Security.AUTHENTICATION, True),
    ],
)
def test_leave_is_named_as_a_way_out_only_where_it_is_one(sent, agreed, told):
    error = refused(cipher(security=agreed), meter(security=sent).protect_apdu(ANSWER))
    assert (error.hint == "Set accept_unauthenticated if the meter never sends tags.") is told
    assert told or not error.hint


def test_an_empty_message_in_a_sealed_one_is_refused_in_words():
    content = meter()._seal(b"", False)
    error = refused(cipher(), bytes((0xCC, len(content))) + content)
    assert error.message.startswith("the tag of the ciphered message is not that of the APDU in it")


def test_without_a_suite_that_is_known_messages_have_the_first():
    assert meter().unprotect_apdu(cipher(suite=None).protect_apdu(GET)) == GET


def test_messages_without_a_tag_pass_with_leave_and_one_warning():
    warnings: list[str] = []
    client = cipher(accept_unauthenticated=True, warn=warnings.append)
    server = meter(security=Security.ENCRYPTION)
    for _ in range(3):
        opened = client.open(server.protect_apdu(ANSWER))
        assert (opened.plaintext, opened.verified) == (ANSWER, None)
    assert len(warnings) == 1
    assert "no authentication tag" in warnings[0]


def test_messages_with_a_tag_but_no_key_to_check_it():
    warnings: list[str] = []
    keys = Keys(ENCRYPTION)
    sent = meter().protect_apdu(ANSWER)
    refusal = refused(cipher(keys=keys), sent)
    assert (refusal.reason, refusal.hint) == (
        "unauthenticated",
        "Give the authentication key, or set accept_unauthenticated if nobody knows it.",
    )
    client = cipher(keys=keys, accept_unauthenticated=True, warn=warnings.append)
    assert client.unprotect_apdu(sent) == ANSWER
    assert len(warnings) == 1
    with pytest.raises(ConfigError):
        client.protect_apdu(GET)


def test_a_tag_that_can_be_checked_is_checked_even_with_leave():
    client = cipher(accept_unauthenticated=True)
    whole = meter().protect_apdu(ANSWER)
    assert refused(client, flipped(whole, len(whole) * 8 - 1)).reason == "tag"


def test_plain_answers():
    for security in LEVELS:
        client = cipher(security=security, accept_unauthenticated=True)
        for apdu in (ANSWER, b"\x0f\0\0\0\1\0\0", b"\x08\0"):
            assert refused(client, apdu).reason == "unprotected"
        for refusal in (b"\xd8\x01\x06\0\0\0\x07", b"\x0e\x01\x06\x01"):
            opened = client.open(refusal)
            assert (opened.plaintext, opened.verified, opened.control) == (refusal, None, None)
    assert refused(cipher(), b"").reason == "cut"
    for tag in (0xDD, 0xDF):
        assert refused(cipher(), bytes((tag, 0))).reason == "unsupported"


def test_the_outer_tag_must_agree_with_the_inner():
    sent = bytearray(meter().protect_apdu(ANSWER))
    sent[0] = GLO_TAGS[0xC5]
    assert refused(cipher(), bytes(sent)).reason == "tag"


def test_wrong_keys_and_titles_have_words_of_their_own():
    sent = meter().protect_apdu(ANSWER)
    errors = [
        refused(cipher(keys=Keys(Secret(bytes(16)), AUTHENTICATION)), sent),
        refused(cipher(keys=Keys(ENCRYPTION, Secret(bytes(16)))), sent),
        refused(cipher(peer_title=b"OTHER001"), meter(form="general-global").protect_apdu(ANSWER)),
        refused(cipher(peer_title=None), sent),
        refused(cipher(suite=1), sent),
        refused(cipher(), sent[:1] + bytes((sent[1],)) + bytes((sent[2] | 0x80,)) + sent[3:]),
        refused(cipher(), ANSWER),
        refused(cipher(), sent[:-1]),
        refused(cipher(minimum=Security.BOTH), meter(security=Security.AUTHENTICATION).protect_apdu(ANSWER)),
    ]
    assert [error.reason for error in errors] == [
        "key",
        "tag",
        "title",
        "title",
        "suite",
        "compression",
        "unprotected",
        "cut",
        "security",
    ]
    assert len({error.message for error in errors}) == len(errors)


def test_titles_are_learned_once():
    client = cipher(peer_title=None)
    client.learn_title(METER)
    client.learn_title(METER)
    for title in (b"OTHER001", b"short"):
        with pytest.raises(SecurityError) as caught:
            client.learn_title(title)
        assert caught.value.reason == "title"
    with pytest.raises(SecurityError):
        cipher(peer_title=None).learn_title(b"short")
    with pytest.raises(SecurityError, match="our own system title"):
        cipher(peer_title=None).learn_title(CLIENT)


def test_settings_that_can_not_be():
    for changes in (
        {"form": "glo"},
        {"keys": Keys(Secret(bytes(15)))},
        {"suite": 2},
        {"system_title": b"short"},
    ):
        with pytest.raises(ConfigError):
            cipher(**changes)
    with pytest.raises(ConfigError):
        cipher(form="dedicated", keys=Keys(ENCRYPTION, AUTHENTICATION)).protect_apdu(GET)
    assert cipher().key.authenticates


def test_a_listener_takes_any_suite_whose_key_it_has():
    sent = meter(suite=1, form="general-global").protect_apdu(b"\x0fpush")
    assert a_listener(KEYS).unprotect_apdu(sent) == b"\x0fpush"
    other = bytearray(sent)
    other[11] = 0x32
    error = refused(a_listener(KEYS), bytes(other))
    assert (error.reason, error.message) == ("key", "the encryption key does not have the length of suite 2")


@given(st.binary(max_size=80), st.sampled_from([0xDB, 0xDC, 0xCC, 0xD4, 0x21, 0x28, 0xD8, 0xC4]))
def test_rubbish(body, tag):
    """No exception outside of our tree, and nothing is accepted but the plain refusals."""
    try:
        opened = cipher().open(bytes((tag,)) + body)
    except RemoteProtocolError:
        return
    assert tag == 0xD8
    assert opened.verified is None


@given(
    st.binary(max_size=200), st.sampled_from(sorted(FORMS)), st.sampled_from(sorted(GLO_TAGS)), st.binary(max_size=3)
)
def test_round_trip_with_trailing_octets(content, form, tag, trailing):
    """Octets behind the ciphered content are outside of the tag and are dropped, never believed."""
    apdu = bytes((tag,)) + content
    assert meter().unprotect_apdu(cipher(form=form).protect_apdu(apdu) + trailing) == apdu


# -- against other people's programs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [0, 1])
@given(st.binary(max_size=60), st.integers(0, 0xFFFFFFFF))
def test_same_as_dlms_cosem_general_glo(suite, content, counter):
    from dlms_cosem import security as peer
    from dlms_cosem.protocol.xdlms import GeneralGlobalCipher

    apdu = b"\x0f" + content
    ours = cipher(suite=suite, form="general-global", next_counter=lambda: counter).protect_apdu(apdu)
    theirs = GeneralGlobalCipher.from_bytes(ours)
    assert (theirs.system_title, theirs.invocation_counter) == (CLIENT, counter)
    assert theirs.to_plain_apdu(ENCRYPTION, AUTHENTICATION) == apdu
    control = peer.SecurityControlField(security_suite=suite, authenticated=True, encrypted=True)
    text = peer.encrypt(control, METER, counter, ENCRYPTION, apdu, AUTHENTICATION)
    sent = GeneralGlobalCipher(METER, control, counter, text).to_bytes()
    assert cipher(suite=suite).unprotect_apdu(bytes(sent)) == apdu


@pytest.mark.parametrize("trailing", [b"", b"\x00", b"\x00" * 3])
@pytest.mark.parametrize("length", [18, 126, 127, 128, 129, 255, 256])
def test_lengths_about_the_long_form(length, trailing):
    """``length`` of the content: below 128 it is one octet, and the way through is another."""
    apdu = ANSWER[:4] + bytes(length - 17 - 4) if length > 21 else ANSWER[:1]
    sent = meter().protect_apdu(apdu)
    content = sent[-length:]
    assert cipher().unprotect_apdu(sent + trailing) == apdu
    assert cipher().unprotect_apdu(sent[:1] + b"\x82" + length.to_bytes(2, "big") + content + trailing) == apdu
    assert refused(cipher(), sent[:-1]).reason == "cut"
    shorter = sent[:1] + b"\x82" + (length - 1).to_bytes(2, "big") + content + trailing
    assert refused(cipher(), shorter).reason in ("tag", "key", "cut")


@pytest.mark.parametrize("tag", [GLO_TAGS[0xC4], DED_TAGS[0xC4]])
@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x00\x00\x00\x01", b"\x30\x00\x00\x00\x01" + bytes(11)])
def test_contents_that_are_too_short(tag, content):
    assert refused(cipher(), bytes((tag, len(content))) + content).reason in ("cut", "security")
    assert refused(cipher(), bytes((tag,))).reason == "cut"


def test_what_was_judged_once_is_judged_again_when_keys_change():
    """Contexts are kept by security control: another dedicated key must not leave the old one in force."""
    receiver, other = cipher(form="dedicated"), Secret(b"another-key---16")
    numbers = count(1).__next__
    old = meter(form="dedicated", next_counter=numbers)
    new = meter(form="dedicated", keys=replace(KEYS, dedicated=other), next_counter=numbers)
    assert receiver.unprotect_apdu(old.protect_apdu(ANSWER)) == ANSWER
    assert receiver.unprotect_apdu(meter(next_counter=numbers).protect_apdu(ANSWER)) == ANSWER
    receiver.use_dedicated_key(other)
    refused(receiver, old.protect_apdu(ANSWER))
    assert receiver.unprotect_apdu(new.protect_apdu(ANSWER)) == ANSWER
    assert receiver.unprotect_apdu(meter(next_counter=numbers, broadcast=True).protect_apdu(ANSWER)) == ANSWER
    assert refused(receiver, meter(keys=KEYS, suite=0, broadcast=True).protect_apdu(ANSWER)).reason == "counter"


def test_same_as_protect():
    sent = cipher(next_counter=lambda: 77).protect_apdu(GET)
    body = protect(
        GET,
        suite=0,
        security=Security.BOTH,
        key=ENCRYPTION,
        authentication_key=AUTHENTICATION,
        system_title=CLIENT,
        invocation_counter=77,
    )
    assert sent == bytes((0xC8, len(body))) + body


# -- what a change of the receiving side would otherwise survive ---------------------------------------------------


def test_a_title_of_another_length_is_refused_also_where_none_is_expected():
    sealed = meter(form="general-global").protect_apdu(ANSWER)
    short = sealed[:1] + b"\x07" + sealed[2:9] + sealed[10:]
    assert refused(cipher(peer_title=None), short).reason == "title"


def test_there_is_no_broadcast_of_a_dedicated_key():
    sealed = bytearray(meter(form="general-dedicated").protect_apdu(ANSWER))
    sealed[11] |= 0x40
    error = refused(cipher(), bytes(sealed))
    assert error.reason == "key" and "dedicated key" in error.message


def test_a_message_without_any_protection_is_refused_though_missing_tags_are_accepted():
    naked = bytes((0xDB, 8)) + METER + bytes((5 + len(ANSWER), 0)) + bytes(4) + ANSWER
    receiver = cipher(
        security=Security.NONE, minimum=Security.AUTHENTICATION, accept_unauthenticated=True, warn=lambda _: None
    )
    assert refused(receiver, naked).reason == "security"


@pytest.mark.parametrize("length", [15, 16, 17])
def test_a_plain_refusal_has_at_most_sixteen_octets(length):
    plain = bytes.fromhex("d80102").ljust(length, b"\0")
    if length <= 16:
        assert cipher().open(plain).plaintext == plain
    else:
        assert refused(cipher(), plain).reason == "unprotected"


def test_short_messages_go_the_shortest_way(monkeypatch):
    """Nearly all messages of a conversation are such: none of them is worth a reader."""
    sent = meter().protect_apdu(ANSWER)
    monkeypatch.setattr("dlms_mqtt.protocol.security.cipher.Reader", pytest.fail)
    assert cipher().unprotect_apdu(sent) == ANSWER
    assert refused(cipher(), sent[:1] + b"\0").reason == "cut"


def test_a_length_of_0x80_is_no_length():
    assert refused(cipher(), b"\xcc\x80" + bytes(128)).reason == "cut"


def test_a_side_that_only_encrypts_needs_no_authentication_key():
    keys, warnings = Keys(ENCRYPTION), list[str]()
    sent = meter(keys=keys, security=Security.ENCRYPTION).protect_apdu(ANSWER)
    receiver = cipher(
        keys=keys, security=Security.ENCRYPTION, accept_unauthenticated=True, warn=warnings.append, peer_title=METER
    )
    assert (receiver.unprotect_apdu(sent), len(warnings)) == (ANSWER, 1)


@pytest.mark.parametrize("security", [Security.NONE, Security.BOTH])
def test_a_title_is_checked_whenever_there_is_one_or_must_be(security):
    """Without protection it may be missing, but must not be cut."""
    with pytest.raises(ConfigError, match="8 octets"):
        cipher(security=security, system_title=b"short")
    if security:
        with pytest.raises(ConfigError, match="8 octets"):
            cipher(security=security, system_title=b"")
    else:
        assert cipher(security=security, system_title=b"").protect_apdu(GET) == GET


@pytest.mark.parametrize("inner", [0xE0, 0x0F, 0xDA, ord("/")])
def test_general_blocks_and_texts_may_be_inside_of_general_glo(inner):
    """Though no tag proves that deciphering went well; anything else shows a wrong key."""
    receiver = cipher(security=Security.ENCRYPTION, accept_unauthenticated=True, warn=lambda _: None)
    sealed = [protected_general(bytes((tag, 0x80, 0, 1, 0, 0, 1, 7))) for tag in (inner, 0x77)]
    assert receiver.unprotect_apdu(sealed[0])[0] == inner
    assert refused(receiver, sealed[1]).reason == "key"


def protected_general(apdu: bytes) -> bytes:
    body = protect(
        apdu,
        suite=0,
        security=Security.ENCRYPTION,
        key=ENCRYPTION,
        system_title=METER,
        invocation_counter=apdu[0],
    )
    return bytes((0xDB, 8)) + METER + bytes((len(body),)) + body


def test_what_is_plain_is_from_the_peer_that_is_known():
    for peer in (METER, None):
        opened = cipher(security=Security.NONE, peer_title=peer).open(ANSWER)
        assert (opened.plaintext, opened.system_title) == (ANSWER, peer or b"")


def test_who_protects_takes_nothing_plain_though_no_protection_is_asked_of_the_peer():
    receiver = cipher(minimum=Security.NONE)
    assert refused(receiver, ANSWER).reason == "unprotected"
    naked = b"\xcc" + bytes((5 + len(ANSWER),)) + bytes(4) + b"\1" + ANSWER
    error = refused(receiver, naked)
    assert (error.reason, "nothing instead of" in error.message) == ("security", True)


def test_a_listener_that_asks_for_nothing_takes_a_message_without_protection():
    """Without leave and without a warning: there is no tag that could be missing."""
    naked = b"\xcc" + bytes((5 + len(ANSWER),)) + bytes(4) + b"\1" + ANSWER
    opened = cipher(security=Security.NONE).open(naked)
    assert (opened.plaintext, opened.verified, opened.security) == (ANSWER, None, Security.NONE)


def test_what_a_tag_proves_may_be_of_any_kind_in_general_glo_alone():
    def general(security: Security) -> bytes:
        body = protect(
            b"\x77\x01",
            suite=0,
            security=security,
            key=ENCRYPTION,
            authentication_key=AUTHENTICATION,
            system_title=METER,
            invocation_counter=1,
        )
        return bytes((0xDB, 8)) + METER + bytes((len(body),)) + body

    assert cipher().unprotect_apdu(general(Security.BOTH)) == b"\x77\x01"
    receiver = cipher(security=Security.ENCRYPTION, accept_unauthenticated=True, warn=lambda _: None)
    assert refused(receiver, general(Security.ENCRYPTION)).reason == "key"


def test_why_nothing_vouches_for_a_message_is_said():
    for keys, sent, why in (
        (Keys(ENCRYPTION), meter(), "no authentication key to check the tag"),
        (KEYS, meter(security=Security.ENCRYPTION), "carries no authentication tag"),
    ):
        error = refused(cipher(keys=keys, minimum=Security.ENCRYPTION), sent.protect_apdu(ANSWER))
        assert (error.reason, why in error.message) == ("unauthenticated", True)


def test_what_is_remembered_of_a_counter_tells_whether_a_tag_vouched_for_it():
    for changes, security, mark in (
        ({}, Security.BOTH, "1"),
        ({"accept_unauthenticated": True, "warn": lambda _: None}, Security.ENCRYPTION, "0"),
    ):
        receiver = cipher(**changes)
        receiver.unprotect_apdu(meter(security=security).protect_apdu(ANSWER))
        assert [name.rpartition("/")[2] for name in receiver.peer_counters.keep()] == [mark]


def test_the_word_about_missing_tags_is_said_only_where_they_are_what_is_missing():
    for sent, said in ((Security.ENCRYPTION, True), (Security.AUTHENTICATION, False)):
        error = refused(cipher(), meter(security=sent).protect_apdu(ANSWER))
        assert (error.reason, "accept_unauthenticated" in error.hint) == ("security", said)
