"""Secrets that travel over MQTT are sealed to the bridge, for one meter on one line: ``sealed:BASE64``.

The text that is sealed is a secret as the configuration writes it (``text:...``, ``hex:...``), UTF-8. The sender makes
a fresh X25519 key pair for every secret and drops its private half. The bytes behind ``sealed:`` (standard base64 with
padding) are::

    ephemeral public key (32) || nonce (12) || ciphertext || tag (16)

    shared    = X25519(ephemeral private key, bridge public key)           raw, RFC 7748
    key (32)  = HKDF-SHA256(ikm=shared, salt=b"", length=32,
                            info=b"dlms-mqtt seal v2" || ephemeral public key || bridge public key)
    sealed    = AES-256-GCM(key, nonce, plaintext, associated data=purpose)

``info.seal`` is the bridge's raw public key (32 octets) in standard base64 with padding. The purpose (UTF-8) is the
meter of the request (``new`` where it names none) and, each after a line feed, ``serial=``, ``tcp=``, ``udp=`` and
``bind=`` with the text that ``connection`` has there, for those that it has. For a meter that is asked on the
connection that it makes (``push: {ask: true}``), ``bind`` is what ``push.listen`` says. So who copies a seal from the
broker can have it sent to no other address. Once a meter was added or changed with a seal, that seal opens nothing any
more.

Test vector (hex unless said otherwise)::

    bridge private key     0001020304050607 08090a0b0c0d0e0f 1011121314151617 18191a1b1c1d1e1f
    bridge public key      8f40c5adb68f2562 4ae5b214ea767a6e c94d829d3d7b5e1a d1ba6f3e2138285f
      as info.seal         j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=
    ephemeral private key  2021222324252627 28292a2b2c2d2e2f 3031323334353637 38393a3b3c3d3e3f
    nonce                  404142434445464748494a4b
    meter, connection      house, {"tcp": "192.0.2.10:4059"}    (as they stand in the request)
    purpose                686f7573650a7463703d 3139322e302e322e31303a34303539
    plaintext (UTF-8)      text:12345678
    sealed                 sealed:NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlRAQUJD
                           REVGR0hJSkuAmj5NfQ5fWH3pmUkbps+xurXUtpfF5AxJVB22LA==    (one line)
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dlms_mqtt.client.settings import LINES
from dlms_mqtt.client.state.state_file import set_aside, write_whole
from dlms_mqtt.errors import ConfigError

_LOG = logging.getLogger(__name__)

PREFIX = "sealed:"
_INFO, _UNBOUND = b"dlms-mqtt seal v2", b"dlms-mqtt seal v1"
_KEY, _NONCE = 32, 12


def _cipher(shared: bytes, ephemeral: bytes, bridge: bytes, info: bytes = _INFO) -> AESGCM:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=_KEY, salt=b"", info=info + ephemeral + bridge)
    return AESGCM(hkdf.derive(shared))


def _purpose(meter: str, connection: Mapping[str, Any]) -> bytes:
    return "\n".join((meter, *(f"{line}={connection[line]}" for line in LINES if connection.get(line)))).encode()


def seal(
    text: str, bridge_public_key: str, random: Callable[[int], bytes], meter: str, connection: Mapping[str, Any]
) -> str:
    """Seal ``text`` to the bridge whose ``info.seal`` is given, for a meter and its line; ``random(n)``: n octets."""
    bridge = base64.b64decode(bridge_public_key, validate=True)
    private = X25519PrivateKey.from_private_bytes(random(_KEY))
    ephemeral, nonce = private.public_key().public_bytes_raw(), random(_NONCE)
    cipher = _cipher(private.exchange(X25519PublicKey.from_public_bytes(bridge)), ephemeral, bridge)
    return (
        PREFIX
        + base64.b64encode(
            ephemeral + nonce + cipher.encrypt(nonce, text.encode(), _purpose(meter, connection))
        ).decode()
    )


class SealKey:
    """The bridge's key pair; the private half lives in ``state_dir`` (mode 0600) and nowhere else."""

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        self._raw = self._private.public_key().public_bytes_raw()

    @property
    def public(self) -> str:
        """What ``info.seal`` publishes."""
        return base64.b64encode(self._raw).decode()

    @classmethod
    def load(cls, path: Path, random: Callable[[int], bytes]) -> SealKey:
        """Read the key from ``path``; made there (mode 0600) when missing or damaged. OSError when that fails."""
        private = path.read_bytes() if path.is_file() else b""
        if len(private) == _KEY:
            return cls(private)
        if path.exists():
            _LOG.warning("%s is no key; it is set aside as %s and a new one is made", path, set_aside(path).name)
        private = random(_KEY)
        write_whole(path, private)
        return cls(private)

    def open(self, sealed: str, meter: str, connection: Mapping[str, Any]) -> str:
        """The secret inside ``sealed:...``; ConfigError when it was not sealed to us for this meter and line."""
        try:
            ephemeral, nonce, body = _parts(sealed)
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            try:
                return _cipher(shared, ephemeral, self._raw).decrypt(nonce, body, _purpose(meter, connection)).decode()
            except InvalidTag:
                _cipher(shared, ephemeral, self._raw, _UNBOUND).decrypt(nonce, body, None)
        except (binascii.Error, ValueError, InvalidTag):
            raise ConfigError(
                "A sealed secret could not be opened: it is damaged, or was sealed to another bridge, meter or line",
                hint="Seal it again with the key in bridge/<id>/info, for this meter and this line.",
            ) from None
        raise ConfigError(
            "This secret was sealed in the way of version 0.1, which anybody may use for another address",
            hint="Update the dlms-mqtt component of Home Assistant (or the program that sealed it) and enter it again.",
        )


def seal_id(sealed: str) -> str:
    """What tells one seal from all others: its ephemeral public key; "" for what is none."""
    try:
        return _parts(sealed)[0].hex()
    except (binascii.Error, ValueError):
        return ""


def _parts(sealed: str) -> tuple[bytes, bytes, bytes]:
    data = base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
    return data[:_KEY], data[_KEY : _KEY + _NONCE], data[_KEY + _NONCE :]
