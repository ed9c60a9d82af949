"""Mechanisms 0 to 7: published examples, both sides against each other and against other programs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.settings import AUTHENTICATIONS
from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import (
    MANUFACTURER_ALGORITHMS,
    MECHANISMS,
    HlsContext,
    KeyContext,
    ManufacturerAlgorithm,
    answer_challenge,
    check_password,
    make_challenge,
    verify_answer,
)
from dlms_mqtt.protocol.security.hls import aes_ecb, landis_gyr_coded_password
from tests.frames_data import entries, entry_id

CLIENT, METER = b"DMQ00001", b"MMM\0\0\0\0\1"
KEY = KeyContext(bytes(range(16)), bytes(range(16, 32)))
CHALLENGES = st.binary(min_size=8, max_size=64)
HIGH = [2, 3, 4, 5, 6]


def sides(mechanism: int, c_to_s: bytes, s_to_c: bytes, secret: bytes = b"secret") -> tuple[HlsContext, HlsContext]:
    common = {
        "secret": Secret(secret),
        "key": KEY,
        "next_counter": count(7).__next__,
        "algorithm": ManufacturerAlgorithm(aes_ecb) if mechanism == 2 else None,
    }
    client = HlsContext(c_to_s, s_to_c, own_title=CLIENT, peer_title=METER, **common)
    return client, HlsContext(s_to_c, c_to_s, own_title=METER, peer_title=CLIENT, **common)


def test_the_table_is_the_settings_list():
    assert tuple(MECHANISMS[number].word for number in range(8)) == AUTHENTICATIONS
    assert [row.mechanism for row in MECHANISMS.values()] == list(Mechanism)


@pytest.mark.parametrize("vector", entries("vectors_crypto", group="hls-gmac"), ids=entry_id)
def test_gmac_vectors(vector):
    keys = {name: bytes.fromhex(key) for name, key in vector["keys"].items()}
    hls = HlsContext(
        own_challenge=b"other-challenge",
        peer_challenge=bytes.fromhex(vector["challenge"]),
        own_title=bytes.fromhex(vector["system_title"]),
        key=KeyContext(keys["encryption"], keys["authentication"]),
        next_counter=lambda: vector["invocation_counter"],
    )
    assert answer_challenge(Mechanism.HLS_GMAC, hls).hex() == vector["expected"]["response"]


@pytest.mark.parametrize("mechanism", HIGH)
@given(c_to_s=CHALLENGES, s_to_c=CHALLENGES, bit=st.integers(0))
def test_both_sides_agree_and_nothing_else_passes(mechanism, c_to_s, s_to_c, bit):
    if c_to_s == s_to_c:
        return
    client, meter = sides(mechanism, c_to_s, s_to_c)
    pass_3 = answer_challenge(mechanism, client)
    verify_answer(mechanism, meter, pass_3)
    pass_4 = answer_challenge(mechanism, meter)
    verify_answer(mechanism, client, pass_4)
    flipped = bytearray(pass_4)
    flipped[bit // 8 % len(pass_4)] ^= 1 << bit % 8
    for wrong in (bytes(flipped), pass_3, b"", pass_4[:-1], pass_4 + b"\0"):
        with pytest.raises(SecurityError) as caught:
            verify_answer(mechanism, client, wrong)
        assert caught.value.reason == "authentication"
        assert "secret" in caught.value.message


@pytest.mark.parametrize("mechanism", [2, 3, 4, 6])
def test_a_wrong_secret_is_refused(mechanism):
    client, _ = sides(mechanism, b"c" * 16, b"s" * 16, b"right")
    _, meter = sides(mechanism, b"c" * 16, b"s" * 16, b"wrong")
    with pytest.raises(SecurityError):
        verify_answer(mechanism, meter, answer_challenge(mechanism, client))


def test_formulas():
    """Written out once more, so that a change of order can't pass by being made on both sides."""
    client, meter = sides(0, b"CtoS-challenge", b"StoC-challenge", b"pw")
    assert answer_challenge(3, client) == hashlib.md5(b"StoC-challenge" + b"pw").digest()
    assert answer_challenge(4, meter) == hashlib.sha1(b"CtoS-challenge" + b"pw").digest()
    assert (
        answer_challenge(6, client) == hashlib.sha256(b"pw" + CLIENT + METER + b"StoC-challengeCtoS-challenge").digest()
    )
    assert (
        answer_challenge(6, meter) == hashlib.sha256(b"pw" + METER + CLIENT + b"CtoS-challengeStoC-challenge").digest()
    )


@pytest.mark.parametrize("mechanism", HIGH)
def test_a_reflected_or_missing_challenge_is_not_answered(mechanism):
    for challenge in (b"c" * 16, b""):
        client, _ = sides(mechanism, b"c" * 16, challenge)
        with pytest.raises(SecurityError) as caught:
            answer_challenge(mechanism, client)
        assert caught.value.reason == "challenge"


@pytest.mark.parametrize("mechanism", HIGH)
def test_nothing_is_answered_to_who_calls_himself_as_we_do(mechanism):
    client, _ = sides(mechanism, b"c" * 16, b"s" * 16)
    with pytest.raises(SecurityError, match="our own system title"):
        answer_challenge(mechanism, replace(client, peer_title=client.own_title))


def test_challenges():
    lengths = []
    assert make_challenge(lambda n: lengths.append(n) or b"x" * n) == b"x" * 16
    assert make_challenge(lambda n: lengths.append(n) or b"x" * n, 64) == b"x" * 64
    assert lengths == [16, 64]
    for length in (7, 65, 0, -1):
        with pytest.raises(ConfigError):
            make_challenge(bytes, length)


def test_low_level_password():
    assert check_password(b"12345678", b"12345678")
    assert not check_password(b"12345678", b"12345679")


@pytest.mark.parametrize("mechanism", [0, 1, 7, 8])
def test_mechanisms_without_an_answer(mechanism):
    client, _ = sides(mechanism, b"c" * 16, b"s" * 16)
    for act in (lambda: answer_challenge(mechanism, client), lambda: verify_answer(mechanism, client, b"")):
        with pytest.raises(LocalProtocolError):
            act()


def test_ecdsa_says_that_it_comes_later():
    client, _ = sides(7, b"c" * 16, b"s" * 16)
    with pytest.raises(LocalProtocolError, match="ecdsa is not supported yet"):
        answer_challenge(7, client)


def test_gmac_needs_keys_counter_and_title():
    client, _ = sides(5, b"c" * 16, b"s" * 16)
    bare = HlsContext(b"c" * 16, b"s" * 16, own_title=CLIENT)
    with pytest.raises(ConfigError):
        answer_challenge(5, bare)
    with pytest.raises(ConfigError):
        answer_challenge(5, HlsContext(b"c" * 16, b"s" * 16, key=KeyContext(bytes(16))))
    with pytest.raises(LocalProtocolError):
        answer_challenge(5, HlsContext(b"c" * 16, b"s" * 16, own_title=CLIENT, key=KEY))
    with pytest.raises(SecurityError):
        verify_answer(5, HlsContext(b"c" * 16, b"s" * 16, key=KEY), answer_challenge(5, client))


def test_manufacturer_algorithm_is_a_hook():
    client, _ = sides(0, b"c" * 16, b"s" * 16)
    with pytest.raises(LocalProtocolError) as caught:
        answer_challenge(2, client)
    assert "landis-gyr" in caught.value.hint
    reverse = ManufacturerAlgorithm(lambda secret, challenge: (secret + challenge)[::-1])
    hls = HlsContext(b"c" * 8, b"s" * 8, Secret(b"pw"), algorithm=reverse)
    assert answer_challenge(2, hls) == b"s" * 8 + b"wp"
    verify_answer(2, hls, b"c" * 8 + b"wp")


@pytest.mark.parametrize(
    ("password", "challenge", "coded"),
    [
        (b"00000000", b"0123ABCD", b"0123ABCD"),
        (b"11111111", b"01239AEF", b"1234ABF0"),
        (b"12345678", b"F0F0F0F0", b"02244668"),
        (b"1234", b"00000000", b"12340000"),
        (b"ABCDEF00", b"12345678", b"BDF13578"),
    ],
)
def test_landis_gyr_coded_password(password, challenge, coded):
    assert landis_gyr_coded_password(password, challenge) == coded


@pytest.mark.parametrize(
    ("password", "challenge", "error"),
    [
        (b"99", b"8000", SecurityError),
        (b"A0", b"A000", SecurityError),
        (b"11", b"a000", SecurityError),
        (b"pass", b"0000", ConfigError),
        (b"00000", b"0000", ConfigError),
    ],
)
def test_landis_gyr_where_the_rule_is_not_sure(password, challenge, error):
    with pytest.raises(error):
        landis_gyr_coded_password(password, challenge)


def test_landis_gyr_meters_do_not_answer():
    hls = HlsContext(b"0" * 8, b"1" * 8, Secret(b"0000"), algorithm=MANUFACTURER_ALGORITHMS["landis-gyr"])
    verify_answer(2, hls, b"")


# -- against other people's programs ----------------------------------------------------------------------------------


@given(CHALLENGES, CHALLENGES, st.binary(min_size=1, max_size=16))
def test_same_as_pydlms(sent, received, secret):
    from pydlms.security import hls as peer

    if sent == received:
        return
    client, _ = sides(2, sent, received, secret)
    gmac = peer.hls_gmac(bytes(range(16)), bytes(range(16, 32)), CLIENT, 7, received)
    assert answer_challenge(5, client) == gmac
    assert answer_challenge(2, client) == peer.hls_manufacturer_aes(received, secret)
    assert answer_challenge(3, client) == peer.hls_md5(received, secret)
    assert answer_challenge(4, client) == peer.hls_sha1(received, secret)
    assert answer_challenge(6, client) == peer.hls_sha256(secret, CLIENT, METER, received, sent)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=16), st.integers(0, 0xFFFFFFFF))
def test_same_as_gurux_and_dlms_cosem(challenge, secret, counter):
    from dlms_cosem import security as cosem
    from gurux_dlms.enums import Authentication
    from gurux_dlms.GXSecure import GXSecure
    from gurux_dlms.objects.enums.SecuritySuite import SecuritySuite

    own = b"~" * 16
    if challenge == own:
        return
    client, _ = sides(2, own, challenge, secret)
    client = HlsContext(
        own, challenge, client.secret, CLIENT, METER, 0, KEY, lambda: counter, ManufacturerAlgorithm(aes_ecb)
    )
    cipher = SimpleNamespace(
        blockCipherKey=bytearray(range(16)),
        authenticationKey=bytearray(range(16, 32)),
        securitySuite=SecuritySuite.SUITE_0,
    )
    gurux = {
        2: (Authentication.HIGH, challenge, secret),
        3: (Authentication.HIGH_MD5, challenge, secret),
        4: (Authentication.HIGH_SHA1, challenge, secret),
        5: (Authentication.HIGH_GMAC, challenge, CLIENT),
        6: (Authentication.HIGH_SHA256, b"", secret + CLIENT + METER + challenge + own),
    }
    for mechanism, (name, data, shared) in gurux.items():
        settings = SimpleNamespace(authentication=name)
        theirs = GXSecure.secure(settings, cipher, counter, bytearray(data), bytearray(shared))
        assert answer_challenge(mechanism, client) == bytes(theirs), mechanism
    control = cosem.SecurityControlField(security_suite=0, authenticated=True)
    tag = cosem.gmac(control, CLIENT, counter, bytes(range(16)), bytes(range(16, 32)), challenge)
    assert answer_challenge(5, client)[5:] == tag
