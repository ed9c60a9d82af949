"""How the two sides of an association prove that they know the secret: one row per mechanism (IEC 62056-5-3).

Both sides send a challenge (AARQ and AARE). Then each answers the other's: the client in pass 3, the meter in pass 4.
The rule is the same for both, with "own" and "peer" exchanged, so one function serves client and meter.

Source: IEC 62056-5-3:2017, clause 5; Green Book ed. 8, clauses 9.2.2.2 (the four passes), 9.2.7.4 (HLS mechanisms).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security.gcm import HEADER_LENGTH, TAG_LENGTH, KeyContext
from dlms_mqtt.protocol.security.suites import LATER, NO_KEY, Security

CHALLENGE_LENGTHS = range(8, 65)
_GMAC_LENGTH = HEADER_LENGTH + TAG_LENGTH


class ManufacturerAlgorithm(NamedTuple):
    """Mechanism 2 belongs to the manufacturer: ``compute(secret, challenge)``; ``mutual``: the meter answers too."""

    compute: Callable[[bytes, bytes], bytes]
    mutual: bool = True


@dataclass(frozen=True, slots=True)
class HlsContext:
    """What an answer is made of. ``next_counter`` must never give a number twice for the same key and title."""

    own_challenge: bytes
    peer_challenge: bytes
    secret: Secret = NO_KEY
    own_title: bytes = b""
    peer_title: bytes = b""
    suite: int = 0
    key: KeyContext | None = None
    next_counter: Callable[[], int] | None = None
    algorithm: ManufacturerAlgorithm | None = None


Answer = Callable[[HlsContext], bytes]
Check = Callable[[HlsContext, bytes], bool]


def _digest(name: str) -> tuple[Answer, Check]:
    """Hash over challenge and secret."""

    def of(challenge: bytes, secret: bytes) -> bytes:
        return hashlib.new(name, challenge + secret, usedforsecurity=False).digest()

    return (
        lambda hls: of(hls.peer_challenge, hls.secret),
        lambda hls, answer: hmac.compare_digest(of(hls.own_challenge, hls.secret), answer),
    )


def _sha256(secret: bytes, sender: bytes, receiver: bytes, challenge: bytes, own: bytes) -> bytes:
    """The sender's title goes first, and the challenge that is answered before the one that was sent."""
    return hashlib.sha256(secret + sender + receiver + challenge + own).digest()


def _answer_sha256(hls: HlsContext) -> bytes:
    return _sha256(hls.secret, hls.own_title, hls.peer_title, hls.peer_challenge, hls.own_challenge)


def _check_sha256(hls: HlsContext, answer: bytes) -> bool:
    expected = _sha256(hls.secret, hls.peer_title, hls.own_title, hls.own_challenge, hls.peer_challenge)
    return hmac.compare_digest(expected, answer)


def _gmac_key(hls: HlsContext) -> KeyContext:
    if hls.key is None or not hls.key.authenticates:
        raise ConfigError("GMAC needs an encryption key and an authentication key", key="authentication_key")
    return hls.key


def _answer_gmac(hls: HlsContext) -> bytes:
    key = _gmac_key(hls)
    if hls.next_counter is None:
        raise LocalProtocolError("GMAC needs an invocation counter")
    control, counter = int(Security.AUTHENTICATION) | hls.suite, hls.next_counter()
    head = bytes((control,)) + counter.to_bytes(4, "big")
    return head + key.gmac(control, hls.own_title, counter, hls.peer_challenge)


def _check_gmac(hls: HlsContext, answer: bytes) -> bool:
    control = int(Security.AUTHENTICATION) | hls.suite
    if len(answer) != _GMAC_LENGTH or answer[0] != control or len(hls.peer_title) != 8:
        return False
    counter = int.from_bytes(answer[1:HEADER_LENGTH], "big")
    expected = _gmac_key(hls).gmac(control, hls.peer_title, counter, hls.own_challenge)
    return hmac.compare_digest(expected, answer[HEADER_LENGTH:])


def _manufacturer(hls: HlsContext) -> ManufacturerAlgorithm:
    if hls.algorithm is None:
        raise LocalProtocolError(
            "authentication 'hls' (mechanism 2) needs the manufacturer's algorithm",
            hint=f"Known by name: {', '.join(MANUFACTURER_ALGORITHMS)}. Or pass your own to the library.",
        )
    return hls.algorithm


def _answer_manufacturer(hls: HlsContext) -> bytes:
    return _manufacturer(hls).compute(hls.secret, hls.peer_challenge)


def _check_manufacturer(hls: HlsContext, answer: bytes) -> bool:
    algorithm = _manufacturer(hls)
    return not algorithm.mutual or hmac.compare_digest(algorithm.compute(hls.secret, hls.own_challenge), answer)


@dataclass(frozen=True, slots=True)
class MechanismRow:
    """One authentication mechanism: the settings' word for it and its rules (None: no passes 3 and 4)."""

    mechanism: Mechanism
    word: str
    answer: Answer | None = None
    check: Check | None = None
    high: bool = True
    status: str = ""


MECHANISMS: dict[int, MechanismRow] = {
    int(row.mechanism): row
    for row in (
        MechanismRow(Mechanism.NONE, "none", high=False),
        MechanismRow(Mechanism.LLS, "low", high=False),
        MechanismRow(Mechanism.HLS, "hls", _answer_manufacturer, _check_manufacturer),
        MechanismRow(Mechanism.HLS_MD5, "md5", *_digest("md5")),
        MechanismRow(Mechanism.HLS_SHA1, "sha1", *_digest("sha1")),
        MechanismRow(Mechanism.HLS_GMAC, "gmac", _answer_gmac, _check_gmac),
        MechanismRow(Mechanism.HLS_SHA256, "sha256", _answer_sha256, _check_sha256),
        MechanismRow(Mechanism.HLS_ECDSA, "ecdsa", status=LATER),
    )
}


#: By the settings' word.
MECHANISM_BY_WORD = {row.word: row.mechanism for row in MECHANISMS.values()}


def make_challenge(random: Callable[[int], bytes], length: int = 16) -> bytes:
    """A challenge of 8 to 64 octets from the random source; ConfigError for another length."""
    if length not in CHALLENGE_LENGTHS:
        raise ConfigError(f"a challenge has 8 to 64 octets, not {length}", key="challenge_length")
    return random(length)


def check_password(expected: bytes, given: bytes) -> bool:
    """Low-level security, the meter's side: whether the password is right."""
    return hmac.compare_digest(expected, given)


def answer_challenge(mechanism: int, hls: HlsContext) -> bytes:
    """Our answer to the peer's challenge (pass 3 of the client, pass 4 of the meter)."""
    row = _high(mechanism)
    _check_challenge(hls)
    return row.answer(hls)


def verify_answer(mechanism: int, hls: HlsContext, answer: bytes) -> None:
    """SecurityError unless the peer's answer to our challenge proves that it knows the secret."""
    if not _high(mechanism).check(hls, answer):
        raise SecurityError(
            "the peer's answer to our challenge is wrong: it does not know the secret",
            reason="authentication",
            hint="Check password and keys; if they are right, this is not the meter it claims to be.",
        )


class _Rules(NamedTuple):
    answer: Answer
    check: Check


def _high(mechanism: int) -> _Rules:
    row = MECHANISMS.get(mechanism)
    if row is None or row.status:
        name = row.word if row else str(mechanism)
        raise LocalProtocolError(f"authentication mechanism {name} is not supported yet")
    if row.answer is None or row.check is None:
        raise LocalProtocolError(f"authentication mechanism {row.word} has no challenge")
    return _Rules(row.answer, row.check)


def _check_challenge(hls: HlsContext) -> None:
    """A peer that sends our own challenge back wants us to compute its answer."""
    if not hls.peer_challenge:
        raise SecurityError("the peer sent no challenge", reason="challenge")
    if hmac.compare_digest(hls.peer_challenge, hls.own_challenge):
        raise SecurityError("the peer sent our own challenge back", reason="challenge")
    if hls.own_title and hls.own_title == hls.peer_title:
        # What we answer could be played back in another association as that peer's answer.
        raise SecurityError("the peer calls itself by our own system title", reason="title")


def aes_ecb(secret: bytes, challenge: bytes) -> bytes:
    """What several makers do, and every other program: AES-128 of the challenge, both filled up with zeros."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES128
    from cryptography.hazmat.primitives.ciphers.modes import ECB

    key = secret[:16].ljust(16, b"\0")
    cipher = Cipher(AES128(key), ECB()).encryptor()  # noqa: S305  the makers' choice, not ours
    return cipher.update(challenge + bytes(-len(challenge) % 16)) + cipher.finalize()


_HEX_DIGITS = b"0123456789ABCDEF"


def landis_gyr_coded_password(secret: bytes, challenge: bytes) -> bytes:
    """Landis+Gyr's "coded password": each digit of the password is added to the challenge's, modulo 16.

    Known from public programs only, which wrap round in an inconsistent way for some pairs of digits. Those are
    refused here (SecurityError, try again: the next challenge is another) because a wrong password may lock a meter.
    """
    password = [_HEX_DIGITS.find(octet) for octet in secret]
    seed = [_HEX_DIGITS.find(octet) for octet in challenge[: len(password)]]
    if -1 in password or len(challenge) < len(password):
        raise ConfigError(
            "a coded password is made of hexadecimal digits, no longer than the challenge", key="password"
        )
    if -1 in seed or any(_unsure(*pair) for pair in zip(password, seed, strict=True)):
        raise SecurityError("the coded password is not known for this challenge: try again", reason="challenge")
    coded = bytes(_HEX_DIGITS[(a + b) % 16] for a, b in zip(password, seed, strict=True))
    return coded + challenge[len(password) :]


def _unsure(password: int, seed: int) -> bool:
    return (password < 10 and seed < 10 and password + seed > 16) or (password >= 10 and seed >= 10)


# The meters that use a coded password do not answer our challenge.
MANUFACTURER_ALGORITHMS: dict[str, ManufacturerAlgorithm] = {
    "aes": ManufacturerAlgorithm(aes_ecb),
    "landis-gyr": ManufacturerAlgorithm(landis_gyr_coded_password, mutual=False),
}
