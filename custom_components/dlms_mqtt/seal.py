"""Secrets are sealed to the bridge's public key, for one meter and line, before they leave the flow.

The bytes are documented, with a test vector, in the bridge's ``seal`` module.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

INFO = b"dlms-mqtt seal v2"
KEY_LENGTH = 32
NONCE_LENGTH = 12
LINES = ("serial", "tcp", "udp", "bind")


def seal(
    secret: str,
    public_key: str,
    meter: str,
    connection: Mapping[str, Any],
    random: Callable[[int], bytes] = os.urandom,
) -> str:
    """``sealed:BASE64`` of a secret (``text:...`` or ``hex:...``) for ``info.seal``; ValueError for a bad key."""
    bridge = base64.b64decode(public_key, validate=True)
    private = X25519PrivateKey.from_private_bytes(random(KEY_LENGTH))
    public = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(bridge))
    key = HKDF(hashes.SHA256(), KEY_LENGTH, salt=b"", info=INFO + public + bridge).derive(shared)
    nonce = random(NONCE_LENGTH)
    purpose = "\n".join((meter, *(f"{line}={connection[line]}" for line in LINES if connection.get(line)))).encode()
    return "sealed:" + base64.b64encode(public + nonce + AESGCM(key).encrypt(nonce, secret.encode(), purpose)).decode()
