"""Suites, protected contents and key wrap: published vectors, random contents against two other programs."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import (
    MECHANISMS,
    SUITES,
    KeyContext,
    Keys,
    Security,
    key_id,
    protect,
    unprotect,
    unwrap_key,
    wrap_key,
)
from dlms_mqtt.protocol.security.suites import LATER
from tests.frames_data import entries, entry_id

TITLE = bytes.fromhex("4d4d4d0000bc614e")
LEVELS = [Security.AUTHENTICATION, Security.ENCRYPTION, Security.BOTH]
PUBLIC_KEY_GROUPS = {"ecdsa": "signature", "ecdh": "key_agreement"}
COUNTERS = st.integers(0, 0xFFFFFFFF)
KEYS_16 = st.binary(min_size=16, max_size=16)


def test_every_crypto_vector_is_used():
    used = {"aes-gcm", "aes-key-wrap", "hls-gmac"} | set(PUBLIC_KEY_GROUPS)
    assert {entry["group"] for entry in entries("vectors_crypto")} == used


@pytest.mark.parametrize(
    "vector", [e for e in entries("vectors_crypto") if e["group"] in PUBLIC_KEY_GROUPS], ids=entry_id
)
def test_public_key_vectors_wait(vector):
    """These entries wait: the row of the table says so, and so must whoever takes "later" away."""
    suite = SUITES[1 if vector["curve"] == "secp256r1" else 2]
    assert getattr(suite, PUBLIC_KEY_GROUPS[vector["group"]]) is not None
    assert suite.public_key == LATER
    assert MECHANISMS[7].status == LATER


@pytest.mark.parametrize("vector", entries("vectors_crypto", group="aes-gcm"), ids=entry_id)
def test_gcm_vectors(vector):
    """The published cases have other additional data than DLMS; they pin the primitive that everything rests on."""
    key, iv, text, aad = (bytes.fromhex(vector[name]) for name in ("key", "iv", "plaintext", "aad"))
    context = KeyContext(key)
    sealed = context._encrypt(iv, text, aad)
    assert sealed == bytes.fromhex(vector["ciphertext"] + vector["tag"])
    title, counter = iv[:8], int.from_bytes(iv[8:], "big")
    assert context._stream(title, counter, text).hex() == vector["ciphertext"]
    assert context._stream(title, counter, sealed[:-16]) == text


@pytest.mark.parametrize("vector", entries("vectors_crypto", group="aes-key-wrap"), ids=entry_id)
def test_key_wrap_vectors(vector):
    kek, key, wrapped = (bytes.fromhex(vector[name]) for name in ("kek", "key", "wrapped"))
    assert wrap_key(kek, key) == wrapped
    assert unwrap_key(kek, wrapped) == key
    assert str(unwrap_key(kek, wrapped)) == "***"
    for bit in range(len(wrapped) * 8):
        with pytest.raises(SecurityError) as caught:
            unwrap_key(kek, flipped(wrapped, bit))
        assert caught.value.reason == "key"


def test_key_wrap_of_nonsense():
    with pytest.raises(LocalProtocolError):
        wrap_key(bytes(15), bytes(16))
    with pytest.raises(LocalProtocolError):
        wrap_key(bytes(16), bytes(3))
    with pytest.raises(SecurityError):
        unwrap_key(bytes(16), bytes(5))


@pytest.mark.parametrize("vector", entries("vectors_ciphered_apdus", group="ciphered-apdu"), ids=entry_id)
def test_ciphered_vectors(vector):
    keys = {name: bytes.fromhex(key) for name, key in vector["keys"].items()}
    title = bytes.fromhex(vector["originator_system_title"])
    expected = vector["expected"]
    body = bytes.fromhex(vector["apdu"])[2:]
    opened = unprotect(
        body, suite=0, key=keys["encryption"], authentication_key=keys["authentication"], system_title=title
    )
    assert opened.plaintext.hex() == expected["plaintext"]
    assert opened.control == int(expected["security_control"], 16)
    assert opened.invocation_counter == expected["invocation_counter"]
    assert bool(opened.security & Security.AUTHENTICATION) == expected["authenticated"]
    assert bool(opened.security & Security.ENCRYPTION) == expected["encrypted"]
    assert opened.verified is (True if expected["authenticated"] else None)
    again = protect(
        opened.plaintext,
        suite=0,
        security=opened.security,
        key=keys["encryption"],
        authentication_key=keys["authentication"],
        system_title=title,
        invocation_counter=opened.invocation_counter,
    )
    assert again == body


@pytest.mark.parametrize("vector", entries("vectors_ciphered_apdus", group="p1-ciphered"), ids=entry_id)
def test_luxembourg_telegrams(vector):
    whole, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    title, body = whole[2:10], whole[13:]
    keys = {name: bytes.fromhex(key) for name, key in vector["keys"].items()}
    opened = unprotect(
        body, key=keys["encryption"], authentication_key=keys.get("authentication", b""), system_title=title
    )
    assert opened.verified is (True if "authentication" in keys else None)
    assert hashlib.sha256(opened.plaintext).hexdigest() == expected["plaintext_sha256"]
    assert opened.plaintext.startswith(expected["plaintext_starts_with"].encode())
    if "authentication" not in keys:  # its tag was made without the key: it must not pass where one is required
        with pytest.raises(SecurityError) as caught:
            unprotect(body, key=keys["encryption"], authentication_key=bytes(range(16)), system_title=title)
        assert caught.value.reason == "tag"


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


suites = st.sampled_from(sorted(SUITES))


@given(suites, st.sampled_from(LEVELS), st.binary(max_size=300), COUNTERS, st.booleans(), st.data())
def test_round_trip(suite, security, text, counter, broadcast, data):
    length = SUITES[suite].key_length
    key = data.draw(st.binary(min_size=length, max_size=length))
    common = {"suite": suite, "authentication_key": bytes(length), "system_title": TITLE}
    body = protect(text, security=security, key=key, invocation_counter=counter, broadcast=broadcast, **common)
    overhead = 5 + (12 if security & Security.AUTHENTICATION else 0)
    assert len(body) == len(text) + overhead
    if security == Security.AUTHENTICATION:
        assert body[5:-12] == text
    keys = {"key": bytes(length), "broadcast_key": key} if broadcast else {"key": key}
    opened = unprotect(body, **keys, **common)
    assert opened.plaintext == text
    assert (opened.invocation_counter, opened.security) == (counter, security)


@given(st.binary(max_size=60), st.sampled_from([0x10, 0x30]))
def test_rubbish_is_refused_in_our_words(body, control):
    with pytest.raises(SecurityError):
        unprotect(bytes((control,)) + body, key=bytes(16), authentication_key=bytes(16), system_title=TITLE, suite=0)


@pytest.mark.parametrize(
    ("control", "reason"), [(0x80, "compression"), (0xB0, "compression"), (0x33, "suite"), (0x32, "key"), (0x70, "key")]
)
def test_control_bytes_that_are_refused(control, reason):
    with pytest.raises(SecurityError) as caught:
        unprotect(bytes((control,)) + bytes(40), key=bytes(16), authentication_key=bytes(16), system_title=TITLE)
    assert caught.value.reason == reason


@pytest.mark.parametrize("length", range(17))
def test_too_short_is_cut(length):
    body = (b"\x30" + bytes(20))[:length]
    with pytest.raises(SecurityError) as caught:
        unprotect(body, key=bytes(16), authentication_key=bytes(16), system_title=TITLE)
    assert caught.value.reason == "cut"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key": bytes(15)}, ConfigError),
        ({"suite": 2}, ConfigError),
        ({"authentication_key": b""}, ConfigError),
        ({"system_title": bytes(7)}, ConfigError),
        ({"invocation_counter": 1 << 32}, LocalProtocolError),
        ({"invocation_counter": -1}, LocalProtocolError),
    ],
)
def test_protect_refuses(changes, error):
    good = {
        "suite": 0,
        "security": Security.BOTH,
        "key": bytes(16),
        "authentication_key": bytes(16),
        "system_title": TITLE,
        "invocation_counter": 0,
    }
    assert protect(b"", **good)
    with pytest.raises(error):
        protect(b"", **(good | changes))


def test_errors_and_ids_tell_no_key():
    key = Secret(b"0123456789abcdeX")
    with pytest.raises(ConfigError) as caught:
        Keys(Secret(key + b"Y")).check(0)
    assert "17 octets" in str(caught.value)
    assert "0123456789" not in str(caught.value) + caught.value.hint
    assert key.hex() not in key_id(key)
    assert key_id(key) == key_id(bytes(key)) != key_id(bytes(16))
    assert len(key_id(key)) == 32
    assert "0123" not in repr(Keys(key))


# -- against other people's programs ----------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=200), KEYS_16, KEYS_16, COUNTERS)
def test_same_as_dlms_cosem(text, key, authentication_key, counter):
    from dlms_cosem import security as peer

    control = peer.SecurityControlField(security_suite=0, authenticated=True, encrypted=True)
    theirs = peer.encrypt(control, TITLE, counter, key, text, authentication_key)
    common = {"suite": 0, "key": key, "authentication_key": authentication_key, "system_title": TITLE}
    ours = protect(text, security=Security.BOTH, invocation_counter=counter, **common)
    assert ours[5:] == theirs
    assert peer.decrypt(control, TITLE, counter, key, ours[5:], authentication_key) == text
    assert peer.wrap_key(control, key, authentication_key) == wrap_key(key, authentication_key)


@pytest.mark.parametrize("suite", sorted(SUITES))
@pytest.mark.parametrize("security", LEVELS)
@given(st.binary(min_size=1, max_size=40), COUNTERS, st.randoms(use_true_random=False))
def test_same_as_gurux(suite, security, text, counter, random):
    from gurux_dlms.AesGcmParameter import AesGcmParameter
    from gurux_dlms.enums import Security as TheirSecurity
    from gurux_dlms.GXDLMSChippering import GXDLMSChippering
    from gurux_dlms.objects.enums.SecuritySuite import SecuritySuite

    length = SUITES[suite].key_length
    key, authentication_key = random.randbytes(length), random.randbytes(length)
    theirs = AesGcmParameter(0xC8, bytearray(TITLE), bytearray(key), bytearray(authentication_key))
    theirs.security, theirs.securitySuite = TheirSecurity(int(security)), SecuritySuite(suite)
    theirs.invocationCounter = counter
    ours = protect(
        text,
        suite=suite,
        security=security,
        key=key,
        authentication_key=authentication_key,
        system_title=TITLE,
        invocation_counter=counter,
    )
    assert bytes(GXDLMSChippering.encryptAesGcm(theirs, bytearray(text))) == bytes((0xC8, len(ours))) + ours
