"""AES-GCM as DLMS uses it, and AES key wrap. A ciphered content is: security control, counter, text, tag (if any).

The nonce is system title and counter; the additional data is security control and authentication key (and the text
itself where it is not encrypted). Tags have 12 octets.

Source: NIST SP 800-38D (GCM), RFC 3394 (key wrap); Green Book ed. 8, clauses 9.2.3.3 and 9.2.7.2.
"""

from __future__ import annotations

import hmac
from collections.abc import Container
from struct import Struct
from typing import NamedTuple

from dlms_mqtt.errors import ConfigError, LocalProtocolError, SecurityError
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security.suites import BROADCAST, COMPRESSION, SUITE_MASK, SUITES, Security, key_id

TAG_LENGTH = 12
TITLE_LENGTH = 8
HEADER_LENGTH = 5
MAX_COUNTER = 0xFFFF_FFFF

# AESGCM.encrypt appends the whole tag of 16 octets.
_WHOLE_TAG = 16
_HEADER = Struct(">BI")
_NONCE = Struct(">8sI")
_AUTHENTICATION = int(Security.AUTHENTICATION)
_ENCRYPTION = int(Security.ENCRYPTION)
_BOTH = int(Security.BOTH)


class Unprotected(NamedTuple):
    """A message taken out of its protection.

    ``verified``: True when a tag was checked, None when there was no tag or no key to check it. ``control`` and
    ``invocation_counter`` are None for a message that came without any protection.
    """

    plaintext: bytes
    control: int | None
    invocation_counter: int | None
    security: Security
    verified: bool | None
    system_title: bytes


class _Additional(dict[int, bytes]):
    """Security control -> what a tag covers besides the text: the control itself and the authentication key."""

    def __init__(self, authentication_key: bytes) -> None:
        super().__init__()
        self._key = authentication_key

    def __missing__(self, control: int) -> bytes:
        return self.setdefault(control, bytes((control,)) + self._key)


class KeyContext:
    """One encryption key with its authentication key, ready for many messages."""

    __slots__ = ("_additional", "_authentication", "_encrypt", "authenticates", "id")

    def __init__(self, key: bytes, authentication_key: bytes = b"") -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 7 MB that a meter without keys does not need

        self._encrypt = AESGCM(key).encrypt
        self._authentication = bytes(authentication_key)
        self._additional = _Additional(self._authentication)
        self.authenticates = bool(authentication_key)  # whether tags can be made and checked
        self.id = key_id(key)

    def gmac(self, control: int, title: bytes, counter: int, text: bytes) -> bytes:
        """The tag over a text that is not encrypted."""
        return self._encrypt(_NONCE.pack(title, counter), b"", self._additional[control] + text)[:TAG_LENGTH]

    def seal(self, control: int, title: bytes, counter: int, text: bytes) -> bytes:
        """The protected content as it goes on the line."""
        bits = control & _BOTH
        head = _HEADER.pack(control, counter)
        if bits == _BOTH:
            sealed = self._encrypt(_NONCE.pack(title, counter), text, self._additional[control])
            return head + sealed[: TAG_LENGTH - _WHOLE_TAG]
        if bits == _ENCRYPTION:
            return head + self._stream(title, counter, text)
        return head + text + (self.gmac(control, title, counter, text) if bits else b"")

    def open(
        self, title: bytes, content: bytes, expected: Container[int] | None = None
    ) -> tuple[bytes, int, int, bool | None]:
        """Text, security control, counter and whether the tag was verified; SecurityError on a wrong tag.

        ``expected``: first octets that make sense; they only help to tell a wrong key from an altered message.
        """
        if len(content) < HEADER_LENGTH:
            raise _cut(len(content))
        control, counter = _HEADER.unpack_from(content)
        if not control & _AUTHENTICATION:
            rest = content[HEADER_LENGTH:]
            return (self._stream(title, counter, rest) if control & _ENCRYPTION else rest), control, counter, None
        if len(content) < HEADER_LENGTH + TAG_LENGTH:
            raise _cut(len(content))
        nonce, text = _NONCE.pack(title, counter), content[HEADER_LENGTH:-TAG_LENGTH]
        if control & _ENCRYPTION:
            text = self._encrypt(nonce, text, None)[:-_WHOLE_TAG]
        if not self._authentication:
            return text, control, counter, None
        # Sealing the text again must give the very same tag; the text is not used before that is known.
        additional = self._additional[control]
        sealed = self._encrypt(nonce, *((text, additional) if control & _ENCRYPTION else (b"", additional + text)))
        if not hmac.compare_digest(sealed[-_WHOLE_TAG : TAG_LENGTH - _WHOLE_TAG], content[-TAG_LENGTH:]):
            raise _wrong_tag(expected is None or (text[0] if text else -1) in expected)
        return text, control, counter, True

    def _stream(self, title: bytes, counter: int, text: bytes) -> bytes:
        # GCM is a stream cipher: the same call encrypts and decrypts. One-shot calls are the cheapest by far.
        return self._encrypt(_NONCE.pack(title, counter), text, None)[:-_WHOLE_TAG]


def _wrong_tag(key_fits: bool) -> SecurityError:
    if key_fits:
        message, hint = "the message was altered, or the authentication key is not the meter's", "authentication key"
    else:
        message, hint = (
            "the encryption key or the system title is not the meter's",
            "encryption key and the system title",
        )
    return SecurityError(
        f"the authentication tag is wrong: {message}", reason="tag" if key_fits else "key", hint=f"Check the {hint}."
    )


def _cut(length: int) -> SecurityError:
    return SecurityError(f"the ciphered message is cut: {length} octets are too few", reason="cut")


def check_control(control: int, suite: int | None) -> None:
    """SecurityError for a security control byte that can't be handled; ``suite`` None: any known one."""
    number = control & SUITE_MASK
    if control & COMPRESSION:
        raise SecurityError(
            "the message is compressed, which is not supported",
            reason="compression",
            hint="Switch compression off in the meter's security policy.",
        )
    if number not in SUITES:
        raise SecurityError(f"the message names security suite {number}, which does not exist", reason="suite")
    if suite is not None and number != suite:
        raise SecurityError(
            f"the message is protected with security suite {number}, suite {suite} is in use",
            reason="suite",
            hint=f"Set the suite to {number} if the meter's keys are for it.",
        )


def check_title(title: bytes) -> None:
    """ConfigError unless a system title has its eight octets."""
    if len(title) != TITLE_LENGTH:
        raise ConfigError(f"a system title has 8 octets, this one has {len(title)}", key="system_title")


def protect(
    plaintext: bytes,
    *,
    suite: int,
    security: Security,
    key: bytes,
    authentication_key: bytes = b"",
    system_title: bytes,
    invocation_counter: int,
    broadcast: bool = False,
) -> bytes:
    """Security control, counter, text and tag. ConfigError on a wrong key or title, LocalProtocolError on a counter."""
    check_title(system_title)
    _check_key("encryption", key, suite)
    if security & Security.AUTHENTICATION:
        _check_key("authentication", authentication_key, suite)
    if not 0 <= invocation_counter <= MAX_COUNTER:
        raise LocalProtocolError(f"invocation counter {invocation_counter} does not fit in 32 bits")
    control = suite | int(security) | (BROADCAST if broadcast else 0)
    return KeyContext(key, authentication_key).seal(control, system_title, invocation_counter, plaintext)


def unprotect(
    body: bytes,
    *,
    suite: int | None = None,
    key: bytes,
    authentication_key: bytes = b"",
    broadcast_key: bytes = b"",
    system_title: bytes,
) -> Unprotected:
    """Check the tag, if there is one and a key for it, and decrypt; SecurityError. Judges no counter and no policy."""
    check_title(system_title)
    control = body[0] if body else 0
    check_control(control, suite)
    used = broadcast_key if control & BROADCAST else key
    if len(used) != SUITES[control & SUITE_MASK].key_length:
        raise SecurityError(
            f"the message needs {'the broadcast' if control & BROADCAST else 'an encryption'} key of "
            f"{SUITES[control & SUITE_MASK].key_length} octets, {len(used)} are given",
            reason="key",
        )
    text, control, counter, verified = KeyContext(used, authentication_key).open(system_title, body)
    return Unprotected(text, control, counter, Security(control & _BOTH), verified, system_title)


def _check_key(name: str, key: bytes, suite: int) -> None:
    needed = SUITES[suite].key_length
    if len(key) != needed:
        raise ConfigError(f"the {name} key has {len(key)} octets, suite {suite} needs {needed}", key=f"{name}_key")


def wrap_key(key_encrypting_key: bytes, key: bytes) -> bytes:
    """A key as global_key_transfer carries it: AES key wrap (RFC 3394); both keys of 16, 24 or 32 octets."""
    from cryptography.hazmat.primitives import keywrap

    try:
        return keywrap.aes_key_wrap(key_encrypting_key, key)
    except ValueError:
        raise LocalProtocolError(
            f"keys of {len(key_encrypting_key)} and {len(key)} octets can't be wrapped: 16 or 32 are needed"
        ) from None


def unwrap_key(key_encrypting_key: bytes, wrapped: bytes) -> Secret:
    """The key in a global_key_transfer; SecurityError when it was wrapped with another key or was altered."""
    from cryptography.hazmat.primitives import keywrap

    try:
        return Secret(keywrap.aes_key_unwrap(key_encrypting_key, wrapped))
    except (keywrap.InvalidUnwrap, ValueError):
        raise SecurityError(
            "the transferred key can't be unwrapped: wrong master key, or altered", reason="key"
        ) from None
