"""Secrets that travel over MQTT are sealed to the bridge: ``sealed:BASE64``.

The text that is sealed is a secret as the configuration writes it (``text:...``, ``hex:...``), UTF-8. The sender makes
a fresh X25519 key pair for every secret and drops its private half. The bytes behind ``sealed:`` (standard base64 with
padding) are::

    ephemeral public key (32) || nonce (12) || ciphertext || tag (16)

    shared    = X25519(ephemeral private key, bridge public key)           raw, RFC 7748
    key (32)  = HKDF-SHA256(ikm=shared, salt=b"", length=32,
                            info=b"dlms-mqtt seal v1" || ephemeral public key || bridge public key)
    sealed    = AES-256-GCM(key, nonce, plaintext, associated data=b"")

``info.seal`` is the bridge's raw public key (32 octets) in standard base64 with padding.

Test vector (hex unless said otherwise)::

    bridge private key     0001020304050607 08090a0b0c0d0e0f 1011121314151617 18191a1b1c1d1e1f
    bridge public key      8f40c5adb68f2562 4ae5b214ea767a6e c94d829d3d7b5e1a d1ba6f3e2138285f
      as info.seal         j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=
    ephemeral private key  2021222324252627 28292a2b2c2d2e2f 3031323334353637 38393a3b3c3d3e3f
    nonce                  404142434445464748494a4b
    plaintext (UTF-8)      text:12345678
    sealed                 sealed:NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlRA
                           QUJDREVGR0hJSkvvynBocdyn/zX9y6fYnCNKnb+krwGL8HlUVmPUhg==    (one line)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dlms_mqtt.errors import ConfigError

PREFIX = "sealed:"
_INFO = b"dlms-mqtt seal v1"
_KEY, _NONCE = 32, 12


def _cipher(shared: bytes, ephemeral: bytes, bridge: bytes) -> AESGCM:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=_KEY, salt=b"", info=_INFO + ephemeral + bridge)
    return AESGCM(hkdf.derive(shared))


def seal(text: str, bridge_public_key: str, random: Callable[[int], bytes]) -> str:
    """Seal ``text`` to the bridge whose ``info.seal`` is given; ``random(n)`` yields n octets."""
    bridge = base64.b64decode(bridge_public_key, validate=True)
    private = X25519PrivateKey.from_private_bytes(random(_KEY))
    ephemeral, nonce = private.public_key().public_bytes_raw(), random(_NONCE)
    cipher = _cipher(private.exchange(X25519PublicKey.from_public_bytes(bridge)), ephemeral, bridge)
    return PREFIX + base64.b64encode(ephemeral + nonce + cipher.encrypt(nonce, text.encode(), None)).decode()


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
        """Read the key from ``path``; made there (mode 0600) when missing. OSError when that fails."""
        if not path.exists():
            fresh = path.with_name(path.name + ".new")  # renamed when whole: a crash leaves no half key
            fresh.touch(mode=0o600)
            fresh.write_bytes(random(_KEY))
            fresh.replace(path)
        return cls(path.read_bytes())

    def open(self, sealed: str) -> str:
        """The secret inside ``sealed:...``; ConfigError when it was not sealed to this bridge (or is damaged)."""
        try:
            data = base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
            ephemeral, nonce, body = data[:_KEY], data[_KEY : _KEY + _NONCE], data[_KEY + _NONCE :]
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            return _cipher(shared, ephemeral, self._raw).decrypt(nonce, body, None).decode()
        except (binascii.Error, ValueError, InvalidTag):
            raise ConfigError(
                "A sealed secret could not be opened", hint="Seal it again with the key in bridge/<id>/info."
            ) from None

    def open_all(self, value: Any) -> Any:
        """``value`` (JSON) with every ``sealed:`` text opened."""
        if isinstance(value, str) and value.startswith(PREFIX):
            return self.open(value)
        if isinstance(value, dict):
            return {key: self.open_all(item) for key, item in value.items()}
        return [self.open_all(item) for item in value] if isinstance(value, list) else value
